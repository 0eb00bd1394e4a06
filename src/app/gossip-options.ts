// What the validators of gossip go by, from the settings. Apart from the rooms of the server, because the listener of
// the library has the same rules and none of those rooms.
import type { GossipOptions } from '../gossip/attach.ts';
import type { PolicyOptions } from '../gossip/view.ts';
import type { DataHubUrlRules } from '../peers/datahub/datahub-url.ts';
import type { Settings } from '../settings/load.ts';
import { allowsPrivateDataHubs, wireNames } from '../settings/wire.ts';
import type { WireName } from '../wire/format.ts';
import { NETWORKS } from '../wire/networks.ts';

export function gossipOptions(settings: Settings): Omit<GossipOptions, 'isShadow'> {
  return {
    policy: policyOptions(settings),
    seenHashes: {
      maxPublishers: settings.p2p_seen_hash_max_publishers,
      ttlMs: settings.p2p_seen_hash_ttl,
      maxSize: settings.p2p_seen_hash_max_size,
    },
    peerMap: {
      maxSize: settings.p2p_peer_map_max_size,
      ttlMs: settings.p2p_peer_map_ttl,
      cleanUpIntervalMs: settings.p2p_peer_map_cleanup_interval,
    },
  };
}

/** Burst of a propagation source in seconds of its rate, as an author has by default. */
const SOURCE_BURST_SECONDS = 20;

function policyOptions(settings: Settings): PolicyOptions {
  const { powLimitBits, allowsMinDifficultyBlocks } = NETWORKS[settings.network];
  return {
    powLimitBits,
    verifiesHeaderPow: settings.p2p_verify_header_pow,
    requiresHeader: settings.p2p_require_header,
    authorRate: { perSecond: settings.p2p_author_rate, burst: settings.p2p_author_burst },
    sourceRate: { perSecond: settings.p2p_relay_rate, burst: settings.p2p_relay_rate * SOURCE_BURST_SECONDS },
    authorBytes: { perSecond: settings.p2p_author_byte_rate, burst: settings.p2p_author_byte_burst },
    sourceBytes: {
      perSecond: settings.p2p_relay_byte_rate,
      burst: settings.p2p_relay_byte_rate * SOURCE_BURST_SECONDS,
    },
    statusRate: { perSecond: settings.p2p_status_rate, burst: settings.p2p_status_burst },
    dataHubUrls: (wire) => dataHubUrlRules(settings, wire),
    maxHeightLead: settings.p2p_max_unvalidated_advertised_height_lead,
    maxTargetRatio: allowsMinDifficultyBlocks ? 0 : settings.p2p_max_target_ratio,
  };
}

/** Which DataHub URLs of peers may be used on a wire; default: the newest in force. */
export function dataHubUrlRules(
  settings: Settings,
  wire: WireName | undefined = wireNames(settings)[0],
): DataHubUrlRules {
  return {
    allowsPrivate: allowsPrivateDataHubs(settings, wire),
    blacklist: settings.subtreevalidation_blacklisted_baseurls,
  };
}
