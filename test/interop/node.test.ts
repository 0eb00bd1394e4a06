// The P2P node and a real Go peer: direct stream in both directions, slow and endless streams, DHT records, connections
// of one peer.
import { afterEach, describe, expect, test } from 'vitest';
import { rendezvousCid } from '../../src/adapters/libp2p/discovery/rendezvous.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import { GoPeer, type GoPeerOptions } from '../support/go-peer.ts';
import { PSK } from '../support/network.ts';
import { addressOf, Nodes, TOPICS } from '../support/nodes.ts';
import { recordedTexts } from '../support/recorded.ts';
import { waitFor } from '../support/wait.ts';

const DIRECT = 'teranode/bitcoin/1.0.0';
const nodes = new Nodes();
const peers: GoPeer[] = [];

afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
  await nodes.stop();
});

async function goPeer(options: GoPeerOptions = {}): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: TOPICS, ...options });
  peers.push(peer);
  return peer;
}

describe('direct stream with a Go peer', () => {
  test('carries the recorded handshake from us to Go byte by byte', async () => {
    const peer = await goPeer({ streamProtocol: DIRECT });
    const { node } = await nodes.start();
    await node.connectPeer(peer.addresses[0] ?? '');
    const text = recordedTexts('teranode-handshake.json')[0] ?? '';
    await node.sendToPeer(peer.peerId as PeerId, Buffer.from(text));
    const [stream] = await waitFor(async () => (await peer.streams()).length > 0 && (await peer.streams()), {
      what: 'the stream',
    });
    expect(stream).toMatchObject({ peerId: node.hostId() });
    expect(stream?.data.toString()).toBe(text);
  });

  test('carries messages from Go to us, and ends silent, slow and oversized ones', async () => {
    const ends: string[] = [];
    const { node } = await nodes.start({}, async (stream) => {
      await stream.readToEnd(64 * 1024, 1500).then(
        (bytes) => ends.push(Buffer.from(bytes).toString()),
        (error: { code?: string }) => ends.push(error.code ?? 'none'),
      );
    });
    const peer = await goPeer();
    await peer.connect(addressOf(node));
    const send = (stream: { data: string; pauseMs?: number; keepOpen?: boolean; repeat?: number }) =>
      peer.streamSend({ peerId: node.hostId(), protocol: DIRECT, ...stream });
    await send({ data: 'hello' });
    expect(ends.splice(0)).toEqual(['hello']);
    await send({ data: '', keepOpen: true });
    expect(ends.splice(0)).toEqual(['TIMEOUT']);
    await send({ data: 'x'.repeat(40), pauseMs: 100 });
    expect(ends.splice(0)).toEqual(['TIMEOUT']);
    const large = await send({ data: 'x'.repeat(100_000), repeat: 100 });
    expect(ends.splice(0)).toEqual(['MESSAGE_TOO_LARGE']);
    expect(large.written).toBeLessThan(10_000_000);
    await send({ data: 'still here' });
    expect(ends).toEqual(['still here']);
  });
});

describe('DHT with Go peers', () => {
  test('each side finds the records of the other', async () => {
    const { node } = await nodes.start();
    const peer = await goPeer({ dht: 'server', dhtPrefix: '/teranode', bootstrap: [addressOf(node)] });
    await waitFor(() => node.currentlyConnectedPeers().length === 1, { what: 'the connection' });
    const topic = TOPICS[0] ?? '';
    await waitFor(async () => (await peer.dhtFind(topic)).includes(node.hostId()), {
      timeoutMs: 30_000,
      what: 'our record at the Go peer',
    });
    expect(rendezvousCid(topic).toString()).toMatch(/^bafkrei/);
  });

  test('a third node finds a Go peer through the records of a second node', async () => {
    const middle = (await nodes.start()).node;
    const peer = await goPeer({ dht: 'client', dhtPrefix: '/teranode', bootstrap: [addressOf(middle)] });
    await waitFor(() => middle.currentlyConnectedPeers().length === 1, { what: 'the Go peer' });
    await waitFor(async () => (await peer.dhtProvide(TOPICS[0] ?? '')) !== undefined, {
      timeoutMs: 30_000,
      what: 'its record',
    });
    const third = (await nodes.start({ bootstrapAddresses: [addressOf(middle)] })).node;
    await waitFor(() => third.currentlyConnectedPeers().some(({ id }) => id === peer.peerId), {
      timeoutMs: 30_000,
      what: 'the meeting',
    });
  });
});

describe('connections of one peer', () => {
  test('are limited by the setting', async () => {
    const { node, metrics } = await nodes.start({
      connections: { trims: true, lowWater: 200, highWater: 400, graceMs: 0, maxPerPeer: 1 },
    });
    const peer = await goPeer({ privateKey: '' });
    await peer.connect(addressOf(node));
    await waitFor(() => node.currentlyConnectedPeers().length === 1, { what: 'the connection' });
    await expect(node.connectPeer(peer.addresses[0] ?? '')).resolves.toBe(peer.peerId);
    expect((await peer.connections()).length).toBe(1);
    expect(metrics.count('teranode_p2p_connections_refused_total')).toBe(0);
  });
});
