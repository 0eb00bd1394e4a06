// Fast verification of Ed25519 signatures. libp2p imports a key as JWK for every message, which was half of a
// receiver's CPU. The native addon is the fastest and verifies batches, libsodium is twice as fast as node:crypto; where
// neither loads, node:crypto with cached key objects is used. docs/adr/0004-changes-to-js-libp2p.md.
import { createPublicKey, verify as cryptoVerify, type KeyObject } from 'node:crypto';
import { createRequire } from 'node:module';
import { LRUCache } from 'lru-cache';
import { P2PError } from '../../../lib/errors.ts';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { loadNativeAddon, type NativeAddon } from './native-addon.ts';

/** The one function of sodium-native that is used (the package carries no types). */
interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
}

export type Verify = (publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array) => boolean;

/** DER header of an Ed25519 SubjectPublicKeyInfo (RFC 8410); the 32 raw bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** Authors active at the same time on a network of some hundred nodes, with a margin. */
const MAX_CACHED_KEYS = 4096;
const SIGNATURE_BYTES = 64;

type KeyCache = LRUCache<string, KeyObject>;

function newKeyCache(): KeyCache {
  return new LRUCache({ max: MAX_CACHED_KEYS });
}

/** node:crypto, with one key object per author instead of one per message. */
export function cryptoVerifier(keys: Pick<KeyCache, 'get' | 'set'> = newKeyCache()): Verify {
  return (publicKey, signature, message) => {
    const id = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.byteLength).toString('latin1');
    let key = keys.get(id);
    if (key === undefined) {
      key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
      keys.set(id, key);
    }
    return cryptoVerify(null, message, key, signature);
  };
}

/** libsodium, or undefined where its prebuilt binary does not load. */
export function sodiumVerifier(): Verify | undefined {
  try {
    const sodium = createRequire(import.meta.url)('sodium-native') as Sodium;
    return (publicKey, signature, message) => sodium.crypto_sign_verify_detached(signature, message, publicKey);
  } catch {
    return undefined;
  }
}

export interface Verifier {
  readonly name: 'native' | 'libsodium' | 'node:crypto';
  /** `publicKey`: 32 raw bytes. A signature of another length than 64 bytes is invalid, not an error. */
  readonly verify: Verify;
  /** Why the addon is not used, unless `allow` excludes it. */
  readonly addonFault?: string;
  /**
   * Only with the addon. `packed`: for each of `count` items the length of its message (u32, little-endian), the public
   * key (32 bytes), the signature (64) and the message. Writes 1 or 0 for each into `results`. Throws if `packed` has
   * another form or `results` is too short.
   */
  readonly verifyPacked?: (packed: Uint8Array, count: number, results: Uint8Array) => void;
  /** The same beside the event loop, on a thread; `packed` is copied. */
  readonly verifyPackedAsync?: (packed: Uint8Array, count: number) => Promise<Uint8Array>;
  /** Public keys that are kept, up to MAX_CACHED_KEYS; libsodium keeps none. */
  readonly keptKeys?: () => number;
}

/** `p2p_verifier`. */
export type VerifierChoice = 'auto' | Verifier['name'];

/** `auto`: the fastest that loads. Throws SETTINGS_INVALID when a verifier that was chosen by name does not load. */
export function verifierOf(choice: VerifierChoice, addonFile?: string): Verifier {
  if (choice === 'auto') return fastestVerifier({ addonFile });
  const verifier = fastestVerifier({ allow: [choice], addonFile });
  if (verifier.name === choice) return verifier;
  const reason = verifier.addonFault ?? 'its binary does not load here';
  throw new P2PError('SETTINGS_INVALID', `p2p_verifier is ${choice}, but ${reason} (expected e.g. auto)`);
}

interface VerifierOptions {
  /** Default: all. node:crypto is there in any case. */
  readonly allow?: readonly Verifier['name'][];
  readonly addonFile?: string | undefined;
}

/** The first that is allowed and loads: the addon, libsodium, node:crypto. */
export function fastestVerifier({ allow, addonFile }: VerifierOptions = {}): Verifier {
  const isAllowed = (name: Verifier['name']) => allow?.includes(name) ?? true;
  const addon = isAllowed('native') ? loadNativeAddon(addonFile) : undefined;
  if (typeof addon === 'object') return nativeVerifier(addon);
  const fault = addon === undefined ? {} : { addonFault: addon };
  return { ...(isAllowed('libsodium') ? sodiumOrCrypto() : cryptoOnly()), ...fault };
}

const isRightLength = (signature: Uint8Array) => signature.byteLength === SIGNATURE_BYTES;

/** Its results are those of Go: nothing is checked again. */
function nativeVerifier(addon: NativeAddon): Verifier {
  const { verify, verifyPacked, verifyPackedAsync, keptKeys } = addon;
  return { name: 'native', verify, verifyPacked, verifyPackedAsync, ...(keptKeys && { keptKeys }) };
}

function sodiumOrCrypto(): Verifier {
  const sodium = sodiumVerifier();
  if (sodium === undefined) return cryptoOnly();
  // It refuses keys and R of small order that Go accepts, as node:crypto does: to verify again would find none of them.
  return { name: 'libsodium', verify: (key, sig, message) => isRightLength(sig) && sodium(key, sig, message) };
}

function cryptoOnly(): Verifier {
  const keys = newKeyCache();
  const crypto = cryptoVerifier(keys);
  const verify: Verify = (key, sig, message) => isRightLength(sig) && crypto(key, sig, message);
  return { name: 'node:crypto', verify, keptKeys: () => keys.size };
}

/** Metrics that show the addon's keys already: those are kept once per process, for all its nodes. */
const showAddon = new WeakSet<Metrics>();

export function showKeptKeys(metrics: Metrics, { name, keptKeys }: Pick<Verifier, 'name' | 'keptKeys'>): void {
  if (name === 'native') {
    if (showAddon.has(metrics)) return;
    showAddon.add(metrics);
  }
  gaugeWithBound(
    metrics,
    {
      name: 'teranode_p2p_verification_keys',
      boundName: 'teranode_p2p_verification_keys_bound',
      help: 'Public keys kept for verification; a key in both halves of the cache counts twice',
    },
    keptKeys ?? (() => 0),
    keptKeys === undefined ? 0 : MAX_CACHED_KEYS,
  );
}
