// Makes Ed25519 verification affordable: half of a receiver's CPU went into it. libp2p imports each key as JWK for every message; here
// libsodium verifies (2 times faster), or, where its binary does not load, node:crypto with cached key objects. docs/adr/0004.
import { createPublicKey, verify as cryptoVerify, type KeyObject } from 'node:crypto';
import { createRequire } from 'node:module';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { LRUCache } from 'lru-cache';

/** The one function of sodium-native that is used (the package carries no types). */
interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean;
}

type Verify = (publicKey: Uint8Array, signature: Uint8Array, message: Uint8Array) => boolean;

/** DER header of an Ed25519 SubjectPublicKeyInfo (RFC 8410); the 32 raw bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
/** Authors seen at a time on a network of some hundreds of nodes, with room. */
const MAX_CACHED_KEYS = 4096;
const SIGNATURE_BYTES = 64;

/** node:crypto with one key object an author instead of one a message. */
export function cryptoVerifier(): Verify {
  const keys = new LRUCache<string, KeyObject>({ max: MAX_CACHED_KEYS });
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

let installed: 'libsodium' | 'node:crypto' | undefined;

/** Replaces `verify` once on the class of libp2p's Ed25519 public keys. Returns what verifies from now on. */
export async function installFastVerify(): Promise<'libsodium' | 'node:crypto'> {
  if (installed !== undefined) return installed;
  const sodium = sodiumVerifier();
  const crypto = cryptoVerifier();
  // libsodium refuses keys of small order that Go accepts: what it refuses is asked again, so that no honest relay is blamed for one.
  const verify: Verify =
    sodium === undefined
      ? crypto
      : (key, signature, message) => sodium(key, signature, message) || crypto(key, signature, message);
  const { publicKey } = await generateKeyPair('Ed25519');
  const prototype = Object.getPrototypeOf(publicKey) as {
    verify: (
      this: { raw: Uint8Array },
      data: Uint8Array | { subarray(): Uint8Array },
      signature: Uint8Array,
    ) => boolean;
  };
  prototype.verify = function fastVerify(data, signature) {
    if (signature.byteLength !== SIGNATURE_BYTES) return false;
    return verify(this.raw, signature, data instanceof Uint8Array ? data : data.subarray());
  };
  installed = sodium === undefined ? 'node:crypto' : 'libsodium';
  return installed;
}
