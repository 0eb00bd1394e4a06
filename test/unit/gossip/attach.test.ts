// The pipeline on a node: what the rules ask of the node.
import { afterEach, expect, test } from 'vitest';
import { attachGossip, type Gossip, type GossipDependencies } from '../../../src/gossip/attach.ts';
import type { P2PNode, TopicHandler } from '../../../src/ports/p2p-node.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { networkOf } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const [author, own] = [peer(1), peer(2)];
let gossip: Gossip | undefined;
afterEach(() => gossip?.stop());

function attach(connectedSinceMs: P2PNode['connectedSinceMs']) {
  const clock = new FakeClock();
  const handlers = new Map<string, TopicHandler>();
  const node = {
    setTopicHandler: (name: string, handler: TopicHandler) => void handlers.set(name, handler),
    ...(connectedSinceMs === undefined ? {} : { connectedSinceMs }),
  };
  const deps = {
    networks: [networkOf('p', node)],
    ownId: own,
    node,
    clock,
    metrics: new RecordedMetrics(),
    log: recordingLogger(),
    chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
    sync: { syncPeer: () => undefined },
    isBanned: () => false,
    bestBlockAsked: () => {},
  };
  gossip = attachGossip(deps as unknown as GossipDependencies, {
    policy: {
      powLimitBits: NETWORKS.regtest.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate: { perSecond: 0, burst: 0 },
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 0,
    },
    isShadow: () => false,
    seenHashes: { maxPublishers: 3, ttlMs: 120_000, maxSize: 10_000 },
    peerMap: { maxSize: 100, ttlMs: 60_000, cleanUpIntervalMs: 60_000 },
  });
  const bytes = Buffer.from(JSON.stringify({ PeerID: author }));
  const hear = (seqno: bigint) =>
    handlers.get('p-best_block')?.({ topic: 'p-best_block', bytes, author, receivedFrom: author, seqno });
  return { clock, hear };
}

test('asks the node when the connection to a neighbour began', () => {
  let sinceMs: number | undefined;
  const { clock, hear } = attach((id) => (id === author ? sinceMs : undefined));
  expect(hear(100n)).toBe('accept');
  clock.advance(60_000);
  expect(hear(1n)).toBe('ignore');
  sinceMs = clock.monotonic();
  expect(hear(2n)).toBe('accept');
});

test('treats no neighbour as restarted when the node does not tell connection times', () => {
  const { clock, hear } = attach(undefined);
  expect(hear(100n)).toBe('accept');
  clock.advance(60_000);
  expect(hear(1n)).toBe('ignore');
});
