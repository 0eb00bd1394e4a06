// The native addon gives each signature the result that Go gives, alone and in batches, and refuses input of
// a wrong form.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { fastestVerifier, type Verify } from '../../src/adapters/libp2p/patches/ed25519.ts';
import { SMALL_ORDER, SMALL_ORDER_ENCODINGS } from '../support/edwards25519.ts';
import { verifiedByGo } from '../support/go-ed25519.ts';
import { type NativeVerifier, nativeVerifier } from '../support/native-addon.ts';
import { corrupted, craftedSignatures, pack, type Signed, Signer, withSmallOrderR } from '../support/signatures.ts';

/** More than the addon puts into one batch. */
const MAX_SIZE = 70;
const CRAFTED = craftedSignatures();
const OF_AUTHORS = 'R with a component of small order';
const openssl = fastestVerifier({ allow: ['node:crypto'] });
const libsodium = fastestVerifier({ allow: ['libsodium'] });

let native: NativeVerifier;
/** Their keys are known to the addon, as those of authors are who sent before. */
const signers = [new Signer(), new Signer(), new Signer()];
const signedBy = (index: number) => (signers[index % signers.length] as Signer).sign();

beforeAll(async () => {
  native = await nativeVerifier();
  for (const signer of signers) expect(alone(signer.sign())).toBe(true);
});

function alone({ publicKey, signature, message }: Signed): boolean {
  return native.verify(publicKey, signature, message);
}

function isOfSmallOrder({ publicKey, signature }: Signed): boolean {
  const isOne = (bytes: Uint8Array) => SMALL_ORDER_ENCODINGS.some((encoding) => encoding.equals(bytes));
  return isOne(publicKey) || isOne(signature.subarray(0, 32));
}

function inBatch(items: readonly Signed[]): boolean[] {
  const results = new Uint8Array(items.length).fill(7);
  native.verifyPacked(pack(items), items.length, results);
  expect(results.every((result) => result <= 1)).toBe(true);
  return Array.from(results, (result) => result === 1);
}

describe.each([...CRAFTED])('signatures with %s', (rule, items) => {
  const resultsOf = (verify: Verify) =>
    items.map(({ publicKey, signature, message }) => verify(publicKey, signature, message));

  test('get the results of Go', async () => {
    expect(items.map(alone)).toEqual(await verifiedByGo(items));
  });

  test('get those of OpenSSL and of libsodium, which refuse keys and R of small order that Go accepts', async () => {
    const go = await verifiedByGo(items);
    const strict = /small order/.test(rule) ? items.map((item, index) => go[index] && !isOfSmallOrder(item)) : go;
    for (const { verify } of [openssl, libsodium]) expect(resultsOf(verify)).toEqual(strict);
  });
});

// Without those that batches may accept: an author's own R with a component of small order, the test after the next.
test.each([...CRAFTED].filter(([rule]) => rule !== OF_AUTHORS))(
  'signatures with %s get the results of Go in batches',
  async (_rule, items) => {
    const go = await verifiedByGo(items);
    // The first time new keys are verified alone, then they are known.
    for (let round = 0; round < 2; round += 1) {
      expect(inBatch(items)).toEqual(go);
      const mixed = items.flatMap((item, index) => [item, signedBy(index)]);
      expect(inBatch(mixed)).toEqual(go.flatMap((result) => [result, true]));
    }
  },
);

test('the crafted signatures include valid ones with keys of small order, with mixed keys and with R of small order', () => {
  for (const rule of [
    'keys of small order',
    'keys with a component of small order',
    'R of small order, in each encoding',
  ])
    expect(CRAFTED.get(rule)?.map(alone).filter(Boolean).length, rule).toBeGreaterThan(0);
});

test.each([1, 2, 3, 4, 5, 6, 7])(
  'an R with component %i of the eight of small order is refused alone, and in batches at least once in 64',
  (index) => {
    let accepted = 0;
    for (let round = 0; round < 64; round += 1) {
      const [first, second] = withSmallOrderR(SMALL_ORDER[index] as (typeof SMALL_ORDER)[number]) as [Signed, Signed];
      expect([alone(first), alone(second)]).toEqual([true, false]);
      const results = inBatch([signedBy(0), second, signedBy(1), first]);
      expect([results[0], results[2], results[3]]).toEqual([true, true, true]);
      if (results[1]) accepted += 1;
    }
    expect(accepted).toBeLessThan(64);
  },
);

test('finds one invalid signature at each position of batches of 1 to 64', () => {
  for (let size = 1; size <= 64; size += 1) {
    const items = Array.from({ length: size }, (_, index) => signedBy(index));
    for (let bad = 0; bad < size; bad += 1) {
      const results = inBatch(items.with(bad, corrupted(items[bad] as Signed, size + bad)));
      expect(results).toEqual(items.map((_, index) => index !== bad));
    }
  }
});

test.each<[string, (index: number) => boolean]>([
  ['all valid', () => false],
  ['all invalid', () => true],
  ['every second invalid', (index) => index % 2 === 1],
  ['the first half invalid', (index) => index < MAX_SIZE / 2],
  ['the last two invalid', (index) => index >= MAX_SIZE - 2],
])('tells the valid from the invalid in batches with %s', async (_what, isBad) => {
  for (const size of [2, 3, 7, 16, 63, 64, 65, MAX_SIZE]) {
    const items = Array.from({ length: size }, (_, index) =>
      isBad(index) ? corrupted(signedBy(index), index) : signedBy(index),
    );
    const expected = items.map((_, index) => !isBad(index));
    expect(inBatch(items)).toEqual(expected);
    const results = await native.verifyPackedAsync(pack(items), size);
    expect(Array.from(results, Boolean)).toEqual(expected);
  }
});

test('gives right results for more authors than it remembers, the first and the second time', () => {
  const many = Array.from({ length: 5000 }, () => new Signer());
  for (let round = 0; round < 2; round += 1) {
    const items = many.map((signer, index) => (index % 7 === 0 ? corrupted(signer.sign(), index) : signer.sign()));
    const twice = items.flatMap((item, index) => [item, (many[index] as Signer).sign()]);
    expect(inBatch(twice)).toEqual(twice.map((_, index) => index % 14 !== 0));
  }
});

test('a signature of another length than 64 bytes is invalid, a key of another length than 32 an error', () => {
  const { publicKey, signature, message } = signedBy(0);
  for (const length of [0, 1, 32, 63, 65, 128]) {
    const other = Buffer.concat([signature, randomBytes(64)]).subarray(0, length);
    expect(native.verify(publicKey, other, message)).toBe(false);
    expect(openssl.verify(publicKey, other, message)).toBe(false);
  }
  for (const length of [0, 31, 33]) {
    expect(() => native.verify(randomBytes(length), signature, message)).toThrow(/public key of \d+ bytes/);
  }
});

describe('packed signatures', () => {
  const items = [0, 1, 2].map(signedBy);
  const packed = pack(items);
  const room = () => new Uint8Array(8);

  test('that end early, at any byte, are an error', async () => {
    for (let length = 0; length < packed.length; length += 1) {
      const short = packed.subarray(0, length);
      expect(() => native.verifyPacked(short, 3, room()), String(length)).toThrow(/truncated|expected at least/);
      await expect(native.verifyPackedAsync(short, 3)).rejects.toThrow(/truncated|expected at least/);
    }
  });

  test.each([0, 1, 2, 4, 100_000_000, 4_294_967_295, -1, Number.NaN])(
    'are an error with a count of %d',
    async (count) => {
      expect(() => native.verifyPacked(packed, count, room())).toThrow(/byte|room/);
      await expect(native.verifyPackedAsync(packed, count)).rejects.toThrow(/byte/);
    },
  );

  test('are an error with bytes after the last one, and with a length beyond the end', () => {
    expect(() => native.verifyPacked(Buffer.concat([packed, Buffer.alloc(1)]), 3, room())).toThrow('1 bytes after');
    for (const length of [packed.length, 2 ** 31, 2 ** 32 - 1]) {
      const wrong = Buffer.from(packed);
      wrong.writeUInt32LE(length);
      expect(() => native.verifyPacked(wrong, 3, room())).toThrow('signature 0 of 3 is truncated');
    }
  });

  test('are an error with fewer results than signatures; further results stay as they are', () => {
    expect(() => native.verifyPacked(packed, 3, new Uint8Array(2))).toThrow('room for 2 results (expected 3)');
    const results = new Uint8Array(5).fill(9);
    native.verifyPacked(packed, 3, results);
    expect(Array.from(results)).toEqual([1, 1, 1, 9, 9]);
  });

  test('are an error in anything but a Uint8Array', () => {
    for (const other of [undefined, null, 3, 'text', {}, [], new ArrayBuffer(8), new Float64Array(8)]) {
      expect(() => native.verifyPacked(other as never, 1, room())).toThrow();
      expect(() => native.verifyPacked(packed, 3, other as never)).toThrow();
      expect(() => native.verifyPackedAsync(other as never, 1)).toThrow();
      expect(() => native.verify(other as never, Buffer.alloc(64), Buffer.alloc(1))).toThrow();
    }
  });

  test('may be none', async () => {
    native.verifyPacked(new Uint8Array(0), 0, new Uint8Array(0));
    expect(await native.verifyPackedAsync(new Uint8Array(0), 0)).toHaveLength(0);
  });

  test('may share memory with their results', () => {
    const memory = Buffer.from(packed);
    native.verifyPacked(memory, 3, memory.subarray(1, 4));
    expect(Array.from(memory.subarray(1, 4))).toEqual([1, 1, 1]);
  });

  test('are an error when their memory, or that of the results, was transferred or became too short', async () => {
    const transferred = new Uint8Array(packed);
    structuredClone(transferred.buffer, { transfer: [transferred.buffer] });
    const memory = new ArrayBuffer(packed.length, { maxByteLength: packed.length });
    const shrunk = [new Uint8Array(memory), new Uint8Array(memory, 0, packed.length)];
    memory.resize(50);
    for (const none of [transferred, ...shrunk]) {
      expect(() => native.verifyPacked(none, 3, room())).toThrow('expected at least');
      await expect(native.verifyPackedAsync(none, 3)).rejects.toThrow('expected at least');
    }
    expect(() => native.verifyPacked(packed, 3, transferred)).toThrow('room for 0 results');
  });

  test('that are changed or transferred while they are verified on a thread do no harm', async () => {
    const memory = new Uint8Array(packed);
    const results = native.verifyPackedAsync(memory, 3);
    structuredClone(memory.buffer, { transfer: [memory.buffer] });
    expect(memory).toHaveLength(0);
    expect(Array.from(await results)).toEqual([1, 1, 1]);
  });
});
