// A message judged by the guards of its topic, beside a view in which all is well; and messages as they were recorded.
import { expect } from 'vitest';
import type { PeerId } from '../../src/domain/ids.ts';
import type { Effect } from '../../src/gossip/effects.ts';
import type { GuardView } from '../../src/gossip/guards.ts';
import { decodersOf } from '../../src/gossip/messages.ts';
import { topicPipeline } from '../../src/gossip/pipeline.ts';
import type { GossipMessage } from '../../src/ports/p2p-node.ts';
import { GO_P2P, type TopicKind, type WireFormat } from '../../src/wire/format.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordedTexts } from '../support/recorded.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from './recorders.ts';

export const AUTHOR = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
export const SOURCE = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
export const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;

export const RECORDED = {
  block: recordedTexts('teranode-block.json'),
  subtree: recordedTexts('teranode-subtree.json'),
  mining_on: recordedTexts('teranode-miningon.json'),
  handshake: recordedTexts('teranode-handshake.json'),
  rejected_tx: recordedTexts('teranode-rejected_tx.json'),
  node_status: recordedTexts('teranode-node_status.json'),
  // Specified and sent by no Go node: nothing was recorded.
  best_block: [`{"PeerID":"${AUTHOR}"}`],
} as const satisfies Record<TopicKind, string[]>;
export const TOPICS = Object.keys(RECORDED) as TopicKind[];

export const VIEW: GuardView = {
  ownId: OWN,
  wire: GO_P2P.name,
  maxGossipBytes: GO_P2P.maxGossipBytes,
  verifiesHeaderPow: true,
  requiresHeader: false,
  powLimitBits: NETWORKS.mainnet.powLimitBits,
  blockAnnouncedBy: () => false,
  subtreeAnnouncedBy: () => false,
  mayForwardPeerDiscovery: () => true,
  passedElsewhere: () => false,
  passed: () => {},
  shouldForward: () => true,
  isBanned: () => false,
  isLowReputation: () => false,
  authorRate: () => 'ok',
  sourceRate: () => 'ok',
  chargeSource: () => {},
  mayTellStatus: () => true,
  spent: () => {},
  isReplay: () => false,
  mayBeOld: () => false,
  dataHubUrlFault: () => undefined,
  ownHeightOf: () => undefined,
  countedHeight: (height) => height,
  isFirstOnWire: () => false,
  easiestTarget: () => undefined,
};

/** The effect of a guard that charges the author. */
export function penalized(kind: TopicKind, rule: string, reason: string, author: string, hash?: string) {
  return [{ type: 'offence', author, reason, rule, topic: `prefix-${kind}`, hash }];
}

interface Outcome {
  readonly decision: string;
  readonly reason: string;
  readonly effects: Effect[];
}

interface Validation {
  readonly view?: Partial<GuardView>;
  readonly author?: PeerId;
  readonly execute?: () => void;
  readonly shadow?: readonly string[];
  /** Default: that of the specification. */
  readonly wire?: WireFormat;
}

export function validate(kind: TopicKind, data: string | Uint8Array, options: Validation = {}): Outcome {
  const { wire = GO_P2P } = options;
  const metrics = new RecordedMetrics();
  const effects: Effect[] = [];
  const handler = topicPipeline(kind, {
    decode: decodersOf(wire),
    view: { ...VIEW, wire: wire.name, maxGossipBytes: wire.maxGossipBytes, ...options.view },
    execute: (each) => {
      options.execute?.();
      effects.push(...each);
    },
    isShadow: (rule) => options.shadow?.includes(rule) === true,
    clock: new FakeClock(),
    log: recordingLogger(),
    metrics,
  });
  const envelope: GossipMessage = {
    topic: `prefix-${kind}`,
    bytes: Buffer.from(data),
    author: options.author ?? AUTHOR,
    receivedFrom: SOURCE,
    seqno: 1n,
  };
  const decision = handler(envelope);
  const reasons = ['processed', ...REASONS].filter(
    (reason) => metrics.count('teranode_p2p_gossip_messages_total', { reason }) === 1,
  );
  expect(reasons).toHaveLength(1);
  return { decision, reason: reasons[0] ?? '', effects };
}

const REASONS = [
  'own_message',
  'other_prefix',
  'other_wire',
  'banned_author',
  'author_rate',
  'author_flood',
  'author_bytes',
  'author_time',
  'relay_rate',
  'relay_bytes',
  'status_rate',
  'size',
  'replay',
  'peer_discovery',
  'peer_discovery_repeated',
  'not_json',
  'decode',
  'hash_form',
  'peer_id_form',
  'author_mismatch',
  'header_missing',
  'header_mismatch',
  'proof_of_work',
  'height_implausible',
  'work_implausible',
  'datahub_url',
  'low_reputation',
  'duplicate',
  'handler_failed',
];

export function changed(kind: TopicKind, fields: Record<string, unknown>): string {
  return JSON.stringify({ ...JSON.parse(RECORDED[kind][0] ?? ''), ...fields });
}
