// The handshake from the settings, over all networks that have a handshake topic.
import type { BanService } from '../bans/service.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import { Handshake } from '../handshake/handshake.ts';
import type { HandshakeNetwork } from '../handshake/topic-versions.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { Settings } from '../settings/load.ts';
import type { SyncManager } from '../sync/sync-manager.ts';
import type { Core } from './core.ts';
import { dataHubUrlRules } from './create-gossip.ts';
import type { Nodes } from './nodes.ts';

/** This node is a full node (wire.md, "Handshake, when and how"). */
const FULL_NODE = 1n;

export interface HandshakeSources extends Core {
  readonly networks: readonly P2PNetwork[];
  readonly nodes: Nodes;
  readonly ownId: PeerId;
  readonly dataHubUrl: string;
  readonly chain: ChainTracker;
  readonly registry: PeerRegistry;
  readonly bans: BanService;
  readonly sync: SyncManager;
}

export function createHandshake(settings: Settings, deps: HandshakeSources): Handshake {
  const { bans, nodes, registry, sync } = deps;
  const urlFault = dataHubUrlCheck(dataHubUrlRules(settings, 'go-p2p'));
  const handshake = new Handshake(
    {
      ...deps,
      node: nodes,
      isConnected: (peerId) => registry.get(peerId)?.isConnected === true,
      isBanned: (peerId) => bans.isBanned(peerId),
      penalize: (peerId, rule) =>
        void bans.addScore(peerId, 'protocol_violation', { role: 'author', rule, topic: '', hash: undefined }),
      onAhead: (peerId) => sync.peerAhead(peerId),
    },
    {
      networks: deps.networks.flatMap((network) => handshakeNetwork(network, nodes)),
      userAgent: `teranode/bitcoin/${buildVersion().version}`,
      dataHubUrl: deps.dataHubUrl,
      services: FULL_NODE,
      topicSize: settings.p2p_handshake_topic_size,
      topicTimeoutMs: settings.p2p_handshake_topic_timeout,
      mayUseUrl: (url) => urlFault(url) === undefined,
    },
  );
  nodes.onConnected((peerId) => handshake.peerConnected(peerId));
  return handshake;
}

function handshakeNetwork({ topicPrefix, topics, wire, node }: P2PNetwork, nodes: Nodes): HandshakeNetwork[] {
  const topic = topics.handshake;
  const isConnected = (peerId: PeerId) => nodes.isConnectedTo(node, peerId);
  return topic === undefined ? [] : [{ topicPrefix, topic, wire, node, isConnected }];
}
