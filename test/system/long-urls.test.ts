// Very many announcements with the longest URLs, on both wires: the server remembers who announced what, not the URLs.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { GoScored } from '../support/go-scored.ts';
import { COLLECTS_AT_SIGNAL, heapBytes } from '../support/heap.ts';
import { DATA_HUB, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const OLD = topicsOf('mainnet').subtree;
const NEW = busTopics('mainnet').subtree;
/** Within the rate, the burst and the bytes that an author has by default. */
const OF_AUTHOR = 5000;
const RATE = 1000;
const AUTHORS = 4;
const ALL = AUTHORS * OF_AUTHOR;
/** No more come after so much silence: gossip asks for what it missed within a few heartbeats. */
const QUIET_MS = 5000;
const [SHORT_BYTES, LONG_BYTES] = [120, 2000];

let server: ServerProcess;
let old: GoPeer[];
let bus: GoScored[];

/** A URL of its own for each hash. */
const urlOf = (hash: string, bytes: number) => `${DATA_HUB}/${hash}/${'u'.repeat(bytes - DATA_HUB.length - 66)}`;

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: {
      ...messageBus('mainnet'),
      ...privateNetwork('mainnet'),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      // Records for Kafka hold the URL; how many wait is a bound of their own.
      kafka_queue_max_messages: '100',
      logLevel: 'WARN',
      ...COLLECTS_AT_SIGNAL,
    },
  });
  const start = { topics: [OLD], psk: PSK, allow: [server.peerId], discard: true };
  const startBus = { network: 'mainnet', topics: [NEW], discard: true };
  old = await Promise.all([GoPeer.start(start), GoPeer.start(start)]);
  bus = await Promise.all([GoScored.start(startBus), GoScored.start(startBus)]);
  for (const peer of old) await peer.connect(server.addressOn('go-p2p'));
  for (const peer of bus) await peer.connect(server.addressOn('message-bus'));
  for (const [peers, topic] of [[old, OLD] as const, [bus, NEW] as const])
    for (const peer of peers)
      await waitFor(async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId), { what: 'the mesh' });
});

afterAll(async () => {
  await Promise.all([...(old ?? []), ...(bus ?? []), server].map((each) => each?.stop()));
});

const processed = () => server.metric('teranode_p2p_gossip_messages_total', 'topic="subtree"', 'reason="processed"');

/**
 * How many arrived: on a busy machine a Go peer drops some of its own messages, as its queue for a neighbour is bounded.
 */
async function announce(urlBytes: number): Promise<number> {
  const before = await processed();
  const folder = temporaryFolder('long-urls');
  for (const [i, peer] of old.entries()) {
    const file = join(folder, `${i}.jsonl`);
    const lines = Array.from({ length: OF_AUTHOR }, () => {
      const Hash = randomBytes(32).toString('hex');
      return JSON.stringify({ ...subtreeFields(peer.peerId), Hash, DataHubURL: urlOf(Hash, urlBytes) });
    });
    writeFileSync(file, lines.join('\n'));
    await peer.publishMany({ topic: OLD, file, ratePerSecond: RATE });
  }
  for (const peer of bus) {
    const fields = { ...busSubtree(peer.peerId), Hash: '{HASH}', DataHubURL: urlOf('{HASH}', urlBytes) };
    await peer.publishMany({ topic: NEW, template: JSON.stringify(fields), count: OF_AUTHOR, ratePerSecond: RATE });
  }
  let last = before;
  let movedMs = performance.now();
  const isQuiet = async () => {
    const now = await processed();
    if (now > last) movedMs = performance.now();
    last = now;
    return now === before + ALL || (now > before && performance.now() - movedMs > QUIET_MS);
  };
  await waitFor(isQuiet, { timeoutMs: 90_000, what: `${ALL} announcements` });
  expect(last - before).toBeGreaterThan(ALL / 2);
  return last - before;
}

/** Once gossip has let go of the whole messages, which it keeps for seconds to answer neighbours that missed them. */
async function memory(): Promise<number> {
  await waitFor(async () => (await server.metric('gossipsub_mcache_size')) === 0, { what: 'no whole messages' });
  return heapBytes(server, 'withBuffers');
}

test('20,000 announcements with URLs of 2 KB leave hardly more than as many with short ones', async () => {
  const start = await memory();
  const short = await announce(SHORT_BYTES);
  const afterShort = await memory();
  const long = await announce(LONG_BYTES);
  const afterLong = await memory();
  const ofUrls = long * (LONG_BYTES - SHORT_BYTES);
  expect(afterLong - afterShort).toBeLessThan((long / short) * (afterShort - start) + ofUrls / 3);
});
