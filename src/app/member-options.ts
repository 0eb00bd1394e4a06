// Settings of membership and policy, as the network member takes them. Part of the composition, apart because it is long.

import type { PeerId } from '../domain/ids.ts';
import type { PolicyOptions } from '../gossip/view.ts';
import type { BuildVersion } from '../lib/version.ts';
import type { Settings } from '../settings/load.ts';
import { fullTopicNames, topicPrefixes } from '../settings/topic-names.ts';
import { NETWORKS } from '../wire/networks.ts';
import { shadowRules } from './ban-options.ts';
import type { NetworkMemberOptions } from './network-member.ts';

export function memberOptions(settings: Settings, { version, commit }: BuildVersion): NetworkMemberOptions {
  return {
    networks: topicPrefixes(settings).map((topicPrefix) => ({
      topicPrefix,
      topics: fullTopicNames(settings, topicPrefix),
    })),
    userAgent: `teranode/bitcoin/${version}`,
    policy: policyOptions(settings),
    isShadow: shadowRules(settings),
    peerMap: {
      maxSize: settings.p2p_peer_map_max_size,
      ttlMs: settings.p2p_peer_map_ttl,
      cleanUpIntervalMs: settings.p2p_peer_map_cleanup_interval,
    },
    handshake: {
      topicSize: settings.p2p_handshake_topic_size,
      topicTimeoutMs: settings.p2p_handshake_topic_timeout,
    },
    sync: {
      minPeers: settings.p2p_min_peers_for_sync,
      maxWaitMs: settings.p2p_max_wait_for_min_peers,
      forcedPeer: settings.p2p_force_sync_peer as PeerId | undefined,
      hasBootstrap: settings.p2p_bootstrap_addresses.length > 0,
    },
    presents: {
      version,
      commitHash: commit,
      clientName: settings.clientName,
      listenMode: settings.listen_mode,
    },
  };
}

/** Twenty times its rate at once, as an author has. */
const RELAY_BURST_SECONDS = 20;

function policyOptions(settings: Settings): PolicyOptions {
  const { powLimitBits, allowsMinDifficultyBlocks } = NETWORKS[settings.network];
  return {
    powLimitBits,
    verifiesHeaderPow: settings.p2p_verify_header_pow,
    requiresHeader: settings.p2p_require_header,
    authorRate: { perSecond: settings.p2p_author_rate, burst: settings.p2p_author_burst },
    sourceRate: { perSecond: settings.p2p_relay_rate, burst: settings.p2p_relay_rate * RELAY_BURST_SECONDS },
    dataHubUrls: {
      allowsPrivate: settings.p2p_allow_private_datahubs,
      blacklist: settings.subtreevalidation_blacklisted_baseurls,
    },
    maxTargetRatio: allowsMinDifficultyBlocks ? 0 : settings.p2p_max_target_ratio,
  };
}
