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
import { dataHubUrlRules } from './gossip-options.ts';
import type { Nodes } from './nodes.ts';

/** This node is a full node (wire.md, "Handshake, when and how"). */
const FULL_NODE = 1n;

export interface HandshakeSources extends Core {
  readonly networks: readonly P2PNetwork[];
  readonly nodes: Nodes;
  readonly ownId: PeerId;
  /** Known once the HTTP listener has started. */
  readonly dataHubUrl: () => string;
  readonly chain: ChainTracker;
  readonly registry: PeerRegistry;
  readonly bans: BanService;
  readonly sync: SyncManager;
}

/** undefined where no network has a handshake, as on message-bus, and where this node says nothing (`silent`). */
export function createHandshake(settings: Settings, deps: HandshakeSources): Handshake | undefined {
  const { bans, nodes, sync } = deps;
  const networks = deps.networks.flatMap((network) => handshakeNetwork(network, nodes));
  if (networks.length === 0 || settings.listen_mode === 'silent') return undefined;
  const greeting = deps.networks.filter(({ topics }) => topics.handshake !== undefined).map(({ node }) => node);
  const nodeOf = (peerId: PeerId) => greeting.find((node) => nodes.isConnectedTo(node, peerId));
  const urlFault = dataHubUrlCheck(dataHubUrlRules(settings, 'go-p2p'));
  const handshake = new Handshake(
    {
      ...deps,
      node: {
        sendToPeer: (peerId, bytes, deadlineMs) => (nodeOf(peerId) ?? nodes).sendToPeer(peerId, bytes, deadlineMs),
        // Of go-p2p only: the other wire has no handshake that could fail.
        disconnectPeer: async (peerId) => {
          await Promise.all([...new Set(greeting)].map((node) => node.disconnectPeer(peerId)));
        },
        updatePeerHeight: (peerId, height) => nodes.updatePeerHeight(peerId, height),
      },
      isConnected: (peerId) => nodeOf(peerId) !== undefined,
      isBanned: (peerId) => bans.isBanned(peerId),
      penalize: (peerId, rule) =>
        void bans.addScore(peerId, 'protocol_violation', { role: 'author', rule, topic: '', hash: undefined }),
      onAhead: (peerId) => sync.peerAhead(peerId),
    },
    {
      networks,
      userAgent: `teranode/bitcoin/${buildVersion().version}`,
      get dataHubUrl() {
        return deps.dataHubUrl();
      },
      services: FULL_NODE,
      topicSize: settings.p2p_handshake_topic_size,
      topicTimeoutMs: settings.p2p_handshake_topic_timeout,
      mayUseUrl: (url) => urlFault(url) === undefined,
    },
  );
  nodes.onNodeConnected((node, peerId) => {
    if (greeting.includes(node)) handshake.peerConnected(peerId);
  });
  return handshake;
}

function handshakeNetwork({ topicPrefix, topics, wire, node }: P2PNetwork, nodes: Nodes): HandshakeNetwork[] {
  const topic = topics.handshake;
  const isConnected = (peerId: PeerId) => nodes.isConnectedTo(node, peerId);
  return topic === undefined ? [] : [{ topicPrefix, topic, wire, node, isConnected }];
}
