// Malformed input on message-bus, as much in minutes as fifty authors send in an hour: whoever is honest stays heard,
// nobody is muted by other peers because of what we passed on, and memory stays flat.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics, GoBus } from '../support/go-bus.ts';
import { GoScored } from '../support/go-scored.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const topics = busTopics('regtest');
const UNREACHABLE = ['/ip4/127.0.0.1/tcp/1'];
const AUTHORS = 50;
/** A message a second of each author for an hour. */
const PER_AUTHOR = 3600;
const PER_SECOND = 1500;
/** Ids of messages of two minutes are still being remembered in the middle third. */
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

const envelope = (data: string) => JSON.stringify({ name: 'x', data: Buffer.from(data).toString('base64') });

/** What no decoder reads, and what is of the wrong form without being anybody's forgery. */
const MALFORMED: readonly (Buffer | string)[] = [
  'no JSON at all',
  '',
  '[]',
  'null',
  '"text"',
  '{"name":"x","data":17}',
  '{"name":"x","data":"%%%"}',
  '{"name":"x"}',
  envelope(''),
  envelope('{'),
  envelope('[[[[[[[[[[[[[[[[[[[[[[[[]'),
  envelope('{"Hash":17}'),
  envelope('{"PeerID":null}'),
  envelope(`{"Padding":"${'x'.repeat(9000)}"}`),
  envelope(JSON.stringify({ type: 'node_status', best_height: -1, uptime: 'long' })),
  JSON.stringify({ Hash: '', DataHubURL: 'x'.repeat(5000) }),
  Buffer.from([8, 1, 18, 32, 255, 254]),
  Buffer.alloc(300, 0xff),
];

let server: ServerProcess;
let honest: GoBus;
let listener: GoBus;
let crowd: GoScored;

beforeAll(async () => {
  server = await ServerProcess.start({ settings: { ...messageBus('regtest'), p2p_conn_high_water: '200' } });
  const start = (name: string) =>
    GoBus.start({ name, network: 'regtest', bootstrapPeers: [server.address], announceAddrs: UNREACHABLE });
  [honest, listener] = await Promise.all([start('honest'), start('listener')]);
  for (const peer of [honest, listener])
    await waitFor(async () => (await peer.mesh()).mesh[topics.subtree]?.includes(server.peerId), { what: 'the mesh' });
  crowd = await GoScored.start({ network: 'regtest', topics: [] });
  await crowd.crowd({ address: server.address, count: AUTHORS, topics: Object.values(topics), network: 'regtest' });
});

afterAll(async () => {
  await Promise.all([crowd?.stop(), honest?.stop(), listener?.stop(), server?.stop()]);
});

const texts = async (peer: GoBus) => new Set((await peer.received(topics.subtree)).map(({ text }) => text));

test('fifty authors send malformed messages for an hour’s worth: honest authors are heard, nobody is muted, memory is flat', {
  timeout: 600_000,
}, async () => {
  const each = Math.floor(PER_AUTHOR / 4);
  const total = AUTHORS * each * 4;
  for (const topic of Object.values(topics))
    await crowd.crowdPublish({ topic, data: MALFORMED, perMember: each, ratePerSecond: PER_SECOND / 4 });
  const sent: string[] = [];
  const heap: number[] = [];
  const isOver = async () => {
    const text = JSON.stringify(busSubtree(honest.peerId, 'honest'));
    await honest.publish(topics.subtree, text);
    sent.push(text);
    heap.push(await server.metric('nodejs_heap_size_used_bytes'));
    const { published, failed } = await crowd.publishStatus();
    return published + failed >= total;
  };
  for (const until = performance.now() + 420_000; !(await isOver()); ) {
    if (performance.now() > until) throw new Error('waited in vain for an hour’s worth of messages');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }

  await waitFor(
    async () => {
      const heard = await texts(listener);
      return sent.every((text) => heard.has(text));
    },
    { what: 'every honest announcement at the listener' },
  );
  expect(await listener.mutedAuthors()).toEqual([]);
  expect(await honest.mutedAuthors()).toEqual([]);
  expect(await honest.isConnectedTo(server.peerId)).toBe(true);
  const received = await server.metric('teranode_p2p_gossip_messages_total', 'relay="ignore"');
  expect(received + (await server.metric('teranode_p2p_gossip_messages_total', 'relay="reject"'))).toBeGreaterThan(
    total / 2,
  );
  // What a collection leaves, in the middle and in the last third.
  const third = Math.floor(heap.length / 3);
  const [middle, end] = [Math.min(...heap.slice(third, 2 * third)), Math.min(...heap.slice(2 * third))];
  console.log('messages', total, 'heap MiB', Math.round(middle / 2 ** 20), Math.round(end / 2 ** 20));
  expect(end - middle).toBeLessThan(MAX_GROWTH_BYTES);
});
