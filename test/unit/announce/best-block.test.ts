// Requests for our best block: answered once for all who ask within two seconds, and only while the chain runs.
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
  const told: Notification[] = [];
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
    notify: (each) => told.push(each),
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
  return { announcer, chain, said, told, outcome, metrics, pass, count };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('best block', () => {
  test('is announced when somebody asks, and told to watchers', async () => {
    const { announcer, said, told, pass } = setUp();
    announcer.asked(PEER);
    await pass(100);
    expect(said.map(({ text }) => text)).toEqual([`{"Height":2,"Hash":"${BEST.hash}"}`]);
    expect(told).toMatchObject([{ type: 'best_block', isOwn: true, hash: BEST.hash, height: 2, peerId: OWN }]);
  });

  test('a thousand who ask get one answer in two seconds, and who comes late gets the next', async () => {
    const { announcer, said, pass } = setUp();
    for (let i = 0; i < 50; i += 1) {
      for (let peer = 0; peer < 20; peer += 1) announcer.asked(`peer${peer}` as PeerId);
      await pass(100);
    }
    await pass(5 * SECOND);
    const times = said.map(({ atMs }) => atMs);
    expect(times).toHaveLength(4);
    times.slice(1).forEach((time, i) => {
      expect(time - (times[i] ?? 0)).toBeGreaterThanOrEqual(2 * SECOND);
    });
  });

  test('we do not answer ourselves', async () => {
    const { announcer, said, pass } = setUp();
    announcer.asked(OWN);
    await pass(5 * SECOND);
    expect(said).toEqual([]);
  });

  test.each(['IDLE', 'CATCHINGBLOCKS', 'LEGACYSYNCING'] as const)('silent while the chain is %s', async (state) => {
    const { announcer, chain, said, pass, count } = setUp();
    chain.state = state;
    announcer.asked(PEER);
    await pass(3 * SECOND);
    expect([said.length, count('silent')]).toEqual([0, 1]);
    chain.state = 'RUNNING';
    announcer.asked(PEER);
    await pass(100);
    expect(said).toHaveLength(1);
  });

  test('a chain that fails or hangs costs an answer, and late ones are not published', async () => {
    const { announcer, chain, said, pass, count } = setUp();
    chain.mood = 'fails';
    announcer.asked(PEER);
    await pass(3 * SECOND);
    chain.mood = 'hangs';
    announcer.asked(PEER);
    await pass(5 * SECOND);
    expect(count('failed')).toBe(2);
    announcer.asked(PEER);
    await pass(5 * SECOND);
    expect(chain.open).toBe(1);
    chain.release();
    await pass(5 * SECOND);
    expect(said).toEqual([]);
    announcer.asked(PEER);
    await pass(100);
    expect(said).toHaveLength(1);
  });

  test('what the node keeps to itself is not told', async () => {
    const { announcer, outcome, told, pass, count } = setUp();
    outcome.publish = async () => 'suppressed';
    announcer.asked(PEER);
    await pass(100);
    expect([told.length, count('suppressed')]).toEqual([0, 1]);
  });

  test('we ask with our own id', async () => {
    const { announcer, said, metrics } = setUp();
    expect(await announcer.request()).toBe('published');
    expect(said).toMatchObject([{ topic: 'best_block', text: '{"PeerID":"own"}' }]);
    const requests = { kind: 'best_block_request', outcome: 'published' };
    expect(metrics.count('teranode_p2p_announcements_total', requests)).toBe(1);
  });

  test('nothing after stop', async () => {
    const { announcer, chain, said, pass } = setUp();
    chain.mood = 'hangs';
    announcer.asked(PEER);
    await pass(100);
    await Promise.all([announcer.stop(), announcer.stop()]);
    chain.release();
    announcer.asked(PEER);
    await pass(5 * SECOND);
    expect(said).toEqual([]);
  });
});
