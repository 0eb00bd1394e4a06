// A server whose log nobody reads: it works as before, loses lines and counts them, and stops when it is told to.
import { afterAll, expect, test } from 'vitest';
import { parseMultiaddr } from '../../src/adapters/libp2p/addresses.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { topicsOf } from '../support/network.ts';
import { bareLibp2p } from '../support/nodes.ts';
import { type MuteServer, startUnread, type Unread } from '../support/unread-output.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = topicsOf('regtest').block;
const DROPPED = 'teranode_p2p_log_lines_dropped_total';
const stops: (() => unknown)[] = [];
let sent = 0;

afterAll(async () => {
  await Promise.all(stops.map((stop) => stop()));
});

async function start(kind: Unread): Promise<MuteServer> {
  const server = await startUnread(kind);
  stops.push(() => server.kill());
  return server;
}

/** Each message is worth a line at level TRACE. */
async function neighbour(server: MuteServer): Promise<TeranodeLibp2p> {
  const peer = await bareLibp2p([TOPIC]);
  stops.push(() => peer.stop());
  await peer.start();
  peer.services.pubsub.subscribe(TOPIC);
  await waitFor(() => peer.dial(parseMultiaddr(server.p2pAddress)), { what: 'the connection' });
  await waitFor(() => peer.services.pubsub.getSubscribers(TOPIC).length > 0, { what: 'the subscription' });
  return peer;
}

/** Until more lines are lost than before. */
async function flood(server: MuteServer, peer: TeranodeLibp2p): Promise<void> {
  const before = await server.metric(DROPPED);
  const more = async () => {
    for (let i = 0; i < 500; i++, sent++) await peer.services.pubsub.publish(TOPIC, Buffer.from(`no JSON ${sent}`));
    return (await server.metric(DROPPED)) > before;
  };
  await waitFor(more, { what: 'dropped lines', timeoutMs: 90_000 });
}

async function expectToStop(server: MuteServer): Promise<void> {
  expect((await server.get('/health')).status).toBe(200);
  const { code, ms } = await server.stop();
  expect(code ?? 0).toBe(0);
  expect(ms).toBeLessThan(5000);
}

test('lines for a pipe that nobody reads are dropped beyond a bound; once it is read, one line says how many', async () => {
  const server = await start('a pipe');
  const peer = await neighbour(server);
  await flood(server, peer);
  const lines: Record<string, unknown>[] = [];
  const notices = () => {
    for (const line of server.read()) if (line.startsWith('{')) lines.push(JSON.parse(line));
    return lines.filter(({ event }) => event === 'log lines dropped');
  };
  await waitFor(() => notices().length > 0, { what: 'the line' });
  const dropped = await server.metric(DROPPED);
  expect(notices()).toEqual([expect.objectContaining({ level: 'warn', lines: dropped })]);
  await peer.services.pubsub.publish(TOPIC, Buffer.from('no JSON'));
  await waitFor(() => notices() && lines.at(-1)?.event === 'message skipped', { what: 'a line as before' });
  await flood(server, peer);
  await expectToStop(server);
});

test('a stopped terminal stops nothing', async () => {
  const server = await start('a terminal');
  await flood(server, await neighbour(server));
  await expectToStop(server);
});

test.each<Unread>(['a closed pipe', 'a full disk'])('%s ends nothing; lost lines are counted', async (kind) => {
  const server = await start(kind);
  await waitFor(async () => (await server.metric(DROPPED)) > 0, { what: 'dropped lines' });
  await expectToStop(server);
});
