// What a message leaves in the server's memory once it was handled: its ID, who announced what, and the record in the
// in-process broker, each a few bytes in a table.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { GoPeer } from '../support/go-peer.ts';
import { COLLECTS_AT_SIGNAL, heapBytes } from '../support/heap.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').subtree;
const RATE = 4000;
/** Below the bounds of the tables, so that each message is still in all of them. */
const MESSAGES = 60_000;
/** Code is compiled and tables get their first memory. */
const WARM_UP = 10_000;
/** A record of 160 bytes, 24 of an ID, 90 of attribution; twice that where a table has just grown. */
const MAX_BYTES = 500;

let server: ServerProcess;
let peer: GoPeer;

beforeAll(async () => {
  server = await ServerProcess.start({
    settings: { ...privateNetwork('regtest'), p2p_author_rate: '0', logLevel: 'WARN', ...COLLECTS_AT_SIGNAL },
  });
  peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), discard: true, outboundQueue: 2 * MESSAGES });
  await peer.connect(server.address);
  await waitFor(async () => (await peer.mesh()).mesh[TOPIC]?.includes(server.peerId), { what: 'the mesh' });
});

afterAll(async () => {
  await Promise.all([peer, server].map((each) => each?.stop()));
});

const processed = () => server.metric('teranode_p2p_gossip_messages_total', 'topic="subtree"', 'reason="processed"');

async function announce(count: number): Promise<void> {
  const file = join(temporaryFolder('messages-memory'), 'messages.jsonl');
  const line = () => JSON.stringify({ ...subtreeFields(peer.peerId), Hash: randomBytes(32).toString('hex') });
  writeFileSync(file, Array.from({ length: count }, line).join('\n'));
  const before = await processed();
  await peer.publishMany({ topic: TOPIC, file, ratePerSecond: RATE });
  const arrived = async () => (await processed()) === before + count;
  await waitFor(arrived, { timeoutMs: 120_000, what: `${count} announcements` });
}

/** Once gossip has let go of the whole messages, which it keeps for seconds to answer neighbours that missed them. */
async function memory(): Promise<number> {
  await waitFor(async () => (await server.metric('gossipsub_mcache_size')) === 0, { what: 'no whole messages' });
  return heapBytes(server, 'withBuffers');
}

test(`a message leaves less than ${MAX_BYTES} bytes in memory, in all tables together`, async () => {
  await announce(WARM_UP);
  const before = await memory();
  await announce(MESSAGES);
  const after = await memory();
  expect(await server.metric('teranode_p2p_seen_entries')).toBeGreaterThanOrEqual(MESSAGES + WARM_UP);
  expect((after - before) / MESSAGES).toBeLessThan(MAX_BYTES);
});
