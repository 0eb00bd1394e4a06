// News for listeners of the tracker: in the order of the service, with the header and the FSM state of each block.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { BlockNews, ChainNews, MiningOnNews } from '../../../src/chain/news.ts';
import type { BlockHash } from '../../../src/domain/ids.ts';
import type { BlockHeaderRecord, FsmState } from '../../../src/ports/blockchain-client.ts';
import { FakeBlockchain } from '../../fakes/blockchain.ts';
import { recordingLogger } from '../../fakes/recorders.ts';
import { tracked } from '../../fakes/tracked.ts';

const SECOND = 1000;
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

async function started(blocks = 20) {
  const blockchain = new FakeBlockchain();
  const hashes = blockchain.grow(blocks);
  const log = recordingLogger();
  const chain = tracked(blockchain, { log });
  await chain.start(new AbortController().signal);
  await pass(2 * SECOND);
  const news: ChainNews[] = [];
  chain.subscribe((each) => news.push(each));
  const told = (hash: BlockHash): BlockNews => {
    blockchain.tell({ type: 'block', hash });
    return news.at(-1) as BlockNews;
  };
  const move = (state: FsmState) => {
    blockchain.state = state;
    blockchain.tell({ type: 'fsm_state', state });
  };
  const reads = () => blockchain.readings + blockchain.headerCalls;
  return { blockchain, hashes, chain, news, told, move, reads, log };
}

describe('news of our chain', () => {
  test('comes in the order of the notifications, to each listener, until it unsubscribes', async () => {
    const { blockchain, chain, news, log } = await started();
    const others: string[] = [];
    const leave = chain.subscribe(({ type }) => others.push(type));
    const hash = blockchain.grow(1)[0] as BlockHash;
    const failure = { type: 'peer_failure', peerId: 'p', failureType: 'catchup', reason: 'r' } as const;
    blockchain.tell({ type: 'subtree', hash });
    blockchain.tell({ type: 'fsm_state', state: 'IDLE' });
    blockchain.tell({ type: 'block', hash });
    leave();
    blockchain.tell(failure);
    blockchain.tell({ type: 'mining_on', hash });
    expect(news.map(({ type }) => type)).toEqual(['subtree', 'fsm_state', 'block', 'peer_failure', 'mining_on']);
    expect(news[3]).toEqual(failure);
    expect(others).toEqual(['subtree', 'fsm_state', 'block']);
    expect(log.lines).toEqual([]);
    await chain.stop();
  });

  test('reaches the others when one listener throws', async () => {
    const { blockchain, chain, log } = await started();
    chain.subscribe(() => {
      throw new Error('broken listener');
    });
    const types: string[] = [];
    chain.subscribe(({ type }) => types.push(type));
    blockchain.tell({ type: 'block', hash: blockchain.grow(1)[0] as BlockHash });
    expect(types).toEqual(['block']);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await chain.stop();
  });

  test('does not come after stop', async () => {
    const { blockchain, chain, news } = await started();
    await chain.stop();
    blockchain.tell({ type: 'block', hash: blockchain.grow(1)[0] as BlockHash });
    expect(news).toEqual([]);
  });
});

describe('the header of a block', () => {
  test('is read once for all callers', async () => {
    const { blockchain, chain, told, reads } = await started();
    const before = reads();
    const hash = blockchain.grow(1)[0] as BlockHash;
    const block = told(hash);
    const records = await Promise.all([block.header(), block.header(), chain.recentBestHeader(SECOND)]);
    await pass(SECOND);
    records.push((await block.header()) as BlockHeaderRecord);
    expect(records.map((record) => record?.hash)).toEqual([hash, hash, hash, hash]);
    expect(reads() - before).toBe(1);
    await chain.stop();
  });

  test('is read again after a read that failed', async () => {
    const { blockchain, chain, told } = await started();
    const hash = blockchain.grow(1)[0] as BlockHash;
    const block = told(hash);
    blockchain.fails = () => true;
    await expect(block.header()).rejects.toThrow('RPC');
    await expect(block.header()).rejects.toThrow('RPC');
    blockchain.fails = () => false;
    expect(await block.header()).toMatchObject({ hash, height: 20 });
    await chain.stop();
  });

  test('is that of the block where the tip is another, and undefined when the service does not know the block', async () => {
    const { hashes, chain, told } = await started();
    const old = hashes[12] as BlockHash;
    expect(await told(old).header()).toMatchObject({ hash: old, height: 12 });
    expect(await told('ee'.repeat(32) as BlockHash).header()).toBeUndefined();
    expect(chain.tip()?.height).toBe(19);
    await chain.stop();
  });

  test('is read again when the block is notified again, as for one that turned out invalid', async () => {
    const { blockchain, chain, told, hashes } = await started();
    const hash = blockchain.grow(1)[0] as BlockHash;
    expect(await told(hash).header()).toMatchObject({ hash, invalid: false });
    blockchain.invalidate(hash);
    expect(await told(hash).header()).toMatchObject({ hash, invalid: true });
    await pass(0);
    expect(chain.bestHeader()?.hash).toBe(hashes[19]);
    expect(chain.tip()?.height).toBe(19);
    await chain.stop();
  });

  test('is not taken from a request that was under way before the notification', async () => {
    const { blockchain, chain, told } = await started();
    await pass(10 * SECOND);
    const gate = Promise.withResolvers<void>();
    blockchain.before = () => gate.promise;
    blockchain.answersAsOfRequest = true;
    const older = chain.recentBestHeader();
    const hash = blockchain.grow(1)[0] as BlockHash;
    const block = told(hash);
    const newer = [block.header(), chain.recentBestHeader(SECOND)];
    gate.resolve();
    expect((await older).height).toBe(19);
    expect((await Promise.all(newer)).map((record) => record?.hash)).toEqual([hash, hash]);
    expect(chain.bestHeader()?.hash).toBe(hash);
    await chain.stop();
  });
});

describe('the best header with mining-on', () => {
  test('costs no read after its block, and one read alone', async () => {
    const { blockchain, chain, told, news, reads } = await started();
    const [first, second] = [blockchain.grow(1)[0] as BlockHash, 'later'];
    await told(first).header();
    const before = reads();
    blockchain.tell({ type: 'mining_on', hash: first });
    expect(await (news.at(-1) as MiningOnNews).bestHeader()).toMatchObject({ hash: first });
    expect(reads() - before, second).toBe(0);
    const alone = blockchain.grow(1)[0] as BlockHash;
    blockchain.tell({ type: 'mining_on', hash: alone });
    expect(await (news.at(-1) as MiningOnNews).bestHeader()).toMatchObject({ hash: alone });
    expect(reads() - before).toBe(1);
    await chain.stop();
  });
});

describe('the FSM state under which news came', () => {
  test('is that of the notification before it, whatever the state is later', async () => {
    const { hashes, chain, told, move } = await started();
    const hash = hashes[19] as BlockHash;
    move('RUNNING');
    const running = told(hash);
    move('CATCHINGBLOCKS');
    const catchUp = told(hash);
    move('RUNNING');
    expect([await running.fsmState(), await catchUp.fsmState()]).toEqual(['RUNNING', 'CATCHINGBLOCKS']);
    expect(chain.fsmState()).toBe('RUNNING');
    await chain.stop();
  });

  test('is asked for when the news comes, if none is known', async () => {
    const { hashes, blockchain, chain, told, move } = await started();
    const block = told(hashes[19] as BlockHash);
    await pass(0);
    blockchain.state = 'LEGACYSYNCING';
    expect(await block.fsmState()).toBe('RUNNING');
    move('CATCHINGBLOCKS');
    expect(await block.fsmState()).toBe('RUNNING');
    await chain.stop();
  });

  test('is the one that follows for news at IDLE', async () => {
    const { hashes, chain, told, move } = await started();
    move('IDLE');
    const block = told(hashes[19] as BlockHash);
    expect(await block.fsmState()).toBe('IDLE');
    move('LEGACYSYNCING');
    expect(await block.fsmState()).toBe('LEGACYSYNCING');
    move('RUNNING');
    expect(await block.fsmState()).toBe('LEGACYSYNCING');
    await chain.stop();
  });
});

describe('a catch-up', () => {
  test('of a thousand blocks costs a few reads of the tip, and its last block is known', async () => {
    const { blockchain, hashes, chain, told, move } = await started();
    move('CATCHINGBLOCKS');
    await pass(SECOND);
    const before = blockchain.readings;
    for (let i = 0; i < 1000; i += 1) {
      hashes.push(...blockchain.grow(1));
      told(hashes.at(-1) as BlockHash);
      if (i % 100 === 99) await pass(10);
    }
    await pass(0);
    expect(chain.tip()).toMatchObject({ hash: hashes.at(-1), height: 1019 });
    expect(blockchain.readings - before).toBeLessThanOrEqual(11);
    await chain.stop();
  });

  test('outdates the tip when it ends: the next caller gets one that was read afterwards', async () => {
    const { blockchain, chain, move } = await started();
    move('CATCHINGBLOCKS');
    await chain.recentBestHeader();
    const hash = blockchain.grow(5).at(-1);
    expect((await chain.recentBestHeader(10 * SECOND)).height).toBe(19);
    move('RUNNING');
    expect((await chain.recentBestHeader(10 * SECOND)).hash).toBe(hash);
    await chain.stop();
  });
});
