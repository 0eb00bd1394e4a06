// The peer-address protocol between real nodes: what is answered, what is refused, and how nodes without a DHT find each
// other through a third.
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, test } from 'vitest';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { readToEnd } from '../../src/adapters/libp2p/message-stream.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import { peer } from '../fakes/ban-parts.ts';
import { addressOf, BUS, bareLibp2p, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [TOPIC = ''] = TOPICS;
const V1_0 = '/p2p-msg-bus/peer-addr-request/1.0.0';
const V1_1 = '/p2p-msg-bus/peer-addr-request/1.1.0';
const nodes = new Nodes();
const bare: TeranodeLibp2p[] = [];

afterEach(async () => {
  await Promise.all(bare.splice(0).map((each) => each.stop()));
  await nodes.stop();
});

const start = async (changes: Partial<Libp2pNodeOptions> = {}) => await nodes.start({ ...BUS, ...changes });

/** A peer that is connected to the node, and opens streams to it. */
async function requester(node: Libp2pNode) {
  const libp2p = await bareLibp2p(TOPICS, BUS);
  bare.push(libp2p);
  await libp2p.start();
  const connection = await libp2p.dial(multiaddr(addressOf(node)));
  const read = (stream: Stream) => readToEnd(stream, { maxBytes: 10_000, deadlineMs: 9000 });
  const ask = async (protocol: string, request: string | Uint8Array, closes: boolean): Promise<string> => {
    const stream = await connection.newStream(protocol);
    const send = async () => {
      stream.send(Buffer.from(request));
      if (closes) await stream.close();
    };
    const [answer] = await Promise.all([read(stream), send()]);
    return Buffer.from(answer).toString();
  };
  return { libp2p, ask };
}

/** Two nodes, of which the first knows where the second is. */
async function hubAndSpoke(changes: Partial<Libp2pNodeOptions> = {}) {
  const spoke = (await start()).node;
  const hub = await start({ ...changes, staticPeers: [addressOf(spoke)] });
  await waitFor(() => hub.node.currentlyConnectedPeers()[0]?.agentVersion !== undefined, { what: 'the spoke' });
  return { hub, spoke };
}

const bareAddress = (node: Libp2pNode) => addressOf(node).replace(/\/p2p\/.*/, '');

describe('a request for the addresses of a peer', () => {
  test.each([
    [V1_0, false],
    [V1_0, true],
    [V1_1, true],
  ])('of %s is answered, half-closed: %s', async (protocol, closes) => {
    const { hub, spoke } = await hubAndSpoke();
    const { ask } = await requester(hub.node);
    expect(JSON.parse(await ask(protocol, spoke.hostId(), closes))).toEqual([bareAddress(spoke)]);
    expect(await ask(protocol, peer(7), closes)).toBe('[]');
    expect(hub.metrics.count('teranode_p2p_address_requests_total', { outcome: 'answered' })).toBe(1);
    expect(hub.metrics.count('teranode_p2p_address_requests_total', { outcome: 'unknown' })).toBe(1);
  });

  test('for this node itself is answered with the announced addresses', async () => {
    const { node } = await start({ advertiseAddresses: ['/dns4/node.example/tcp/9905'] });
    const { ask } = await requester(node);
    expect(JSON.parse(await ask(V1_1, node.hostId(), true))).toEqual(['/dns4/node.example/tcp/9905']);
  });

  test('is answered without private addresses where these are not allowed', async () => {
    const spoke = (await start({ listenIps: ['127.0.0.1'], advertiseAddresses: ['/ip4/11.22.33.44/tcp/9905'] })).node;
    const hub = (await start({ staticPeers: [addressOf(spoke)], allowPrivateIps: false })).node;
    await waitFor(() => hub.currentlyConnectedPeers()[0]?.agentVersion !== undefined, { what: 'the spoke' });
    const { ask } = await requester(hub);
    expect(JSON.parse(await ask(V1_1, spoke.hostId(), true))).toEqual(['/ip4/11.22.33.44/tcp/9905']);
  });

  test.each([
    ['is too long', V1_0, 'x'.repeat(129), false],
    ['is an invalid peer ID', V1_1, 'not a peer', true],
    ['is empty', V1_0, '', true],
  ])('that %s ends in a reset', async (_what, protocol, request, closes) => {
    const { node, metrics } = await start();
    const { ask } = await requester(node);
    await expect(ask(protocol, request, closes)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    expect(metrics.count('teranode_p2p_address_requests_total', { outcome: 'failed' })).toBe(1);
  });

  test('beyond 512 in a minute of one peer is reset, and another peer is answered', { timeout: 60_000 }, async () => {
    const { node, metrics } = await start();
    const flooder = await requester(node);
    let answered = 0;
    const flood = async () => {
      while ((await flooder.ask(V1_1, peer(7), true)) === '[]') answered += 1;
    };
    await expect(flood()).rejects.toThrow();
    // The budget refills while it is used.
    expect(answered).toBeGreaterThanOrEqual(512);
    expect(metrics.count('teranode_p2p_address_requests_total', { outcome: 'refused' })).toBe(1);
    const other = await requester(node);
    expect(await other.ask(V1_1, peer(7), true)).toBe('[]');
  });

  test('that is not finished holds no stream for longer than its deadline', { timeout: 30_000 }, async () => {
    const { node, metrics } = await start();
    const { libp2p } = await requester(node);
    const [connection] = libp2p.getConnections();
    for (const protocol of [V1_0, V1_1]) await connection?.newStream(protocol);
    const open = () => metrics.gaugeValue('teranode_p2p_address_request_streams');
    await waitFor(() => open() === 2, { what: 'both streams' });
    await waitFor(() => open() === 0, { what: 'their end' });
    expect(metrics.count('teranode_p2p_address_requests_total', { outcome: 'failed' })).toBe(2);
  });
});

describe('nodes without a DHT', () => {
  test('learn from their neighbour where an author is, and connect to it', async () => {
    const hub = (await start()).node;
    const ends = [
      await start({ staticPeers: [addressOf(hub)] }),
      await start({ staticPeers: [addressOf(hub)] }),
    ] as const;
    for (const { node } of ends)
      await waitFor(() => hub.getTopic(TOPIC)?.mesh().includes(node.hostId()), { what: 'a mesh' });
    const [author, listener] = ends;
    let heard = 0;
    listener.node.setTopicHandler(TOPIC, () => {
      heard += 1;
      return 'accept';
    });
    await author.node.publish(TOPIC, Buffer.from('here I am'));
    await waitFor(() => heard === 1, { what: 'the message' });
    expect(listener.node.currentlyConnectedPeers().map(({ id }) => id)).toEqual([hub.hostId()]);
    const isConnected = () => listener.node.currentlyConnectedPeers().some(({ id }) => id === author.node.hostId());
    await waitFor(isConnected, { timeoutMs: 40_000, what: 'the connection to the author' });
    expect(listener.metrics.count('teranode_p2p_address_lookups_total', { outcome: 'found' })).toBe(1);
  });
});
