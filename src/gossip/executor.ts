// The one place that runs effects. Nothing here waits: Kafka is a bounded queue, the rest is memory.

import type { BlockAnnouncement, SubtreeAnnouncement } from '../domain/announcement.ts';
import type { Hash, PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import type { BanReason } from '../domain/offence.ts';
import type { Attribution } from '../peers/attribution.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import type { Effect } from './effects.ts';

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
  readonly blockProducer: Pick<Producer<BlockAnnouncement>, 'publish'>;
  readonly subtreeProducer: Pick<Producer<SubtreeAnnouncement>, 'publish'>;
  readonly node: Pick<P2PNode, 'updatePeerHeight'>;
  readonly scores: ScoreKeeper;
  readonly registry: Pick<PeerRegistry, 'heard'>;
  readonly notify: (notification: Notification) => void;
  readonly handshake: (message: HandshakeMessage, author: PeerId) => void;
  readonly bestBlockAsked: (author: PeerId) => void;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Runs effects in order. */
export function executor(deps: ExecutorDependencies): (effects: readonly Effect[]) => void {
  const withheld = deps.metrics.counter(
    'teranode_p2p_not_handed_on_total',
    'Announcements forwarded on gossip but not passed to block validation while this node syncs from another peer',
    ['topic'],
  );
  return (effects) => {
    for (const effect of effects) run(effect, deps, withheld);
  };
}

function run(effect: Effect, deps: ExecutorDependencies, withheld: Counter): void {
  switch (effect.type) {
    case 'attribute_block':
      deps.blocks.record(effect.hash, effect);
      return;
    case 'attribute_subtree':
      deps.subtrees.record(effect.hash, effect);
      return;
    case 'publish_block':
      deps.blockProducer.publish({ hash: effect.hash, url: effect.dataHubUrl, peerId: effect.author });
      return;
    case 'publish_subtree':
      deps.subtreeProducer.publish({ hash: effect.hash, url: effect.dataHubUrl, peerId: effect.author });
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
    case 'withheld':
      withheld.add(1, { topic: effect.topic });
      return;
    default:
      effect satisfies never;
  }
}
