// Both verifiers accept valid signatures and nothing else.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { describe, expect, test } from 'vitest';
import {
  cryptoVerifier,
  fastestVerifier,
  sodiumVerifier,
  verifierOf,
} from '../../../src/adapters/libp2p/patches/ed25519.ts';

const sodium = sodiumVerifier();

describe.each([
  ['libsodium', sodium],
  ['node:crypto', cryptoVerifier()],
] as const)('%s', (_name, verify) => {
  test('accepts the signature and refuses another message, key or signature', async () => {
    if (verify === undefined) throw new Error('libsodium does not load on this machine');
    const [key, other] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')];
    for (let i = 0; i < 50; i += 1) {
      const message = Buffer.from(`message ${i}`);
      const signature = Buffer.from(await key.sign(message));
      expect(verify(key.publicKey.raw, signature, message)).toBe(true);
      expect(verify(other.publicKey.raw, signature, message)).toBe(false);
      expect(verify(key.publicKey.raw, signature, Buffer.from('another'))).toBe(false);
      signature[i % 64] = (signature[i % 64] ?? 0) ^ 1;
      expect(verify(key.publicKey.raw, signature, message)).toBe(false);
    }
  });
});

test('the fastest verifier is libsodium; a signature of another length is invalid, not an error', async () => {
  const { name, verify } = fastestVerifier();
  expect(name).toBe('libsodium');
  const key = await generateKeyPair('Ed25519');
  const message = Buffer.from('m');
  const signature = await key.sign(message);
  expect(verify(key.publicKey.raw, signature, message)).toBe(true);
  expect(verify(key.publicKey.raw, signature.subarray(1), message)).toBe(false);
  expect(verify(key.publicKey.raw, new Uint8Array(0), message)).toBe(false);
});

test.each(['libsodium', 'node:crypto'] as const)('the verifier %s is used where it is chosen', async (choice) => {
  const { name, verify } = verifierOf(choice);
  expect(name).toBe(choice);
  const key = await generateKeyPair('Ed25519');
  const message = Buffer.from('m');
  const signature = await key.sign(message);
  expect(verify(key.publicKey.raw, signature, message)).toBe(true);
  expect(verify(key.publicKey.raw, signature, Buffer.from('another'))).toBe(false);
  expect(verify(key.publicKey.raw, signature.subarray(1), message)).toBe(false);
});

test('without a choice the fastest verifier is used', () => {
  expect(verifierOf('auto').name).toBe(fastestVerifier().name);
});
