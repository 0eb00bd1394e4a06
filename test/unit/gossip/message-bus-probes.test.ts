// Every message that was once sent to a running server of November 2025, through the pipeline of a message-bus network:
// whether it is relayed, handed to Kafka, and how many points it costs its author. None of them gets an honest but
// sloppy author banned when it is sent a few times.
import { afterEach, expect, test } from 'vitest';
import { chargeOf } from '../../../src/bans/scores/reasons.ts';
import type { BlockAnnouncement, SubtreeAnnouncement } from '../../../src/domain/announcement.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import type { BanReason } from '../../../src/domain/offence.ts';
import { attachGossip, type Gossip, type GossipDependencies } from '../../../src/gossip/attach.ts';
import type { ValidationResult } from '../../../src/gossip/validation-result.ts';
import { PeerRegistry } from '../../../src/peers/registry.ts';
import type { TopicHandler } from '../../../src/ports/p2p-node.ts';
import { MESSAGE_BUS, type TopicKind } from '../../../src/wire/format.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { networkOf } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { dataJson } from '../../support/recorded.ts';

interface Probe {
  readonly case: string;
  readonly topic: TopicKind;
  readonly data: string;
}

const { probes } = dataJson<{ readonly probes: readonly Probe[] }>('today/probes.json');
/** The sender of the probes. */
const AUTHOR = '12D3KooWEJCNpCkDRxATa6spMyLuJLVrNGkcW66GG9QhpEXgJb4a' as PeerId;
/** The receiver of the probes. */
const OWN = '12D3KooWA92xQApk87cC79kDR7LA3ifaqTkL71a8heD3zPUJQ91J' as PeerId;
/** The last probe is recorded without its end. */
const RECORDED_LENGTH = 480_575;
const CUT = /… ?\(480575 characters\)$/;
const POINTS_OF_A_BAN = 100;

let gossip: Gossip | undefined;
afterEach(() => gossip?.stop());

/** A node that heard nothing yet, on a network with private addresses, with real work as on mainnet. */
function setUp() {
  const clock = new FakeClock();
  const metrics = new RecordedMetrics();
  const handlers = new Map<string, TopicHandler>();
  const results: ValidationResult[] = [];
  const handedOn: (BlockAnnouncement | SubtreeAnnouncement)[] = [];
  const notified: Notification[] = [];
  const node = {
    setTopicHandler: (name: string, handler: TopicHandler) => void handlers.set(name, handler),
    updatePeerHeight: () => {},
  };
  const registry = new PeerRegistry({ clock, metrics });
  const charged: number[] = [];
  const producer = { publish: (value: BlockAnnouncement | SubtreeAnnouncement) => void handedOn.push(value) };
  const deps = {
    networks: [{ ...networkOf('p', node, ['block', 'subtree', 'rejected_tx', 'node_status']), wire: MESSAGE_BUS }],
    ownId: OWN,
    node,
    clock,
    metrics,
    log: recordingLogger(),
    chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
    sync: { syncPeer: () => undefined },
    isBanned: () => false,
    isLowReputation: () => false,
    isInGoodStanding: () => true,
    registry,
    blockProducer: producer,
    subtreeProducer: producer,
    scores: {
      addScore: (_subject: string, reason: BanReason, { rule }: { rule: string }) =>
        charged.push(chargeOf(reason, rule, POINTS_OF_A_BAN).points),
    },
    notify: (notification: Notification) => notified.push(notification),
    onResult: (_envelope: unknown, result: ValidationResult) => results.push(result),
  };
  gossip = attachGossip(deps as unknown as GossipDependencies, {
    policy: {
      powLimitBits: NETWORKS.mainnet.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate: { perSecond: 500, burst: 10_000 },
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: true, blacklist: [] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 16,
    },
    isShadow: () => false,
    seenHashes: { maxPublishers: 3, ttlMs: 120_000, maxSize: 10_000 },
    peerMap: { maxSize: 1000, ttlMs: 600_000, cleanUpIntervalMs: 60_000 },
  });
  let seqno = 0n;
  const hear = ({ topic, data }: Probe) => {
    seqno += 1n;
    const bytes = Buffer.from(data.replace(CUT, '').padEnd(CUT.test(data) ? RECORDED_LENGTH : 0, 'A'));
    return handlers.get(`p-${topic}`)?.({ topic: `p-${topic}`, bytes, author: AUTHOR, receivedFrom: peer(1), seqno });
  };
  return { hear, results, handedOn, notified, registry, points: () => charged.reduce((sum, each) => sum + each, 0) };
}

/** Each is sent to a node that heard nothing before, but for `the same again`. */
const EXPECTED: Readonly<Record<string, readonly [relay: string, reason: string, kafka: boolean, points: number]>> = {
  'block as it should be': ['accept', 'processed', true, 0],
  'the same again': ['ignore', 'duplicate', false, 0],
  'old shape: no ClientName, no Coinbase': ['accept', 'processed', true, 0],
  'no envelope (September format)': ['accept', 'processed', true, 0],
  'not JSON at all': ['ignore', 'not_json', false, 0],
  'envelope, payload not JSON': ['ignore', 'not_json', false, 0],
  'envelope, data not base64': ['reject', 'decode', false, 0],
  // The headers of the next two, and of most that follow, are those of another block.
  'envelope without name': ['reject', 'header_mismatch', false, 0],
  'envelope with extra field': ['reject', 'header_mismatch', false, 0],
  'hash of 63 digits': ['reject', 'header_mismatch', false, 0],
  'hash not hex': ['reject', 'hash_form', false, 0],
  'empty hash': ['reject', 'decode', false, 0],
  'PeerID of another': ['reject', 'author_mismatch', false, 20],
  'PeerID of the receiver': ['reject', 'author_mismatch', false, 20],
  'PeerID nonsense': ['reject', 'peer_id_form', false, 0],
  'header of another block': ['reject', 'header_mismatch', false, 0],
  'no header': ['accept', 'processed', true, 0],
  'height negative': ['reject', 'decode', false, 0],
  'height a string': ['reject', 'decode', false, 0],
  'height too great': ['reject', 'decode', false, 0],
  'DataHubURL javascript:': ['ignore', 'datahub_url', false, 1],
  'lower case keys': ['reject', 'header_mismatch', false, 0],
  'subtree as it should be': ['accept', 'processed', true, 0],
  'subtree hash bad': ['reject', 'hash_form', false, 0],
  'rejected tx': ['accept', 'processed', false, 0],
  'node_status short': ['accept', 'processed', false, 0],
  'node_status bad best hash': ['accept', 'processed', false, 0],
  'node_status of another peer': ['reject', 'author_mismatch', false, 20],
  'node_status wrong type of uptime': ['reject', 'decode', false, 0],
  '500 kB block': ['reject', 'size', false, 0],
};

test('each recorded message has an expectation', () => {
  expect(probes.map((probe) => probe.case)).toEqual(Object.keys(EXPECTED));
});

test.each(probes)('a message of the kind "$case" is relayed, handed on and charged as expected', (probe) => {
  const { hear, results, handedOn, points } = setUp();
  const first = probes.find((each) => each.case === 'block as it should be');
  if (probe.case === 'the same again' && first !== undefined) hear(first);
  const before = handedOn.length;
  const relay = hear(probe);
  const result = results.at(-1);
  const reason = result?.process === false ? result.reason : 'processed';
  expect([relay, reason, handedOn.length > before, points()]).toEqual(EXPECTED[probe.case]);
});

test.each(probes)('a message of the kind "$case" gets nobody banned when it is sent four times', (probe) => {
  const { hear, points } = setUp();
  for (let times = 0; times < 4; times += 1) hear(probe);
  expect(points()).toBeLessThan(POINTS_OF_A_BAN);
});

test('all recorded messages of one author together get it no ban', () => {
  const { hear, points } = setUp();
  for (const probe of probes) hear(probe);
  expect(points()).toBe(60);
});

test('a status whose best hash is none is heard without a tip', () => {
  const { hear, registry, notified } = setUp();
  const bad = probes.find((each) => each.case === 'node_status bad best hash');
  if (bad !== undefined) hear(bad);
  expect(registry.get(AUTHOR)).toMatchObject({ claimed: undefined, wires: ['message-bus'] });
  expect(notified).toMatchObject([{ type: 'node_status', bestBlockHash: '', bestHeight: 5 }]);
});
