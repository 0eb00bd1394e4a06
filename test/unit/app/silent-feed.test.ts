// What operators see of a feed that went silent: one line in the log, a metric, a check of readiness.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Nodes } from '../../../src/app/nodes.ts';
import { createSilentFeed } from '../../../src/app/silent-feed.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { P2PNetwork } from '../../../src/ports/network.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

const TOPIC = 'bitcoin/regtest-node_status';
const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function feedOf(text = '') {
  const { settings } = loadText(`${MINIMAL_SETTINGS}\np2p_silent_after = 60s\n${text}`);
  const [clock, metrics, log] = [new FakeClock(), new RecordedMetrics(), recordingLogger()];
  const nodes = new Nodes();
  const joined = { name: TOPIC, subscribers: () => [PEER], mesh: () => [] };
  vi.spyOn(nodes, 'getTopic').mockImplementation((name) => (name === TOPIC ? joined : undefined));
  const networks = [{ topics: { node_status: TOPIC } }] as unknown as readonly P2PNetwork[];
  const feed = createSilentFeed(settings, { clock, metrics, log, random: Math.random, nodes, networks });
  feed.start();
  const pass = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(1001);
    clock.advance(ms);
    await vi.advanceTimersByTimeAsync(1001);
  };
  return { feed, metrics, pass, events: () => log.lines.map(({ level, event }) => `${level} ${event}`) };
}

test('a silent feed is logged once, shown by the metric and by readiness, and its recovery is logged once', async () => {
  const { feed, metrics, pass, events } = feedOf();
  await pass(61_000);
  await pass(61_000);
  expect(feed.health()).toEqual({ ok: true, details: expect.stringMatching(/^degraded: no valid message for 122 s/) });
  expect(metrics.gaugeValue('teranode_p2p_feed_silent')).toBe(1);
  feed.heard(TOPIC);
  feed.heard(TOPIC);
  expect(metrics.gaugeValue('teranode_p2p_feed_silent')).toBe(0);
  expect(events()).toEqual([expect.stringContaining('warn feed went silent'), 'info feed recovered']);
  feed.stop();
});

test('a silent feed fails readiness only where the setting says so', async () => {
  const { feed, pass } = feedOf('p2p_silent_fails_readiness = true');
  expect(feed.health().ok).toBe(true);
  await pass(61_000);
  expect(feed.health().ok).toBe(false);
  feed.stop();
});

test('a feed is never silent when the bound is 0', async () => {
  const { feed, pass } = feedOf('p2p_silent_after = 0s');
  await pass(86_400_000);
  expect(feed.feed().state).toBe('flowing');
  feed.stop();
});
