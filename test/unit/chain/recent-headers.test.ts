// Recent headers of our chain in memory, from a blockchain service that grows, reorganizes, fails and is slow.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ChainTracker } from '../../../src/chain/tracker.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { targetFromCompact } from '../../../src/wire/header.ts';
import { FakeBlockchain } from '../../fakes/blockchain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { eventually } from '../../support/eventually.ts';

const BITS = 0x207fffff;
const { signal } = new AbortController();

async function following(length: number, chain = new FakeBlockchain()) {
  const hashes = chain.grow(length);
  const own = tracked(chain);
  await own.start(signal);
  return { chain, own, hashes };
}

/** Whether every hash has its height. */
function knows(own: ChainTracker, hashes: readonly Hash[], from = 0): boolean {
  return hashes.slice(from).every((hash, i) => own.heightOf(hash) === from + i);
}

const until = (condition: () => boolean) => eventually(() => expect(condition()).toBe(true));

describe('start of the tracker', () => {
  test('reads the tip at once, and the headers below it soon', async () => {
    const { chain, own, hashes } = await following(50);
    const tip = hashes[49] as Hash;
    expect(own.tip()).toEqual({ hash: tip, height: 49, target: targetFromCompact(BITS), time: chain.timeOf(tip) });
    expect(own.heightOf(tip)).toBe(49);
    await until(() => knows(own, hashes));
    expect(own.heightOf('ff'.repeat(32) as Hash)).toBeUndefined();
    await own.stop();
  });

  test('reads no other header of a chain of one block', async () => {
    const { own, hashes, chain } = await following(1);
    await until(() => chain.readings > 0);
    expect(own.heightOf(hashes[0] as Hash)).toBe(0);
    await own.stop();
    expect(chain.headerCalls).toBe(0);
  });

  test('reads a day of a long chain and no more', async () => {
    const { own, hashes, chain } = await following(300);
    await until(() => knows(own, hashes, 160));
    await own.stop();
    expect(own.heightOf(hashes[100] as Hash)).toBeUndefined();
    expect(chain.headerCalls).toBe(144);
  });

  test('fails when the service fails, and leaves no subscription', async () => {
    const chain = new FakeBlockchain();
    chain.grow(3);
    chain.fails = () => true;
    const own = tracked(chain);
    await expect(own.start(signal)).rejects.toThrow('RPC');
    expect(chain.subscribers).toBe(0);
    await own.stop();
  });
});

describe('a tracker that follows the chain', () => {
  test('knows a new block after its notification, with few calls', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const before = chain.headerCalls;
    for (let i = 0; i < 5; i += 1) {
      const [next] = chain.grow(1);
      chain.tell({ type: 'block', hash: next as Hash });
      await until(() => own.tip()?.hash === next);
      expect(own.heightOf(next as Hash)).toBe(20 + i);
    }
    await own.stop();
    expect(chain.headerCalls - before).toBeLessThanOrEqual(10);
  });

  test('reads the blocks in between when only the last of several was notified', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const more = chain.grow(30);
    chain.tell({ type: 'block', hash: more[29] as Hash });
    await until(() => knows(own, [...hashes, ...more]));
    await own.stop();
  });

  test('reads once for many notifications, and not for other kinds of them', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    await own.stop();
    const again = await following(0, chain);
    await until(() => knows(again.own, hashes));
    const before = chain.readings;
    for (let i = 0; i < 100; i += 1) chain.tell({ type: 'block', hash: hashes[19] as Hash });
    chain.tell({ type: 'mining_on', hash: hashes[19] as Hash });
    chain.tell({ type: 'fsm_state', state: 'RUNNING' });
    await until(() => chain.readings > before);
    await again.own.stop();
    expect(chain.readings - before).toBeLessThanOrEqual(2);
  });

  test('knows the new branch and the heights of both branches after a reorganization', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const branch = chain.fork(14, 8);
    chain.tell({ type: 'block', hash: branch[7] as Hash });
    await until(() => branch.every((hash, i) => own.heightOf(hash) === 15 + i));
    expect(own.tip()).toMatchObject({ hash: branch[7], height: 22 });
    expect(own.heightOf(hashes[19] as Hash)).toBe(19);
    await own.stop();
  });

  test('does not take an unknown or invalid block for the tip', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const before = chain.readings;
    chain.tell({ type: 'block', hash: 'ee'.repeat(32) as Hash });
    await until(() => chain.readings > before);
    await own.stop();
    expect(own.tip()?.hash).toBe(hashes[19]);
  });
});

describe('a blockchain service that fails', () => {
  test('leaves the known tip, and the next block is read', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    chain.fails = (call) => call === 'tip';
    const [lost] = chain.grow(1);
    chain.tell({ type: 'block', hash: lost as Hash });
    await until(() => chain.failures > 0);
    expect(own.tip()?.hash).toBe(hashes[19]);
    chain.fails = () => false;
    const [next] = chain.grow(1);
    chain.tell({ type: 'block', hash: next as Hash });
    await until(() => knows(own, [...hashes, lost as Hash, next as Hash]));
    await own.stop();
  });

  test('ends the reading when it does not know a parent', async () => {
    const chain = new FakeBlockchain();
    const hashes = chain.grow(20);
    chain.forget(hashes[10] as Hash);
    const own = tracked(chain);
    await own.start(signal);
    await until(() => knows(own, hashes, 11));
    await own.stop();
    expect(own.heightOf(hashes[10] as Hash)).toBeUndefined();
  });
});

describe('a reading that failed', () => {
  const SECOND = 1000;
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('continues by itself where it ended, and reads nothing twice', async () => {
    const chain = new FakeBlockchain();
    let calls = 0;
    chain.fails = (call) => call === 'header' && ++calls === 10;
    const { own, hashes } = await following(50, chain);
    await pass(0);
    expect(chain.failures).toBe(1);
    expect([own.heightOf(hashes[45] as Hash), own.heightOf(hashes[10] as Hash)]).toEqual([45, undefined]);
    await pass(SECOND);
    expect(knows(own, hashes)).toBe(true);
    expect(chain.headerCalls).toBe(50);
    await own.stop();
  });

  test('of the tip is repeated without another block notification', async () => {
    const { chain, own, hashes } = await following(20);
    await pass(0);
    chain.fails = () => true;
    const more = chain.grow(2);
    chain.tell({ type: 'block', hash: more[1] as Hash });
    await pass(500);
    chain.fails = () => false;
    await pass(SECOND);
    expect(own.tip()?.hash).toBe(more[1]);
    expect(knows(own, [...hashes, ...more])).toBe(true);
    await own.stop();
  });

  test('leaves no gap while blocks keep coming, however often it failed', async () => {
    const { chain, own, hashes } = await following(20);
    await pass(0);
    const all = [...hashes];
    let calls = 0;
    chain.fails = (call) => call === 'header' && ++calls % 4 === 0;
    for (let i = 0; i < 10; i += 1) {
      const more = chain.grow(5);
      all.push(...more);
      chain.tell({ type: 'block', hash: more[4] as Hash });
      await pass(10);
    }
    expect(knows(own, all)).toBe(false);
    chain.fails = () => false;
    await pass(60 * SECOND);
    expect(knows(own, all)).toBe(true);
    await own.stop();
  });

  test('is repeated less and less often while the service is down, and at once after a block notification', async () => {
    const { chain, own } = await following(20);
    await pass(0);
    chain.fails = () => true;
    chain.tell({ type: 'block', hash: 'ee'.repeat(32) as Hash });
    const readings: number[] = [];
    for (let i = 0; i < 10; i += 1) {
      const before = chain.readings;
      await pass(60 * SECOND);
      readings.push(chain.readings - before);
    }
    expect(readings).toEqual([6, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    const before = chain.readings;
    chain.tell({ type: 'block', hash: 'ee'.repeat(32) as Hash });
    await pass(0);
    expect(chain.readings).toBe(before + 1);
    await own.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('does not change the interval of five minutes afterwards', async () => {
    const { chain, own } = await following(20);
    await pass(0);
    const before = chain.readings;
    await pass(3600 * SECOND);
    expect(chain.readings - before).toBe(12);
    await own.stop();
  });
});

describe('stop of the tracker', () => {
  test('ends a reading after the call under way, unsubscribes, and may be called twice', async () => {
    const chain = new FakeBlockchain();
    const gate = Promise.withResolvers<void>();
    chain.before = (call) => (call === 'header' ? gate.promise : undefined);
    const { own } = await following(100, chain);
    await until(() => chain.headerCalls === 1);
    const stopping = Promise.all([own.stop(), own.stop()]);
    expect(chain.subscribers).toBe(0);
    gate.resolve();
    await stopping;
    expect(chain.headerCalls).toBe(1);
  });

  test('prevents a reading that has not begun', async () => {
    const { own, chain } = await following(10);
    const before = chain.readings;
    await own.stop();
    expect(chain.readings - before).toBeLessThanOrEqual(0);
  });

  test('during start leaves no subscription behind', async () => {
    const chain = new FakeBlockchain();
    chain.grow(3);
    const gate = Promise.withResolvers<void>();
    chain.before = () => gate.promise;
    const own = tracked(chain);
    const starting = own.start(signal);
    await own.stop();
    gate.resolve();
    await starting;
    expect(chain.subscribers).toBe(0);
  });

  test('before start does nothing', async () => {
    const own = tracked(new FakeBlockchain());
    await own.stop();
    expect(own.tip()).toBeUndefined();
  });
});
