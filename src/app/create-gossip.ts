// The pipeline of received messages from the settings, on the topics of all networks.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { ACCIDENT_SHARE } from '../domain/offences.ts';
import { attachGossip, type Gossip } from '../gossip/attach.ts';
import type { Handshake } from '../handshake/handshake.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import { BAD_REPUTATION, NEUTRAL_REPUTATION } from '../peers/histories/reputation.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import type { MessageCounts } from '../watch/message-counts.ts';
import type { Recent } from '../watch/recent.ts';
import type { Core } from './core.ts';
import type { Announcers } from './create-announcers.ts';
import { shadowRules } from './create-bans.ts';
import type { Producers } from './create-kafka.ts';
import type { Peers } from './create-peers.ts';
import { gossipOptions } from './gossip-options.ts';
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
      deliveredFirst: (announcement) => deps.deliveries.deliveredFirst(announcement),
      blockProducer: producers.blocks,
      subtreeProducer: producers.subtrees,
      onResult: (envelope, result) => {
        recent.result(envelope, result, clock.now());
        messages.result(envelope, result);
        if (result.process) silentFeed.heard(envelope.topic);
      },
    },
    { ...gossipOptions(settings), isShadow: shadowRules(settings) },
  );
}
