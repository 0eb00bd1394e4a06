// The pipeline of received messages from the settings, on the topics of all networks.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { ACCIDENT_SHARE } from '../domain/offences.ts';
import { attachGossip, type Gossip } from '../gossip/attach.ts';
import type { PolicyOptions } from '../gossip/view.ts';
import type { Handshake } from '../handshake/handshake.ts';
import type { DataHubUrlRules } from '../peers/datahub/datahub-url.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import { BAD_REPUTATION, NEUTRAL_REPUTATION } from '../peers/histories/reputation.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import { allowsPrivateDataHubs, wireNames } from '../settings/wire.ts';
import type { MessageCounts } from '../watch/message-counts.ts';
import type { Recent } from '../watch/recent.ts';
import type { WireName } from '../wire/format.ts';
import { NETWORKS } from '../wire/networks.ts';
import type { Core } from './core.ts';
import type { Announcers } from './create-announcers.ts';
import { shadowRules } from './create-bans.ts';
import type { Producers } from './create-kafka.ts';
import type { Peers } from './create-peers.ts';
import type { Nodes } from './nodes.ts';
import type { SilentFeed } from './silent-feed.ts';

export interface GossipSources extends Core {
  readonly networks: readonly P2PNetwork[];
  readonly nodes: Nodes;
  readonly ownId: PeerId;
  readonly registry: PeerRegistry;
  readonly peers: Pick<Peers, 'histories'>;
  readonly sync: SyncStatus;
  readonly handshake: Handshake | undefined;
  readonly announcers: Announcers;
  readonly notify: (notification: Notification) => void;
  readonly bans: BanService;
  readonly traces: Traces | undefined;
  readonly deliveries: Pick<FirstDeliveries, 'deliveredFirst'>;
  readonly chain: ChainTracker;
  readonly producers: Producers;
  readonly recent: Recent;
  readonly messages: MessageCounts;
  readonly silentFeed: Pick<SilentFeed, 'heard'>;
}

export function createGossip(settings: Settings, deps: GossipSources): Gossip {
  const { bans, clock, producers, recent, messages, silentFeed, handshake, announcers, registry, peers } = deps;
  return attachGossip(
    {
      ...deps,
      node: deps.nodes,
      handshake: (message, author) => handshake?.topicMessage(message, author),
      bestBlockAsked: (author) => announcers.bestBlock.requested(author),
      isBanned: (peerId) => bans.isBanned(peerId),
      isLowReputation: (peerId) =>
        registry.get(peerId)?.isConnected === true &&
        (peers.histories.historyOf(peerId)?.reputation ?? NEUTRAL_REPUTATION) < BAD_REPUTATION,
      isInGoodStanding: (peerId) =>
        registry.get(peerId) !== undefined && bans.scoreOf(peerId) < settings.p2p_ban_threshold * ACCIDENT_SHARE,
      scores: bans,
      deliveredFirst: (neighbour, author) => deps.deliveries.deliveredFirst(neighbour, author),
      blockProducer: producers.blocks,
      subtreeProducer: producers.subtrees,
      onResult: (envelope, result) => {
        recent.result(envelope, result, clock.now());
        messages.result(envelope, result);
        if (result.process) silentFeed.heard(envelope.topic);
      },
    },
    {
      policy: policyOptions(settings),
      isShadow: shadowRules(settings),
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
    },
  );
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
