// The one place where effects happen. Nothing here waits: Kafka is a bounded queue, the rest is memory.
import type { Attribution } from '../peers/attribution.ts';
import type { BanReason } from '../ports/ban-store.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import type { Producer } from '../ports/producer.ts';
import type { Hash } from '../wire/ids.ts';
import { encodeKafkaBlock, encodeKafkaSubtree } from '../wire/kafka-messages.ts';
import type { Effect } from './effects.ts';

/** The part of the ban system that takes offences. */
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
  readonly blockProducer: Producer;
  readonly subtreeProducer: Producer;
  readonly node: Pick<P2PNode, 'updatePeerHeight'>;
  readonly scores: ScoreKeeper;
}

/** Runs effects in their order. */
export function executor(deps: ExecutorDependencies): (effects: readonly Effect[]) => void {
  return (effects) => {
    for (const effect of effects) run(effect, deps);
  };
}

function run(effect: Effect, deps: ExecutorDependencies): void {
  switch (effect.type) {
    case 'attribute_block':
      deps.blocks.record(effect.hash, effect);
      return;
    case 'attribute_subtree':
      deps.subtrees.record(effect.hash, effect);
      return;
    case 'publish_block':
      deps.blockProducer.publish(
        encodeKafkaBlock({ hash: effect.hash, url: effect.dataHubUrl, peerId: effect.author }),
      );
      return;
    case 'publish_subtree':
      deps.subtreeProducer.publish(
        encodeKafkaSubtree({ hash: effect.hash, url: effect.dataHubUrl, peerId: effect.author }),
      );
      return;
    case 'offence':
      deps.scores.addScore(effect.author, effect.reason, {
        role: 'author',
        rule: effect.rule,
        topic: effect.topic,
        hash: effect.hash,
      });
      return;
    case 'peer_height':
      deps.node.updatePeerHeight(effect.peerId, effect.height);
      return;
    default:
      effect satisfies never;
  }
}
