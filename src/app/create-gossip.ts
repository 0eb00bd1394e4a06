// The pipeline of received messages from the settings, on the topics of all networks.
import type { BanService } from '../bans/service.ts';
import type { Tap } from '../capture/tap.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Notification } from '../domain/notification.ts';
import { ACCIDENT_SHARE } from '../domain/offences.ts';
import { attachGossip, type Gossip, type GossipNetwork } from '../gossip/attach.ts';
import type { Handshake } from '../handshake/handshake.ts';
import type { FirstDeliveries } from '../peers/first-deliveries.ts';
import { BAD_REPUTATION, NEUTRAL_REPUTATION } from '../peers/histories/reputation.ts';
import type { PeerRegistry } from '../peers/registry.ts';
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
  readonly networks: readonly GossipNetwork[];
  readonly nodes: Pick<Nodes, 'updatePeerHeight'>;
  readonly ownId: PeerId;
  readonly registry: Pick<PeerRegistry, 'get' | 'heard'>;
  readonly peers: Pick<Peers, 'histories'>;
  readonly sync: SyncStatus;
  readonly handshake: Pick<Handshake, 'topicMessage'> | undefined;
  readonly announcers: { readonly bestBlock: Pick<Announcers['bestBlock'], 'requested'> };
  readonly notify: (notification: Notification) => void;
  readonly bans: BanService;
  readonly traces: Traces | undefined;
  readonly deliveries: Pick<FirstDeliveries, 'deliveredFirst'>;
  readonly chain: Pick<ChainTracker, 'heightOf' | 'tip' | 'isSyncing'>;
  readonly producers: { readonly [K in 'blocks' | 'subtrees']: Pick<Producers[K], 'publish'> };
  readonly recent: Pick<Recent, 'result'>;
  readonly messages: Pick<MessageCounts, 'result'>;
  readonly silentFeed: Pick<SilentFeed, 'heard'>;
  /** While the node captures, and in a replay. */
  readonly tap?: { readonly tap: Tap; readonly handlingMs: (ms: number) => number } | undefined;
}

export function createGossip(settings: Settings, deps: GossipSources): Gossip {
  const { tap, bans, clock, producers, recent, messages, silentFeed, handshake, announcers, registry, peers } = deps;
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
      handlingMs: tap?.handlingMs,
      onResult: (envelope, result) => {
        tap?.tap.decided(['result', result.decision, result.process ? 'processed' : result.reason]);
        recent.result(envelope, result, clock.now());
        messages.result(envelope, result);
        if (result.process) silentFeed.heard(envelope.topic);
      },
    },
    { ...gossipOptions(settings), isShadow: shadowRules(settings) },
  );
}
