// Several libp2p nodes seen as one.
import { beforeEach, describe, expect, test } from 'vitest';
import { Nodes } from '../../../src/app/nodes.ts';
import { summedMetrics } from '../../../src/app/summed-metrics.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { P2PNode, PeerRecord } from '../../../src/ports/p2p-node.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const [PEER, OTHER] = [peer(1), peer(2)];

class FakeNode {
  readonly calls: string[] = [];
  readonly records: PeerRecord[] = [];
  dial: () => Promise<PeerId> = async () => PEER;
  opened: (peerId: PeerId) => void = () => {};
  closed: (peerId: PeerId) => void = () => {};
  private readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  setPeerConnectedCallback = (callback: (peerId: PeerId) => void) => {
    this.opened = callback;
  };
  setPeerDisconnectedCallback = (callback: (peerId: PeerId) => void) => {
    this.closed = callback;
  };
  currentlyConnectedPeers = () => this.records;
  listenAddresses = () => [`/memory/${this.name}`];
  connectPeer = async () => await this.dial();
  disconnectPeer = async (peerId: PeerId) => void this.calls.push(`disconnect ${peerId}`);
  sendToPeer = async (peerId: PeerId) => void this.calls.push(`send ${peerId}`);
  retryDials = () => void this.calls.push('retry');
  getTopic = (name: string) => ({
    name,
    subscribers: () => this.records.map(({ id }) => id),
    mesh: () => [],
  });
}

function record(id: PeerId, changes: Partial<PeerRecord> = {}): PeerRecord {
  return {
    id,
    addresses: ['/ip4/192.0.2.1/tcp/1'],
    localAddress: undefined,
    direction: 'inbound',
    connectedAtMs: 1000,
    agentVersion: undefined,
    bytesSent: 1,
    bytesReceived: 2,
    lastSendMs: undefined,
    lastReceiveMs: 5,
    pingMs: undefined,
    ...changes,
  };
}

let [a, b]: FakeNode[] = [];
let nodes: Nodes;
let events: string[];

function both(): [FakeNode, FakeNode] {
  if (a === undefined || b === undefined) throw new Error('no nodes');
  return [a, b];
}

beforeEach(() => {
  [a, b] = [new FakeNode('a'), new FakeNode('b')];
  nodes = new Nodes();
  events = [];
  nodes.onConnected((peerId) => events.push(`connected ${peerId}`));
  nodes.onDisconnected((peerId) => events.push(`disconnected ${peerId}`));
  for (const node of both()) nodes.add(node as unknown as P2PNode);
});

describe('nodes seen as one', () => {
  test('report a peer as connected from its first connection to any node until its last', () => {
    const [first, second] = both();
    first.opened(PEER);
    second.opened(PEER);
    first.closed(PEER);
    expect(events).toEqual([`connected ${PEER}`]);
    expect(nodes.isConnectedTo(first as unknown as P2PNode, PEER)).toBe(false);
    expect(nodes.isConnectedTo(second as unknown as P2PNode, PEER)).toBe(true);
    second.closed(PEER);
    expect(events).toEqual([`connected ${PEER}`, `disconnected ${PEER}`]);
    first.opened(PEER);
    expect(events).toHaveLength(3);
  });

  test('list a peer of two nodes once, with the addresses and the traffic of both', () => {
    const [first, second] = both();
    first.records.push(record(PEER), record(OTHER));
    second.records.push(
      record(PEER, { addresses: ['/ip4/192.0.2.2/tcp/2'], connectedAtMs: 500, lastSendMs: 7, lastReceiveMs: 3 }),
    );
    expect(nodes.currentlyConnectedPeers()).toMatchObject([
      {
        id: PEER,
        addresses: ['/ip4/192.0.2.1/tcp/1', '/ip4/192.0.2.2/tcp/2'],
        connectedAtMs: 500,
        bytesSent: 2,
        bytesReceived: 4,
        lastSendMs: 7,
        lastReceiveMs: 5,
      },
      { id: OTHER, bytesSent: 1 },
    ]);
    expect(nodes.getTopic('block')?.subscribers()).toEqual([PEER, OTHER]);
  });

  test('send with the node that has the connection, and with the first node where none has', async () => {
    const [first, second] = both();
    second.opened(PEER);
    await nodes.sendToPeer(PEER, new Uint8Array());
    await nodes.sendToPeer(OTHER, new Uint8Array());
    expect([first.calls, second.calls]).toEqual([[`send ${OTHER}`], [`send ${PEER}`]]);
  });

  test('cut a peer and dial again on every node', async () => {
    await nodes.disconnectPeer(PEER);
    nodes.retryDials();
    for (const node of both()) expect(node.calls).toEqual([`disconnect ${PEER}`, 'retry']);
    expect(nodes.listenAddresses()).toEqual(['/memory/a', '/memory/b']);
  });

  test('dial with every node: one success is enough, else the error is that of the first node', async () => {
    const [first, second] = both();
    first.dial = () => Promise.reject(new Error('wrong key'));
    expect(await nodes.connectPeer('/ip4/192.0.2.1/tcp/1')).toBe(PEER);
    second.dial = () => Promise.reject(new Error('also'));
    await expect(nodes.connectPeer('/ip4/192.0.2.1/tcp/1')).rejects.toThrow('wrong key');
  });
});

test('gauges that several nodes register show their sum, each series by itself', () => {
  const metrics = new RecordedMetrics();
  const summed = summedMetrics(metrics);
  for (const size of [2, 3]) {
    summed.gauge('peers', 'Peers', () => size);
    summed.gauge('entries', 'Entries', () => size, { kind: 'a' });
  }
  summed.gauge('entries', 'Entries', () => 10, { kind: 'b' });
  const read = (name: string, labels = {}) => metrics.gaugeValue(name, labels);
  expect([read('peers'), read('entries', { kind: 'a' }), read('entries', { kind: 'b' })]).toEqual([5, 5, 10]);
});
