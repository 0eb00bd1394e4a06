// Requests for our best block: one announcement per two seconds answers all of them, and only at RUNNING.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BestBlockAnnouncer } from '../../../src/announce/best-block.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import type { PublishOutcome } from '../../../src/ports/p2p-node.ts';
import { publisherTo } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { BEST, ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';

const OWN = 'own' as PeerId;
const PEER = 'peer' as PeerId;
const SECOND = 1000;

function setUp() {
  const clock = new FakeClock();
  const chain = new ScriptedChain();
  const metrics = new RecordedMetrics();
  const said: { topic: string; text: string; atMs: number }[] = [];
  const notified: Notification[] = [];
  const outcome: { publish: () => Promise<PublishOutcome> } = { publish: async () => 'published' };
  const publisher = publisherTo(async (topic, bytes) => {
    const result = await outcome.publish();
    if (result === 'published') said.push({ topic, text: Buffer.from(bytes).toString(), atMs: clock.now() });
    return result;
  });
  const announcer = new BestBlockAnnouncer({
    publisher,
    ownId: OWN,
    chain: tracked(chain, { clock }),
    notify: (each) => notified.push(each),
    clock,
    log: recordingLogger(),
    metrics,
  });
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 100) {
      clock.advance(Math.min(100, left));
      await vi.advanceTimersByTimeAsync(Math.min(100, left));
    }
  };
  const count = (outcome: string) => metrics.count('teranode_p2p_announcements_total', { kind: 'best_block', outcome });
  return { announcer, chain, said, notified, outcome, metrics, pass, count };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('best block', () => {
  test('is announced on request, and notified to subscribers', async () => {
    const { announcer, said, notified, pass } = setUp();
    announcer.requested(PEER);
    await pass(100);
    expect(said.map(({ text }) => text)).toEqual([`{"Height":2,"Hash":"${BEST.hash}"}`]);
    expect(notified).toMatchObject([{ type: 'best_block', isOwn: true, hash: BEST.hash, height: 2, peerId: OWN }]);
  });

  test('is announced once in two seconds for a thousand requests, and again for a later request', async () => {
    const { announcer, said, pass } = setUp();
    for (let i = 0; i < 50; i += 1) {
      for (let peer = 0; peer < 20; peer += 1) announcer.requested(`peer${peer}` as PeerId);
      await pass(100);
    }
    await pass(5 * SECOND);
    const times = said.map(({ atMs }) => atMs);
    expect(times).toHaveLength(4);
    times.slice(1).forEach((time, i) => {
      expect(time - (times[i] ?? 0)).toBeGreaterThanOrEqual(2 * SECOND);
    });
  });

  test('is not announced for a request of our own', async () => {
    const { announcer, said, pass } = setUp();
    announcer.requested(OWN);
    await pass(5 * SECOND);
    expect(said).toEqual([]);
  });

  test.each(['IDLE', 'CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)(
    'is not announced while the FSM state is %s',
    async (state) => {
      const { announcer, chain, said, pass, count } = setUp();
      chain.state = state;
      announcer.requested(PEER);
      await pass(3 * SECOND);
      expect([said.length, count('silent')]).toEqual([0, 1]);
      chain.state = 'RUNNING';
      announcer.requested(PEER);
      await pass(100);
      expect(said).toHaveLength(1);
    },
  );

  test('is not announced when the blockchain service fails, hangs or answers late', async () => {
    const { announcer, chain, said, pass, count } = setUp();
    chain.mood = 'fails';
    announcer.requested(PEER);
    await pass(3 * SECOND);
    chain.mood = 'hangs';
    announcer.requested(PEER);
    await pass(5 * SECOND);
    expect(count('failed')).toBe(2);
    announcer.requested(PEER);
    await pass(5 * SECOND);
    expect(chain.open).toBe(1);
    chain.release();
    await pass(5 * SECOND);
    expect(said).toEqual([]);
    announcer.requested(PEER);
    await pass(100);
    expect(said).toHaveLength(1);
  });

  test('is not notified when the node suppresses the announcement', async () => {
    const { announcer, outcome, notified, pass, count } = setUp();
    outcome.publish = async () => 'suppressed';
    announcer.requested(PEER);
    await pass(100);
    expect([notified.length, count('suppressed')]).toEqual([0, 1]);
  });

  test('is requested from peers with our own peer ID', async () => {
    const { announcer, said, metrics } = setUp();
    expect(await announcer.request()).toBe('published');
    expect(said).toMatchObject([{ topic: 'best_block', text: '{"PeerID":"own"}' }]);
    const requests = { kind: 'best_block_request', outcome: 'published' };
    expect(metrics.count('teranode_p2p_announcements_total', requests)).toBe(1);
  });

  test('is not announced after stop', async () => {
    const { announcer, chain, said, pass } = setUp();
    chain.mood = 'hangs';
    announcer.requested(PEER);
    await pass(100);
    await Promise.all([announcer.stop(), announcer.stop()]);
    chain.release();
    announcer.requested(PEER);
    await pass(5 * SECOND);
    expect(said).toEqual([]);
  });
});
