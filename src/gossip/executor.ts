// The one place that runs effects. Nothing here waits: Kafka is a bounded queue, the rest is memory.

import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { Hash, PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import type { BanReason } from '../domain/offence.ts';
import type { Attribution } from '../peers/attribution.ts';
import { omittedUrls } from '../peers/datahub/omitted-urls.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { FirstAnnouncement } from '../ports/propagation.ts';
import type { Traces } from '../ports/traces.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import type { Effect } from './effects.ts';
import type { SeenHashes, SeenKind } from './limits/seen-hashes.ts';

/** The part of the ban service that records offences. */
export interface ScoreKeeper {
  addScore(
    subject: string,
    reason: BanReason,
    facts: { readonly role: 'author'; readonly rule: string; readonly topic: string; readonly hash: Hash | undefined },
  ): unknown;
}

export interface ExecutorDependencies {
  readonly blocks: Attribution;
  readonly subtrees: Attribution;
  readonly seenHashes: SeenHashes;
  readonly blockProducer: Pick<Producer<BlockAnnouncement>, 'publish'>;
  readonly subtreeProducer: Pick<Producer<SubtreeAnnouncement>, 'publish'>;
  readonly node: Pick<P2PNode, 'updatePeerHeight'>;
  readonly scores: ScoreKeeper;
  readonly registry: Pick<PeerRegistry, 'heard'>;
  /** Called with the first valid announcement of a hash. */
  readonly deliveredFirst?: (announcement: FirstAnnouncement) => void;
  readonly notify: (notification: Notification) => void;
  /** undefined while tracing is off. */
  readonly traces?: Traces | undefined;
  readonly handshake: (message: HandshakeMessage, author: PeerId) => void;
  readonly bestBlockAsked: (author: PeerId) => void;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Runs effects in order. */
export function executor(deps: ExecutorDependencies): (effects: readonly Effect[]) => void {
  const counters = {
    withheld: deps.metrics.counter(
      'teranode_p2p_not_handed_on_total',
      'Announcements forwarded on gossip but not passed to block validation while this node syncs from another peer',
      ['topic'],
    ),
    omitted: omittedUrls(deps.metrics),
    repeated: deps.metrics.counter(
      'teranode_p2p_seen_hash_skipped_total',
      'Announcements forwarded on gossip but not passed to Kafka because enough authors announced the same hash',
      ['topic'],
    ),
    dropped: deps.metrics.counter(
      'teranode_p2p_gossip_kafka_publish_dropped_total',
      'Announcements from peers that were dropped from the queue to Kafka',
      ['topic'],
    ),
  };
  return (effects) => {
    for (const effect of effects) run(effect, deps, counters);
  };
}

interface Counters {
  readonly withheld: Counter;
  readonly omitted: Counter;
  readonly repeated: Counter;
  readonly dropped: Counter;
}

type Fetchable = BlockAnnouncement | SubtreeAnnouncement;

/** Hands an announcement to Kafka if its author has a turn; the turn is returned when the queue drops the message. */
function handOn(
  kind: SeenKind,
  effect: Extract<Effect, { type: 'publish_block' | 'publish_subtree' }>,
  deps: ExecutorDependencies,
  { repeated, dropped }: Counters,
): void {
  const { hash, dataHubUrl: url, author } = effect;
  const { seenHashes } = deps;
  if (!seenHashes.take(kind, hash, author)) {
    repeated.add(1, { topic: kind });
    return;
  }
  const producer: Pick<Producer<Fetchable>, 'publish'> = kind === 'block' ? deps.blockProducer : deps.subtreeProducer;
  const onDropped = () => {
    dropped.add(1, { topic: kind });
    seenHashes.giveBack(kind, hash, author);
  };
  const { traces } = deps;
  if (traces?.takes(kind, hash) !== true) {
    producer.publish({ hash, url, peerId: author }, onDropped);
    return;
  }
  const startedMs = performance.now();
  const ended = (isFailed: boolean) => {
    const attributes = { author, outcome: isFailed ? 'dropped' : 'acknowledged' };
    traces.record({ kind, hash, name: 'hand to Kafka', startedMs, isFailed, attributes });
  };
  const onDroppedToo = () => {
    onDropped();
    ended(true);
  };
  producer.publish({ hash, url, peerId: author }, onDroppedToo, () => ended(false));
}

function run(effect: Effect, deps: ExecutorDependencies, counters: Counters): void {
  switch (effect.type) {
    case 'attribute_block':
      if (deps.blocks.record(effect.hash, effect)) deps.deliveredFirst?.(effect);
      return;
    case 'attribute_subtree':
      if (deps.subtrees.record(effect.hash, effect)) deps.deliveredFirst?.(effect);
      return;
    case 'publish_block':
      handOn('block', effect, deps, counters);
      return;
    case 'publish_subtree':
      handOn('subtree', effect, deps, counters);
      return;
    case 'offence':
      deps.scores.addScore(effect.author, effect.reason, {
        role: 'author',
        rule: effect.rule,
        topic: effect.topic,
        hash: effect.hash,
      });
      return;
    case 'heard':
      deps.registry.heard(effect.peerId, effect.patch);
      if (effect.patch.claimed !== undefined) deps.node.updatePeerHeight?.(effect.peerId, effect.patch.claimed.height);
      return;
    case 'notify':
      deps.notify({ ...effect.notification, atMs: deps.clock.now() } as Notification);
      return;
    case 'handshake':
      deps.handshake(effect.message, effect.author);
      return;
    case 'best_block_asked':
      deps.bestBlockAsked(effect.author);
      return;
    case 'url_omitted':
      counters.omitted.add(1, { topic: effect.topic });
      return;
    case 'withheld':
      counters.withheld.add(1, { topic: effect.topic });
      return;
    default:
      effect satisfies never;
  }
}
