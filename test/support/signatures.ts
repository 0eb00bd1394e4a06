// Ed25519 signatures, good and bad, packed as the addon takes them.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  add,
  BASE,
  decodeNumber,
  encodeNumber,
  encodePoint,
  L,
  multiply,
  type Point,
  SMALL_ORDER,
  SMALL_ORDER_ENCODINGS,
} from './edwards25519.ts';

export interface Signed {
  readonly publicKey: Uint8Array;
  readonly signature: Uint8Array;
  readonly message: Uint8Array;
}

export class Signer {
  readonly publicKey: Buffer;
  private readonly key: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.key = privateKey;
    this.publicKey = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  }

  sign(message: Uint8Array = randomBytes(100)): Signed {
    return { publicKey: this.publicKey, signature: sign(null, message, this.key), message };
  }
}

export function pack(items: readonly Signed[]): Buffer {
  return Buffer.concat(
    items.flatMap(({ publicKey, signature, message }) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(message.byteLength);
      return [length, publicKey, signature, message];
    }),
  );
}

/** With one bit of the key, of R, of S or of the message changed. */
export function corrupted(item: Signed, at: number): Signed {
  const copy = {
    publicKey: Buffer.from(item.publicKey),
    signature: Buffer.from(item.signature),
    message: Buffer.from(item.message),
  };
  const targets = [copy.signature.subarray(32), copy.signature.subarray(0, 32), copy.message, copy.publicKey];
  const bytes = targets[at % targets.length] as Buffer;
  const index = at % bytes.length;
  bytes[index] = (bytes[index] ?? 0) ^ (1 << (at % 8));
  return copy;
}

const number = () => decodeNumber(randomBytes(64)) % L;

function challenge(r: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint {
  return decodeNumber(createHash('sha512').update(r).update(publicKey).update(message).digest()) % L;
}

/** Signs with a secret number, a public key and an R that need not be its own. */
function signWith(secret: bigint, publicKey: Uint8Array, nonce: bigint, r: Uint8Array, message: Uint8Array): Signed {
  const s = (nonce + challenge(r, publicKey, message) * secret) % L;
  return { publicKey, signature: Buffer.concat([r, encodeNumber(s)]), message };
}

/** A key `secret·B`, plus a point of small order. */
function newKey(plus: Point): { secret: bigint; publicKey: Buffer } {
  const secret = number();
  return { secret, publicKey: encodePoint(add(multiply(secret, BASE), plus)) };
}

function changed(item: Signed, signature: Uint8Array): Signed {
  return { ...item, signature };
}

/** A signature whose R has a component of small order: what only the owner of the secret key can make. */
export function withSmallOrderR(component: Point): Signed[] {
  const { secret, publicKey } = newKey(SMALL_ORDER[0] as Point);
  const sign = (plus: Point) => {
    const nonce = number();
    return signWith(secret, publicKey, nonce, encodePoint(add(multiply(nonce, BASE), plus)), randomBytes(20));
  };
  // The first is valid and makes the key known.
  return [sign(SMALL_ORDER[0] as Point), sign(component)];
}

/** Signatures at the edges of the rules, those of each rule by name. */
export function craftedSignatures(): Map<string, Signed[]> {
  const good = new Signer().sign();
  const s = decodeNumber(good.signature.subarray(32));
  const withS = (value: bigint) =>
    changed(good, Buffer.concat([good.signature.subarray(0, 32), encodeNumber(value % 2n ** 256n)]));
  const empty = new Uint8Array(0);
  const someMessages = Array.from({ length: 6 }, () => randomBytes(16));
  return new Map([
    ['S plus multiples of the order', [withS(s), withS(s + L), withS(s + 2n * L), withS(s + 8n * L)]],
    ['S at the bounds', [0n, 1n, L - 1n, L, L + 1n, 2n ** 252n, 2n ** 253n, 2n ** 256n - 1n].map(withS)],
    ['high bits of S', [253n, 254n, 255n].map((bit) => withS(s | (1n << bit)))],
    [
      'keys and R of small order, S = 0',
      SMALL_ORDER_ENCODINGS.flatMap((publicKey) =>
        SMALL_ORDER_ENCODINGS.map((r) => ({
          publicKey,
          signature: Buffer.concat([r, Buffer.alloc(32)]),
          message: randomBytes(8),
        })),
      ),
    ],
    [
      'keys of small order',
      SMALL_ORDER_ENCODINGS.flatMap((publicKey) =>
        someMessages.map((message) => {
          const nonce = number();
          return signWith(0n, publicKey, nonce, encodePoint(multiply(nonce, BASE)), message);
        }),
      ),
    ],
    [
      'keys with a component of small order',
      SMALL_ORDER.flatMap((component) => {
        const { secret, publicKey } = newKey(component);
        return [...someMessages, ...someMessages].map((message) => {
          const nonce = number();
          return signWith(secret, publicKey, nonce, encodePoint(multiply(nonce, BASE)), message);
        });
      }),
    ],
    ['R with a component of small order', SMALL_ORDER.flatMap((component) => withSmallOrderR(component).reverse())],
    [
      'R of small order, in each encoding',
      SMALL_ORDER_ENCODINGS.flatMap((r) => {
        const { secret, publicKey } = newKey(SMALL_ORDER[0] as Point);
        return someMessages.map((message) => signWith(secret, publicKey, 0n, r, message));
      }),
    ],
    [
      'R and keys that are no point or not below p',
      Array.from({ length: 64 }, (_, low) => {
        const bytes = Buffer.alloc(32, low < 32 ? 0xff : 0);
        bytes[0] = low < 32 ? 0xe0 + low : low - 32;
        if (low % 3 === 0) bytes[31] = (bytes[31] ?? 0) ^ 0x80;
        const r = changed(good, Buffer.concat([bytes, good.signature.subarray(32)]));
        return [r, { ...good, publicKey: bytes }];
      }).flat(),
    ],
    ['an empty message', [new Signer().sign(empty), { ...good, message: empty }]],
    ['a message of 1 MiB', [new Signer().sign(randomBytes(1 << 20)), { ...good, message: Buffer.alloc(1 << 20) }]],
    ['one bit changed', Array.from({ length: 256 }, (_, at) => corrupted(good, at))],
  ]);
}
