// The embedded chain: imports real headers, mines regtest blocks, keeps what it knows.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chainFrom, locatorOf } from '../../src/adapters/embedded-chain/chain-ranges.ts';
import { ChainStore, type StoredHeader } from '../../src/adapters/embedded-chain/chain-store.ts';
import { EmbeddedChain, type EmbeddedChainOptions } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { HEADER_ONLY } from '../../src/adapters/embedded-chain/header-rules.ts';
import type { BlockchainNotification } from '../../src/ports/blockchain-client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { encodeHeader, hashHeader, parseHeader, targetFromCompact, workOfTarget } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { blockchainConformance } from '../support/blockchain-conformance.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { GENESIS, mineChain, mineChild } from '../support/mined.ts';
import { mainnetHeaders } from '../support/network.ts';
import { waitFor } from '../support/wait.ts';

const signal = new AbortController().signal;
const headers = mainnetHeaders();

function chain(options: Partial<EmbeddedChainOptions> = {}, log = recordingLogger()): EmbeddedChain {
  return new EmbeddedChain(
    { log, clock: systemClock },
    {
      network: NETWORKS.regtest,
      path: ':memory:',
      headersFile: undefined,
      mineIntervalMs: undefined,
      minerText: '/test/',
      ...options,
    },
  );
}

async function started(options: Partial<EmbeddedChainOptions> = {}): Promise<EmbeddedChain> {
  const made = chain(options);
  await made.start(signal);
  return made;
}

function headersFile(list: readonly Uint8Array[]): string {
  const file = join(temporaryFolder('headers'), 'headers.bin');
  writeFileSync(file, Buffer.concat(list));
  return file;
}

describe('the embedded chain conforms to BlockchainClient', () => {
  blockchainConformance(async () => {
    const client = await started();
    return {
      client,
      extend: async () => client.mine(),
      setFsmState: (state) => client.setFsmState(state),
      stop: () => client.stop(),
    };
  });
});

describe('importing headers', () => {
  test.each([
    ['from genesis', headers],
    ['from block 1', headers.slice(1)],
  ])('accepts 5,000 real headers %s', async (_from, list) => {
    const made = await started({ network: NETWORKS.mainnet, headersFile: headersFile(list) });
    const best = await made.bestBlockHeader();
    expect(best).toMatchObject({ height: 4999, hash: hashHeader(headers.at(-1) ?? new Uint8Array(80)) });
    const target = targetFromCompact(parseHeader(best.header)?.bits ?? 0) ?? 1n;
    expect(best.chainWork).toBe(5000n * workOfTarget(target));
    await made.stop();
  });

  test('changes nothing when repeated, also after a restart', async () => {
    const path = join(temporaryFolder('chain'), 'chain.db');
    const options = { network: NETWORKS.mainnet, path, headersFile: headersFile(headers.slice(0, 100)) };
    const first = await started(options);
    await first.stop();
    const second = await started(options);
    expect((await second.bestBlockHeader()).height).toBe(99);
    await second.stop();
    const longer = await started({ ...options, headersFile: headersFile(headers.slice(0, 200)) });
    expect((await longer.bestBlockHeader()).height).toBe(199);
    await longer.stop();
  });

  const damaged = Buffer.from(headers[50] ?? []);
  damaged.writeUInt32LE(1, 76);

  test.each([
    ['a header without work', [...headers.slice(0, 50), damaged], /height 50/],
    ['a gap', [...headers.slice(0, 50), ...headers.slice(51, 60)], /height 50: its parent is [0-9a-f]{64} \(expected /],
    ['another chain’s genesis', [NETWORKS.testnet.genesisHeader, ...headers.slice(1, 3)], /height 1: its parent is /],
    ['a cut file', [...headers.slice(0, 3), Buffer.alloc(10)], /expected a multiple of 80/],
  ])('refuses %s and stores none of its headers', async (_what, list, message) => {
    const path = join(temporaryFolder('chain'), 'chain.db');
    const bad = chain({ network: NETWORKS.mainnet, path, headersFile: headersFile(list) });
    await expect(bad.start(signal)).rejects.toMatchObject({
      code: 'CHAIN_INVALID',
      message: expect.stringMatching(message),
    });
    await bad.stop();
    const good = await started({ network: NETWORKS.mainnet, path });
    expect((await good.bestBlockHeader()).height).toBe(0);
    await good.stop();
  });
});

describe('the embedded chain', () => {
  test('the tip is the header with most work, the first seen among equals; a former tip is not announced again', async () => {
    const made = await started();
    const heard: BlockchainNotification[] = [];
    const a = made.mine();
    made.subscribe('test', (notification) => heard.push(notification));
    const header = parseHeader(a.header);
    if (header === undefined) throw new Error('no header');
    // A sibling of `a`: as much work, seen later.
    let sibling = encodeHeader({ ...header, time: header.time + 1 });
    for (let nonce = 0; ; nonce += 1) {
      sibling = encodeHeader({ ...header, time: header.time + 1, nonce });
      if (BigInt(`0x${hashHeader(sibling)}`) <= (targetFromCompact(header.bits) ?? 0n)) break;
    }
    made.addHeader(sibling);
    expect((await made.bestBlockHeader()).hash).toBe(a.hash);
    await waitFor(() => heard.length > 0, { what: 'the tip' });
    expect(heard).toHaveLength(1);
    await made.stop();
  });

  test('refuses a header with an unknown parent; a known header changes nothing', async () => {
    const made = await started();
    const mined = made.mine();
    expect(made.addHeader(mined.header).hash).toBe(mined.hash);
    expect(() => made.addHeader(headers[5] ?? new Uint8Array(80))).toThrow(
      expect.objectContaining({ code: 'CHAIN_INVALID' }),
    );
    await made.stop();
  });

  test('the miner extends the chain on regtest and on no other network', async () => {
    const made = await started({ mineIntervalMs: 10 });
    await waitFor(async () => (await made.bestBlockHeader()).height >= 5, { what: 'five blocks' });
    expect(await made.bestBlockHeader()).toMatchObject({ miner: '/test/', txCount: 1n });
    await made.stop();
    const log = recordingLogger();
    const other = chain({ network: NETWORKS.testnet, mineIntervalMs: 10 }, log);
    await other.start(signal);
    expect(log.lines.some(({ level }) => level === 'warn')).toBe(true);
    expect((await other.bestBlockHeader()).height).toBe(0);
    await other.stop();
  });

  test('keeps its headers over a restart', async () => {
    const path = join(temporaryFolder('chain'), 'chain.db');
    const first = await started({ path });
    const tip = [first.mine(), first.mine()].at(-1);
    await first.setState('k', Buffer.from('v'));
    await first.stop();
    const second = await started({ path });
    expect((await second.bestBlockHeader()).hash).toBe(tip?.hash);
    expect(String(await second.getState('k'))).toBe(String(new Uint8Array(Buffer.from('v'))));
    await second.stop();
  });

  test('drops headers of branches at a start, and the blocks that it mined on them', async () => {
    const path = join(temporaryFolder('chain'), 'chain.db');
    const first = await started({ path });
    const [left, kept] = [first.mine(), mineChain(GENESIS.header, 3, 'kept')];
    const top = first.mine();
    for (const header of kept) first.addHeader(header);
    expect(first.block(top.hash)).toBeDefined();
    await first.stop();
    const second = await started({ path });
    expect(second.best().header).toEqual(kept[2]);
    expect(second.headersBack(second.best().hash, 10)?.map(({ height }) => height)).toEqual([3, 2, 1, 0]);
    expect([left, top].map(({ hash }) => second.header(hash) ?? second.subtree(hash))).toEqual([undefined, undefined]);
    expect(second.block(top.hash)).toBeUndefined();
    await second.stop();
  });

  test('finds its way past many branches at the same heights, reading no more headers than it is asked for', async () => {
    const store = ChainStore.open(':memory:', 'regtest');
    const main = mineChain(GENESIS.header, 300, 'main');
    const stored = (header: Uint8Array, height: number, chainWork: bigint) =>
      ({ hash: hashHeader(header), header, height, chainWork, ...HEADER_ONLY, invalid: false }) as const;
    store.insert([stored(GENESIS.header, 0, 2n), ...main.map((header, i) => stored(header, i + 1, BigInt(2 * i + 4)))]);
    for (let i = 0; i < 200; i += 1)
      store.insert([stored(mineChild(main[i % 20] as Uint8Array, `side${i}`), (i % 20) + 2, BigInt(2 * (i % 20) + 5))]);
    const tip = store.best() as StoredHeader;
    expect(store.back(tip.hash, 4).map(({ height }) => height)).toEqual([300, 299, 298, 297]);
    expect(locatorOf(store, tip).at(-1)).toBe(GENESIS.hash);
    const from = chainFrom(store, tip, [hashHeader(main[4] as Uint8Array)], 10);
    expect(from?.map(({ hash }) => hash)).toEqual(main.slice(4, 14).map(hashHeader));
    expect([store.dropBranches(), store.dropBranches()]).toEqual([200, 0]);
    expect(store.back(tip.hash, 1000)).toHaveLength(301);
    store.close();
  });

  test('refuses a store of another network and a damaged store', async () => {
    const path = join(temporaryFolder('chain'), 'chain.db');
    await (await started({ path })).stop();
    await expect(chain({ path, network: NETWORKS.mainnet }).start(signal)).rejects.toMatchObject({
      code: 'CHAIN_STORE',
    });
    writeFileSync(path, 'this is no database, and it is long enough to be read as one'.repeat(100));
    await expect(chain({ path }).start(signal)).rejects.toMatchObject({ code: 'CHAIN_STORE' });
  });

  test('a subscriber that throws does not affect other subscribers', async () => {
    const made = await started();
    const heard: string[] = [];
    made.subscribe('bad', () => {
      throw new Error('no');
    });
    made.subscribe('good', ({ type }) => heard.push(type));
    made.mine();
    await waitFor(() => heard.length === 4, { what: 'four notifications' });
    await made.stop();
  });
});
