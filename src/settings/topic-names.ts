// Full topic names: the network's prefix and the topic's own name.
import { NETWORKS } from '../wire/networks.ts';
import { topicName } from '../wire/topics.ts';
import type { Settings } from './schema.ts';

/** `chainCfgParams_topicPrefix`, else the prefix of the network. */
export function topicPrefix(settings: Settings): string {
  return settings.chainCfgParams_topicPrefix ?? NETWORKS[settings.network].topicPrefix;
}

/** The node's own prefix first, then `p2p_further_topic_prefixes`, without duplicates. */
export function topicPrefixes(settings: Settings): readonly string[] {
  return [...new Set([topicPrefix(settings), ...settings.p2p_further_topic_prefixes])];
}

/** Full topic names under one prefix; default: the node's own. */
export function fullTopicNames(settings: Settings, prefix = topicPrefix(settings)) {
  return {
    block: topicName(prefix, settings.p2p_block_topic),
    subtree: topicName(prefix, settings.p2p_subtree_topic),
    mining_on: topicName(prefix, settings.p2p_mining_on_topic),
    handshake: topicName(prefix, settings.p2p_handshake_topic),
    rejected_tx: topicName(prefix, settings.p2p_rejected_tx_topic),
    node_status: topicName(prefix, settings.p2p_node_status_topic),
    best_block: topicName(prefix, settings.p2p_bestblock_topic),
  };
}
