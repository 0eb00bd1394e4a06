// Headers of our own chain for operators: which ones, and what they cost the blockchain service.
import { expect, test, vi } from 'vitest';
import { ChainHeaders } from '../../src/admin/chain-headers.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import type { BlockHeaderRecord } from '../../src/ports/blockchain-client.ts';
import { encodeHeader, hashHeader } from '../../src/wire/header.ts';
import { RecordedMetrics } from '../fakes/recorders.ts';

const ZEROS = '00'.repeat(32) as BlockHash;

/** A chain from the genesis block on. */
function chainOf(length: number): BlockHeaderRecord[] {
  const records: BlockHeaderRecord[] = [];
  for (let height = 0; height < length; height += 1) {
    const previousHash = records.at(-1)?.hash ?? ZEROS;
    const fields = { version: 1, previousHash, merkleRoot: ZEROS, time: height, bits: 0x207fffff, nonce: 0 };
    const header = encodeHeader(fields);
    const facts = { txCount: 1n, sizeInBytes: 1n, miner: '', chainWork: undefined, invalid: false };
    records.push({ hash: hashHeader(header), header, height, ...facts });
  }
  return records;
}

function setUp(length = 300) {
  const chain = chainOf(length);
  const byHash = new Map(chain.map((each) => [each.hash, each] as const));
  const header = vi.fn(async (hash: BlockHash) => byHash.get(hash));
  const best = chain.at(-1) as BlockHeaderRecord;
  const headers = new ChainHeaders({ bestHeader: async () => best, header, metrics: new RecordedMetrics() });
  const heights = async (block: string, count: number) =>
    (await headers.list(block, count)).map(({ height }) => height);
  return { chain, header, headers, heights };
}

test('lists headers from the tip, from a hash and from a recent height, newest first', async () => {
  const { chain, heights } = setUp();
  expect(await heights('', 3)).toEqual([299, 298, 297]);
  expect(await heights(chain[5]?.hash ?? '', 2)).toEqual([5, 4]);
  expect(await heights((chain[5]?.hash ?? '').toUpperCase(), 1)).toEqual([5]);
  expect(await heights('250', 2)).toEqual([250, 249]);
  expect(await heights('299', 1)).toEqual([299]);
});

test('ends at the genesis block, and is empty for a block that does not exist', async () => {
  const { heights } = setUp(3);
  expect(await heights('', 100)).toEqual([2, 1, 0]);
  expect(await heights('3', 1)).toEqual([]);
  expect(await heights('ab'.repeat(32), 1)).toEqual([]);
});

test('refuses a height far below the tip and other texts', async () => {
  const { headers, heights, header } = setUp();
  expect(await heights('200', 1)).toEqual([200]);
  const asked = header.mock.calls.length;
  await expect(headers.list('199', 1)).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    message: expect.stringContaining('from 200 to 299'),
  });
  for (const text of ['abc', '-1', '1.5', '99999999999', 'ab'.repeat(31)])
    await expect(headers.list(text, 1)).rejects.toMatchObject({ code: 'INPUT_INVALID' });
  expect(header).toHaveBeenCalledTimes(asked);
});

test('asks the blockchain service once for headers that it remembers, also for several answers', async () => {
  const { header, heights } = setUp();
  await heights('', 100);
  expect(header).toHaveBeenCalledTimes(99);
  await heights('', 100);
  await heights('210', 10);
  expect(header).toHaveBeenCalledTimes(99);
});

test('gives up in time when the service does not answer, and asks for nothing more', async () => {
  vi.useFakeTimers();
  try {
    const { chain } = setUp(10);
    const late = Promise.withResolvers<BlockHeaderRecord | undefined>();
    const header = vi.fn(() => late.promise);
    const best = chain.at(-1) as BlockHeaderRecord;
    const headers = new ChainHeaders({ bestHeader: async () => best, header, metrics: new RecordedMetrics() });
    const answer = headers.list('', 5);
    const refused = expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
    await vi.advanceTimersByTimeAsync(10_000);
    await refused;
    late.resolve(chain[8]);
    await vi.advanceTimersByTimeAsync(1);
    expect(header).toHaveBeenCalledTimes(1);
  } finally {
    vi.useRealTimers();
  }
});
