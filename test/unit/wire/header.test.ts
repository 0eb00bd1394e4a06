// Real headers of several chains, and the same ones damaged.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  checkProofOfWork,
  compactFromTarget,
  encodeHeader,
  hashHeader,
  parseHeader,
  targetFromCompact,
  workOfTarget,
} from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { dataJson } from '../../support/recorded.ts';
import { REPO } from '../../support/repo.ts';

interface KnownHeader {
  readonly header: string;
  readonly hash: string;
}

const recent = dataJson<KnownHeader[]>('headers/bsv-886001-886400.json');
const tests = dataJson<Record<'testnet' | 'teratestnet', KnownHeader[]>>('headers/testnets.json');
const blocks = dataJson<(KnownHeader & { network: string })[]>('blocks/blocks.json').filter(
  ({ network }) => network === 'mainnet',
);
const early = readFileSync(join(REPO, 'test/data/headers/mainnet-0-4999.bin'));

const KNOWN = [
  ['mainnet', recent],
  ['mainnet', blocks],
  ['testnet', tests.testnet],
  ['teratestnet', tests.teratestnet],
] as const;

describe('real block headers', () => {
  test.each(KNOWN)('%s headers have their hash and work, and encode to the same bytes', (network, headers) => {
    expect(headers.length).toBeGreaterThan(0);
    for (const { header, hash } of headers) {
      const bytes = Buffer.from(header, 'hex');
      const parsed = parseHeader(bytes);
      expect(hashHeader(bytes)).toBe(hash);
      expect(checkProofOfWork(bytes, NETWORKS[network].powLimitBits)).toBe('ok');
      expect(parsed && Buffer.from(encodeHeader(parsed)).toString('hex')).toBe(header);
    }
  });

  test('the first 5,000 headers of mainnet form a chain', () => {
    let previous = '0'.repeat(64);
    for (let at = 0; at < early.length; at += 80) {
      const bytes = early.subarray(at, at + 80);
      expect(parseHeader(bytes)?.previousHash).toBe(previous);
      expect(checkProofOfWork(bytes, NETWORKS.mainnet.powLimitBits)).toBe('ok');
      previous = hashHeader(bytes);
    }
    expect(previous).toBe(hashHeader(early.subarray(-80)));
  });

  test('a flipped bit anywhere destroys the proof of work', () => {
    const bytes = Buffer.from(recent[0]?.header ?? '', 'hex');
    for (let bit = 0; bit < 640; bit += 7) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(checkProofOfWork(damaged, NETWORKS.mainnet.powLimitBits)).not.toBe('ok');
    }
  });

  test('rejects a target easier than the network allows, however low the hash', () => {
    const regtest = NETWORKS.regtest.genesisHeader;
    expect(checkProofOfWork(regtest, NETWORKS.regtest.powLimitBits)).toBe('ok');
    expect(checkProofOfWork(regtest, NETWORKS.mainnet.powLimitBits)).toBe('bad_target');
  });

  test('rejects headers that are not 80 bytes long', () => {
    for (const length of [0, 79, 81]) expect(parseHeader(new Uint8Array(length))).toBeUndefined();
  });

  test('every network has a genesis header with valid work', () => {
    const known = {
      mainnet: '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f',
      testnet: '000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943',
      stn: '000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943',
      regtest: '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206',
      teratestnet: '000000000499eabba0a88f5b3747231c74b9191c1a4a04b2c2ea817976b7776d',
      tstn: '000000005d221c0e023cb56b5682cf094f32cd959958b40bc931e5797cae706c',
    };
    for (const network of Object.values(NETWORKS)) {
      expect(hashHeader(network.genesisHeader)).toBe(known[network.name]);
      expect(checkProofOfWork(network.genesisHeader, network.powLimitBits)).toBe('ok');
    }
  });
});

describe('compact targets', () => {
  test.each([
    [0x1d00ffff, 0xffffn << 208n],
    [0x207fffff, 0x7fffffn << 232n],
    [0x03123456, 0x123456n],
    [0x02008000, 0x80n],
    [0x05009234, 0x92340000n],
  ])('%i', (bits, target) => {
    expect(targetFromCompact(bits)).toBe(target);
    expect(targetFromCompact(compactFromTarget(target))).toBe(target);
  });

  test.each([0, 0x01003456, 0x04923456, 0x00123456, 0x22123456, 0xff7fffff, 0x20ffffff, 0x1d000000])(
    '%i is none',
    (bits) => {
      expect(targetFromCompact(bits)).toBeUndefined();
    },
  );

  test('computes work as the expected number of hashes', () => {
    expect(workOfTarget(0xffffn << 208n)).toBe(4295032833n);
    expect(workOfTarget((1n << 256n) - 1n)).toBe(1n);
  });
});
