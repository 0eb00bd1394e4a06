// The pipeline on nodes: what the rules ask of the node, and what they count per wire.
import { afterEach, expect, test } from 'vitest';
import { attachGossip, type Gossip, type GossipDependencies } from '../../../src/gossip/attach.ts';
import type { Rate } from '../../../src/lib/token-bucket.ts';
import type { P2PNode, TopicHandler } from '../../../src/ports/p2p-node.ts';
import { GO_P2P, MESSAGE_BUS } from '../../../src/wire/format.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { networkOf } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const [author, own] = [peer(1), peer(2)];
let gossip: Gossip | undefined;
afterEach(() => gossip?.stop());

/** On the networks `p` of go-p2p and `bus` of message-bus. */
function attach({
  connectedSinceMs,
  authorRate = { perSecond: 0, burst: 0 },
}: {
  connectedSinceMs?: NonNullable<P2PNode['connectedSinceMs']>;
  authorRate?: Rate;
} = {}) {
  const clock = new FakeClock();
  const handlers = new Map<string, TopicHandler>();
  const offences: string[] = [];
  const firsts: string[] = [];
  const nodeOf = (name: string) => ({
    setTopicHandler: (topic: string, handler: TopicHandler) => void handlers.set(`${name} ${topic}`, handler),
    ...(connectedSinceMs === undefined ? {} : { connectedSinceMs }),
  });
  const node = nodeOf('p');
  const deps = {
    networks: [
      { ...networkOf('p', node), wire: GO_P2P },
      { ...networkOf('bus', nodeOf('bus'), ['block', 'subtree', 'node_status', 'rejected_tx']), wire: MESSAGE_BUS },
    ],
    ownId: own,
    node,
    clock,
    metrics: new RecordedMetrics(),
    log: recordingLogger(),
    chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
    sync: { syncPeer: () => undefined },
    isBanned: () => false,
    isLowReputation: () => false,
    isInGoodStanding: () => true,
    bestBlockAsked: () => {},
    subtreeProducer: { publish: () => {} },
    registry: { heard: () => {} },
    notify: () => {},
    deliveredFirst: ({ receivedFrom }: { receivedFrom: string }) => firsts.push(receivedFrom),
    scores: { addScore: (_subject: string, reason: string) => offences.push(reason) },
  };
  gossip = attachGossip(deps as unknown as GossipDependencies, {
    policy: {
      powLimitBits: NETWORKS.regtest.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate,
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 0,
    },
    isShadow: () => false,
    seenHashes: { maxPublishers: 3, ttlMs: 120_000, maxSize: 10_000 },
    peerMap: { maxSize: 100, ttlMs: 60_000, cleanUpIntervalMs: 60_000 },
  });
  const hear = (seqno: bigint, name: 'p' | 'bus' = 'p', kind = 'best_block', fields = {}, receivedFrom = author) => {
    const inner = Buffer.from(JSON.stringify({ PeerID: author, ...fields }));
    const envelope = { name: 'x', data: inner.toString('base64') };
    const bytes = name === 'bus' ? Buffer.from(JSON.stringify(envelope)) : inner;
    const topic = `${name}-${kind}`;
    return handlers.get(`${name} ${topic}`)?.({ topic, bytes, author, receivedFrom, seqno });
  };
  const hearSubtree = (name: 'p' | 'bus', n: number) =>
    hear(BigInt(n), name, 'subtree', { Hash: n.toString(16).padStart(64, '0'), DataHubURL: 'http://hub.example' });
  return { clock, hear, hearSubtree, offences, firsts };
}

test('asks the node when the connection to a neighbour began', () => {
  let sinceMs: number | undefined;
  const { clock, hear } = attach({ connectedSinceMs: (id) => (id === author ? sinceMs : undefined) });
  expect(hear(100n)).toBe('accept');
  clock.advance(60_000);
  expect(hear(1n)).toBe('ignore');
  sinceMs = clock.monotonic();
  expect(hear(2n)).toBe('accept');
});

test('treats no neighbour as restarted when the node does not tell connection times', () => {
  const { clock, hear } = attach();
  expect(hear(100n)).toBe('accept');
  clock.advance(60_000);
  expect(hear(1n)).toBe('ignore');
});

test('an author that announces the same on both wires has a rate on each of them', () => {
  const { hearSubtree, offences } = attach({ authorRate: { perSecond: 10, burst: 10 } });
  const decisions = Array.from({ length: 10 }, (_, i) => [hearSubtree('p', i + 1), hearSubtree('bus', i + 1)]);
  expect(new Set(decisions.flat())).toEqual(new Set(['accept']));
  expect(offences).toEqual([]);
  expect([hearSubtree('p', 11), hearSubtree('bus', 11)]).toEqual(['ignore', 'ignore']);
  expect(offences).toEqual(['spam', 'spam']);
});

test('the first valid announcement of a hash counts for its neighbour, later and invalid ones do not', () => {
  const { hear, firsts } = attach();
  const [near, far, hostile] = [peer(3), peer(4), peer(5)];
  const subtree = { Hash: '7'.padStart(64, '0'), DataHubURL: 'http://hub.example' };
  expect(hear(1n, 'p', 'subtree', subtree, near)).toBe('accept');
  hear(2n, 'p', 'subtree', subtree, far);
  hear(3n, 'bus', 'subtree', subtree, far);
  expect(hear(4n, 'p', 'subtree', { ...subtree, Hash: 'no hash' }, hostile)).not.toBe('accept');
  expect(hear(5n, 'p', 'subtree', { Hash: '8'.padStart(64, '0'), DataHubURL: 'ftp://hub' }, hostile)).not.toBe(
    'accept',
  );
  hear(6n, 'p', 'best_block', {}, hostile);
  expect(firsts).toEqual([near]);
});
