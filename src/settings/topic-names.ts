// Full topic names: the network's prefix and the topic's own name.
import type { WireName } from '../wire/format.ts';
import { NETWORKS } from '../wire/networks.ts';
import { topicName } from '../wire/topics.ts';
import type { Settings } from './schema.ts';
import { wireNames } from './wire.ts';

/**
 * `chainCfgParams_topicPrefix`, else the network's prefix on that wire. With both wires in force, a setting that is the
 * other wire's default says nothing about this one.
 */
export function topicPrefix(settings: Settings, wire: WireName): string {
  const defaults = NETWORKS[settings.network].topicPrefixes;
  const set = settings.chainCfgParams_topicPrefix;
  const other = wire === 'go-p2p' ? 'message-bus' : 'go-p2p';
  const isOthers = wireNames(settings).includes(other) && set === defaults[other];
  return set === undefined || isOthers ? defaults[wire] : set;
}

/**
 * The node's own prefix first, then `p2p_further_topic_prefixes`, without duplicates. Further prefixes are those of the
 * go-p2p node where there is one.
 */
export function topicPrefixes(settings: Settings, wire: WireName): readonly string[] {
  const isForFurther = wire === 'go-p2p' || !wireNames(settings).includes('go-p2p');
  const further = isForFurther ? settings.p2p_further_topic_prefixes : [];
  return [...new Set([topicPrefix(settings, wire), ...further])];
}

/** Full names of the four topics of message-bus. */
export function busTopicNames(settings: Settings, prefix = topicPrefix(settings, 'message-bus')) {
  return {
    block: topicName(prefix, settings.p2p_block_topic),
    subtree: topicName(prefix, settings.p2p_subtree_topic),
    rejected_tx: topicName(prefix, settings.p2p_rejected_tx_topic),
    node_status: topicName(prefix, settings.p2p_node_status_topic),
  };
}

/** Full topic names of go-p2p under one prefix; default: the node's own. */
export function fullTopicNames(settings: Settings, prefix = topicPrefix(settings, 'go-p2p')) {
  return {
    block: topicName(prefix, settings.p2p_block_topic),
    subtree: topicName(prefix, settings.p2p_subtree_topic),
    mining_on: topicName(prefix, settings.p2p_mining_on_topic ?? ''),
    handshake: topicName(prefix, settings.p2p_handshake_topic ?? ''),
    rejected_tx: topicName(prefix, settings.p2p_rejected_tx_topic),
    node_status: topicName(prefix, settings.p2p_node_status_topic),
    best_block: topicName(prefix, settings.p2p_bestblock_topic),
  };
}
