// Applies bans to the connections of the nodes: disconnects banned peers, refuses new connections, retries dials after
// a ban was lifted.

import type { Ban } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { singleFlight } from '../../lib/single-flight.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { P2PNode, PeerRecord } from '../../ports/p2p-node.ts';
import { covers, socketIp } from '../list/ban-key.ts';
import type { BanChange, BanList } from '../list/ban-list.ts';

/** The part of a node on which bans are enforced. */
export type EnforcedNode = Pick<P2PNode, 'currentlyConnectedPeers' | 'disconnectPeer' | 'retryDials'>;

export interface EnforcementDependencies {
  readonly list: BanList;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class Enforcement {
  private readonly deps: EnforcementDependencies;
  private readonly nodes: EnforcedNode[] = [];
  private readonly enforced: Counter;

  constructor(deps: EnforcementDependencies) {
    this.deps = deps;
    const help = 'Connections refused or closed because of a ban, by action';
    this.enforced = deps.metrics.counter('teranode_p2p_ban_enforcements_total', help, ['action']);
  }

  attach(node: EnforcedNode): void {
    this.nodes.push(node);
  }

  /** Peers connected to any of the nodes. */
  connectedPeers(): readonly PeerRecord[] {
    return this.nodes.flatMap((node) => node.currentlyConnectedPeers());
  }

  /** Disconnects the peers that new bans cover; dials again when bans ended. Never throws. */
  apply(changes: readonly BanChange[]): void {
    const added = changes.filter((change) => change.type === 'added').map(({ entry }) => entry);
    const hasEnded = changes.some((change) => change.type === 'removed' && change.why !== 'full');
    try {
      if (added.length > 0) for (const node of this.nodes) this.disconnectCovered(node, added);
    } catch (error) {
      this.deps.log.error({ err: error }, 'failed to enforce bans');
    }
    if (hasEnded) void this.retryDials();
  }

  /** Counts a connection or dial that was refused. */
  refused(action: 'address_refused' | 'peer_refused'): void {
    this.enforced.add(1, { action });
  }

  /** Disconnects a peer that was banned after its connection passed the checks. */
  connectionOpened(peerId: PeerId, ip: IpAddress | undefined): void {
    const { list } = this.deps;
    const ban = list.banOfPeer(peerId) ?? (ip === undefined ? undefined : list.banOfAddress(ip));
    if (ban !== undefined) for (const node of this.nodes) this.disconnect(node, peerId, ban.key);
  }

  private disconnectCovered(node: EnforcedNode, bans: readonly Ban[]): void {
    for (const peer of node.currentlyConnectedPeers()) {
      const ban = coveringBan(peer, bans);
      if (ban !== undefined) this.disconnect(node, peer.id, ban.key);
    }
  }

  private disconnect(node: EnforcedNode, peerId: PeerId, ban: string): void {
    this.enforced.add(1, { action: 'disconnected' });
    this.deps.log.info({ peerId, ban }, 'banned peer disconnected');
    node.disconnectPeer(peerId).catch((error: unknown) => {
      this.deps.log.warn({ peerId, err: error }, 'failed to disconnect banned peer');
    });
  }

  /** Once for all bans that end in the same step. */
  private readonly retryDials = singleFlight(async () => {
    await Promise.resolve();
    try {
      for (const node of this.nodes) node.retryDials();
    } catch (error) {
      this.deps.log.warn({ err: error }, 'failed to retry dials after a ban ended');
    }
  });
}

function coveringBan({ id, addresses }: PeerRecord, bans: readonly Ban[]): Ban | undefined {
  const ips = addresses.map(socketIp).filter((ip) => ip !== undefined);
  return bans.find((ban) => (ban.kind === 'peer' ? ban.key === id : ips.some((ip) => covers(ban, ip))));
}
