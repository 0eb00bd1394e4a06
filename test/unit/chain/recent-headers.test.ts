// Our own recent chain in memory, from a blockchain service that follows, reorganises, fails, and is slow.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ChainTracker } from '../../../src/chain/tracker.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { targetFromCompact } from '../../../src/wire/header.ts';
import { FakeBlockchain } from '../../fakes/blockchain.ts';
import { tracked } from '../../fakes/tracked.ts';

const BITS = 0x207fffff;
const { signal } = new AbortController();

async function following(length: number, chain = new FakeBlockchain()) {
  const hashes = chain.grow(length);
  const own = tracked(chain);
  await own.start(signal);
  return { chain, own, hashes };
}

/** Every hash has its height. */
function knows(own: ChainTracker, hashes: readonly Hash[], from = 0): boolean {
  return hashes.slice(from).every((hash, i) => own.heightOf(hash) === from + i);
}

const until = (condition: () => boolean) => vi.waitFor(() => expect(condition()).toBe(true));

describe('start', () => {
  test('knows the tip at once, and what is beneath it soon', async () => {
    const { chain, own, hashes } = await following(50);
    const tip = hashes[49] as Hash;
    expect(own.tip()).toEqual({ hash: tip, height: 49, target: targetFromCompact(BITS), time: chain.timeOf(tip) });
    expect(own.heightOf(tip)).toBe(49);
    await until(() => knows(own, hashes));
    expect(own.heightOf('ff'.repeat(32) as Hash)).toBeUndefined();
    await own.stop();
  });

  test('of a chain of one block', async () => {
    const { own, hashes, chain } = await following(1);
    await until(() => chain.readings > 0);
    expect(own.heightOf(hashes[0] as Hash)).toBe(0);
    await own.stop();
    expect(chain.headerCalls).toBe(0);
  });

  test('reads a day of a long chain, no more', async () => {
    const { own, hashes, chain } = await following(300);
    await until(() => knows(own, hashes, 160));
    await own.stop();
    expect(own.heightOf(hashes[100] as Hash)).toBeUndefined();
    expect(chain.headerCalls).toBe(144);
  });

  test('fails with the service, and leaves no subscription', async () => {
    const chain = new FakeBlockchain();
    chain.grow(3);
    chain.fails = () => true;
    const own = tracked(chain);
    await expect(own.start(signal)).rejects.toThrow('RPC');
    expect(chain.subscribers).toBe(0);
    await own.stop();
  });
});

describe('following', () => {
  test('a new block is known when it is told of, with few calls', async () => {
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

  test('several blocks of which only the last is told: what is between is read too', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const more = chain.grow(30);
    chain.tell({ type: 'block', hash: more[29] as Hash });
    await until(() => knows(own, [...hashes, ...more]));
    await own.stop();
  });

  test('many notifications before a reading begins are one reading; other kinds are none', async () => {
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

  test('after a reorganisation the new branch is known, its tip is the tip, and heights are right on both', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const branch = chain.fork(14, 8);
    chain.tell({ type: 'block', hash: branch[7] as Hash });
    await until(() => branch.every((hash, i) => own.heightOf(hash) === 15 + i));
    expect(own.tip()).toMatchObject({ hash: branch[7], height: 22 });
    expect(own.heightOf(hashes[19] as Hash)).toBe(19);
    await own.stop();
  });

  test('a block of a branch that lost, or an invalid one, does not become the tip', async () => {
    const { chain, own, hashes } = await following(20);
    await until(() => knows(own, hashes));
    const before = chain.readings;
    chain.tell({ type: 'block', hash: 'ee'.repeat(32) as Hash });
    await until(() => chain.readings > before);
    await own.stop();
    expect(own.tip()?.hash).toBe(hashes[19]);
  });
});

describe('a service that fails', () => {
  test('at the tip: what was known stays, and the next block is read', async () => {
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

  test('that does not know a parent ends the reading', async () => {
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

describe('a reading that broke', () => {
  const SECOND = 1000;
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('goes on by itself where it ended, reading nothing twice', async () => {
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

  test('at the tip is repeated, though no further block is told', async () => {
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

  test('while blocks go on coming leaves no hole, however often it broke', async () => {
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

  test('is repeated less and less often while the service is away, and at once when a block is told', async () => {
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

  test('is no reason to read often afterwards: without news every five minutes', async () => {
    const { chain, own } = await following(20);
    await pass(0);
    const before = chain.readings;
    await pass(3600 * SECOND);
    expect(chain.readings - before).toBe(12);
    await own.stop();
  });
});

describe('stop', () => {
  test('ends a reading under way after the call in hand, unsubscribes, and may be called twice', async () => {
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

  test('a reading that has not begun is not begun', async () => {
    const { own, chain } = await following(10);
    const before = chain.readings;
    await own.stop();
    expect(chain.readings - before).toBeLessThanOrEqual(0);
  });

  test('while it starts: no subscription is left behind', async () => {
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

  test('before start is nothing', async () => {
    const own = tracked(new FakeBlockchain());
    await own.stop();
    expect(own.tip()).toBeUndefined();
  });
});
