// Thousands of identities that connect, subscribe and leave, on both wires: nothing of them stays but what is bounded.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { messageBus } from '../support/bus-network.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { COLLECTS_AT_SIGNAL, heapBytes } from '../support/heap.ts';
import { PSK, privateNetwork, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** On each wire. */
const VISITORS = 1000;
/** Fills what remembers peers that left, up to its bounds. */
const FIRST_VISITORS = 500;
const MAX_GROWTH_BYTES = 10 * 1024 * 1024;

let server: ServerProcess;
let old: GoPeer;
let bus: GoPeer;

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: {
      ...messageBus('regtest'),
      ...privateNetwork('regtest'),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      logLevel: 'WARN',
      ...COLLECTS_AT_SIGNAL,
    },
  });
  [old, bus] = await Promise.all([GoPeer.start({ psk: PSK, topics: [] }), GoPeer.start({ topics: [] })]);
});

afterAll(async () => {
  await Promise.all([old?.stop(), bus?.stop(), server?.stop()]);
});

/** In portions, because a busy machine takes more than a minute for all of them. */
const PORTION = 250;

async function visits(count: number, from: number): Promise<void> {
  for (let portion = 0; portion < count / PORTION; portion += 1) await visitsOfPortion(`127.${portion}`, from);
  await waitFor(async () => (await server.metric('teranode_p2p_connected_peers')) === 0, {
    timeoutMs: 60_000,
    what: 'the last to leave',
  });
}

async function visitsOfPortion(network: string, from: number): Promise<void> {
  const [came, others] = await Promise.all([
    old.visits({
      address: server.addressOn('go-p2p'),
      count: PORTION,
      from: `${network}.${from}`,
      topic: topicsOf('regtest').subtree,
    }),
    bus.visits({
      address: server.addressOn('message-bus'),
      count: PORTION,
      from: `${network}.${from + 1}`,
      topic: busTopics('regtest').subtree,
    }),
  ]);
  expect([came, others]).toEqual([PORTION, PORTION]);
}

/** Series of gauges with their values. */
async function gauges(): Promise<ReadonlyMap<string, number>> {
  const { body } = await server.get('/metrics');
  const names = new Set([...body.matchAll(/^# TYPE (\S+) gauge$/gm)].map(([, name]) => name));
  const lines = body.split('\n').filter((line) => names.has(/^[^ {]+/.exec(line)?.[0]));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    }),
  );
}

/** Of the process; sums and times in the form of gauges; and messages of the node itself, for two minutes. */
const OF_SOMETHING_ELSE = /^(process_|nodejs_)|_total|_seconds|_milliseconds|heartbeat_skipped|cache_size|seen_entries/;
/** Bounded memories of peers that left, whose bound is no series of the same labels. */
const MOST_REMEMBERED: readonly (readonly [RegExp, number])[] = [
  [/^teranode_p2p_registry_peers\{kind="stranger"\}/, 2000],
  [/^teranode_p2p_datastore_entries$/, 40_000],
  // Own statuses, and what visitors announce; `p2p_events_kept`.
  [/^teranode_p2p_events_kept\{/, 20_000],
  [/^teranode_p2p_events_kept_bytes$/, 16 * 1024 * 1024],
  // `p2p_max_cached_peers` on each wire.
  [/^teranode_p2p_cached_peers$/, 200],
];

test('2,000 identities that come and go leave every gauge where it was, and the heap within 10 MB', {
  timeout: 300_000,
}, async () => {
  await visits(FIRST_VISITORS, 10);
  const before = await heapBytes(server);
  const gaugesBefore = await gauges();
  await visits(VISITORS, 20);
  await waitFor(
    async () => {
      const risen = await risenGauges(gaugesBefore);
      if (risen.length > 0) throw new Error(`gauges over what they were: ${risen.join(', ')}`);
      return true;
    },
    { timeoutMs: 60_000, what: 'gauges back to what they were' },
  );
  expect((await heapBytes(server)) - before).toBeLessThan(MAX_GROWTH_BYTES);
});

/** A gauge with a bound may remember visitors, up to it. */
async function risenGauges(before: ReadonlyMap<string, number>): Promise<readonly string[]> {
  const after = await gauges();
  return [...after].flatMap(([series, value]) => {
    const bound = after.get(series.replace(/^[^{]+/, (name) => `${name}_bound`));
    const remembered = MOST_REMEMBERED.find(([name]) => name.test(series))?.[1];
    const most = bound ?? remembered ?? before.get(series) ?? 0;
    return OF_SOMETHING_ELSE.test(series) || value <= most ? [] : [`${series} ${before.get(series)} -> ${value}`];
  });
}
