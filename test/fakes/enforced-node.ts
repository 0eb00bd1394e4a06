// The part of a node on which bans are enforced: connected peers, and the calls that it received.
import type { EnforcedNode } from '../../src/bans/service.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { PeerRecord } from '../../src/ports/p2p-node.ts';

export class FakeEnforcedNode implements EnforcedNode {
  readonly disconnected: PeerId[] = [];
  dialRetries = 0;
  /** Thrown by `disconnectPeer` while set. */
  failure: Error | undefined;
  private readonly connections = new Map<PeerId, readonly string[]>();

  connect(id: PeerId, ...addresses: string[]): void {
    this.connections.set(id, addresses);
  }

  leave(id: PeerId): void {
    this.connections.delete(id);
  }

  currentlyConnectedPeers(): PeerRecord[] {
    return [...this.connections].map(([id, addresses]) => record(id, addresses));
  }

  async disconnectPeer(id: PeerId): Promise<void> {
    this.disconnected.push(id);
    if (this.failure !== undefined) throw this.failure;
    this.connections.delete(id);
  }

  retryDials(): void {
    this.dialRetries += 1;
  }
}

function record(id: PeerId, addresses: readonly string[]): PeerRecord {
  return {
    id,
    addresses,
    localAddress: undefined,
    connected: true,
    direction: 'inbound',
    connectedAtMs: 1,
    agentVersion: 'test',
    height: undefined,
    startingHeight: undefined,
    bytesSent: 0,
    bytesReceived: 0,
    lastSendMs: undefined,
    lastReceiveMs: undefined,
    pingMs: undefined,
  };
}
