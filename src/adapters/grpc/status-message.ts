// Converts this node's view of itself to its protobuf message and back. Empty on the wire means unknown.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { GetStatusResponse, GetStatusResponseSchema } from '../../gen/teranode_p2p_pb.js';
import type { NodeView } from '../../ports/admin-api.ts';
import { parseHash } from '../../wire/hash.ts';

/** A node as `GetStatus` describes it; undefined where unknown. */
export interface NodeSummary extends Omit<NodeView, 'peerId' | 'syncPeer' | 'choice' | 'lastEnd'> {
  readonly peerId: string;
  /** Peer ID. */
  readonly syncPeer: string | undefined;
  /** Why this sync peer, or why none, for people. */
  readonly syncReason: string | undefined;
}

export function statusMessage(view: NodeView): MessageInitShape<typeof GetStatusResponseSchema> {
  const { peerId, version, networks, connectedPeers, checks } = view;
  return {
    ...{ peerId, version, connectedPeers },
    networks: networks.map(({ wire, topicPrefix, listenAddresses }) => ({
      ...{ wire, topicPrefix },
      addresses: [...listenAddresses],
    })),
    httpUrl: view.httpUrl ?? '',
    fsmState: view.fsmState ?? '',
    ...(view.bestHeight === undefined ? {} : { bestHeight: view.bestHeight }),
    bestBlockHash: view.bestBlockHash ?? '',
    syncPeer: view.syncPeer?.peerId ?? '',
    syncReason: view.choice?.explanation ?? '',
    ready: view.isReady,
    checks: checks.map(({ name, ok, details }) => ({ name, ok, details })),
  };
}

export function nodeSummary(message: GetStatusResponse): NodeSummary {
  const { peerId, version, connectedPeers, bestHeight } = message;
  return {
    ...{ peerId, version, connectedPeers, bestHeight },
    networks: message.networks.map(({ wire, topicPrefix, addresses }) => ({
      ...{ wire, topicPrefix },
      listenAddresses: addresses,
    })),
    httpUrl: message.httpUrl || undefined,
    fsmState: message.fsmState || undefined,
    bestBlockHash: parseHash(message.bestBlockHash),
    syncPeer: message.syncPeer || undefined,
    syncReason: message.syncReason || undefined,
    isReady: message.ready,
    checks: message.checks.map(({ name, ok, details }) => ({ name, ok, details })),
  };
}
