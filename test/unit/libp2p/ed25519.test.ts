// Every verifier accepts valid signatures and nothing else, and one that does not load is replaced by the next.
// test/system/native-verification.test.ts tests the native addon.

import * as crypto from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { describe, expect, test, vi } from 'vitest';
import {
  cryptoVerifier,
  fastestVerifier,
  showKeptKeys,
  sodiumVerifier,
  verifierOf,
} from '../../../src/adapters/libp2p/patches/ed25519.ts';
import { PrometheusMetrics } from '../../../src/adapters/metrics/prometheus.ts';
import { summedMetrics } from '../../../src/app/summed-metrics.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

vi.mock('node:crypto', { spy: true });

const sodium = sodiumVerifier();

describe.each([
  ['libsodium', sodium],
  ['node:crypto', cryptoVerifier()],
  ['the fastest', fastestVerifier().verify],
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

describe.each([
  ['libsodium', ['libsodium']],
  ['node:crypto', ['node:crypto']],
  ['node:crypto', []],
] as const)('%s, when %j is allowed,', (expected, allow) => {
  test('is chosen; a signature of another length is invalid, not an error', async () => {
    const { name, verify, verifyPacked, addonFault } = fastestVerifier({ allow });
    expect({ name, verifyPacked, addonFault }).toEqual({ name: expected });
    const key = await generateKeyPair('Ed25519');
    const message = Buffer.from('m');
    const signature = await key.sign(message);
    expect(verify(key.publicKey.raw, signature, message)).toBe(true);
    expect(verify(key.publicKey.raw, signature.subarray(1), message)).toBe(false);
    expect(verify(key.publicKey.raw, new Uint8Array(0), message)).toBe(false);
  });
});

/** JavaScript in the place of the addon. */
const YES = 'exports.verify = () => true; exports.verifyPackedAsync = async () => {};';

test.each<[string, string, string | undefined, RegExp]>([
  ['is not built', 'addon.node', undefined, /^not built: /],
  ['is no library', 'addon.node', 'text', /^does not load: /],
  ['throws', 'addon.cjs', 'throw new Error("another Node.js")', /^does not load: another Node.js$/],
  ['lacks a function', 'addon.cjs', YES, /^has no function verifyPacked$/],
  [
    'accepts everything',
    'addon.cjs',
    `${YES} exports.verifyPacked = (p, n, results) => results.fill(1);`,
    /^verifies wrongly$/,
  ],
])('libsodium is chosen where the addon %s, and the reason is given', (_what, name, text, reason) => {
  const addonFile = join(temporaryFolder('addon'), name);
  if (text !== undefined) writeFileSync(addonFile, text);
  const { name: chosen, verifyPacked, verifyPackedAsync, addonFault } = fastestVerifier({ addonFile });
  expect({ chosen, verifyPacked, verifyPackedAsync }).toEqual({ chosen: 'libsodium' });
  expect(addonFault).toMatch(reason);
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

test('a wrong signature costs one verification with libsodium, not another one with node:crypto', async () => {
  const { verify } = verifierOf('libsodium');
  const key = await generateKeyPair('Ed25519');
  const signature = await key.sign(Buffer.from('m'));
  vi.mocked(crypto.verify).mockClear();
  expect(verify(key.publicKey.raw, signature, Buffer.from('another'))).toBe(false);
  expect(crypto.verify).not.toHaveBeenCalled();
  expect(verifierOf('node:crypto').verify(key.publicKey.raw, signature, Buffer.from('another'))).toBe(false);
  expect(crypto.verify).toHaveBeenCalledOnce();
});

test('without a choice the fastest verifier is used', () => {
  expect(verifierOf('auto').name).toBe(fastestVerifier().name);
});

test('the native verifier, where it is chosen and not built, is a fault of the settings', () => {
  expect(() => verifierOf('native', join(temporaryFolder('addon'), 'addon.node'))).toThrow(
    /^p2p_verifier is native, but not built: .*\(expected e\.g\. auto\)$/,
  );
});

test('the metric of kept keys counts those of each node, and those of the addon once', async () => {
  const values = async (...verifiers: Parameters<typeof showKeptKeys>[1][]) => {
    const metrics = new PrometheusMetrics();
    const summed = summedMetrics(metrics);
    for (const verifier of verifiers) showKeptKeys(summed, verifier);
    const { body } = await metrics.scrape();
    return [...body.matchAll(/^teranode_p2p_verification_keys(?:_bound)? (\d+)$/gm)].map(([, value]) => Number(value));
  };
  const first = verifierOf('node:crypto');
  const [key, message] = [await generateKeyPair('Ed25519'), Buffer.from('message')];
  first.verify(key.publicKey.raw, await key.sign(message), message);
  expect(await values(first, verifierOf('node:crypto'))).toEqual([1, 8192]);
  const native = { name: 'native', keptKeys: () => 7 } as const;
  expect(await values(native, native)).toEqual([7, 4096]);
  expect(await values({ name: 'libsodium' })).toEqual([0, 0]);
});
