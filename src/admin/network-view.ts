// The network as this node hears it: what its peers, and authors without a connection to us, claim and are.

import type { OwnTip } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { RegisteredPeer } from '../peers/registry.ts';
import {
  MAX_NETWORK_ROWS,
  type NetworkTip,
  type NetworkView,
  type OperatorRow,
  type PeerLag,
  type TopicRate,
} from '../ports/admin-api.ts';
import type { LeagueRow } from '../ports/deliveries.ts';

export interface NetworkSources {
  readonly peers: readonly RegisteredPeer[];
  /** Of connected peers, from libp2p. */
  readonly agentOf: (peerId: PeerId) => string | undefined;
  readonly own: OwnTip | undefined;
  readonly topics: readonly TopicRate[];
  readonly league: readonly LeagueRow[];
}

export function networkView({ peers, agentOf, own, topics, league }: NetworkSources): Omit<NetworkView, 'spread'> {
  const tip = tipOf(peers);
  const versions = counted(peers.map((peer) => peer.version ?? peer.userAgent ?? agentOf(peer.id)));
  const heights = counted(peers.map(({ claimed }) => claimed?.height));
  return {
    tip,
    own: own && { height: own.height, hash: own.hash },
    lag: tip && own && Math.max(0, tip.height - own.height),
    peerLag: tip && peerLag(peers, tip),
    peers: peers.length,
    connectedPeers: peers.filter(({ isConnected }) => isConnected).length,
    versions: versions.map(([version, count]) => ({ version, peers: count })),
    operators: operatorsOf(peers, tip, league),
    heights: heights.map(([height, count]) => ({ height, peers: count })).sort((a, b) => b.height - a.height),
    topics,
    league: league.slice(0, MAX_NETWORK_ROWS),
  };
}

/** The block that most peers claim; of several the highest. A single peer that claims any height decides nothing. */
function tipOf(peers: readonly RegisteredPeer[]): NetworkTip | undefined {
  const tips = new Map<string, NetworkTip>();
  for (const { claimed, proven } of peers) {
    if (claimed?.hash === undefined) continue;
    const { height, hash } = claimed;
    const known = tips.get(`${height} ${hash}`) ?? { height, hash, claimedBy: 0, provenBy: 0 };
    const isProven = proven?.hash === hash && proven.height === height;
    tips.set(`${height} ${hash}`, {
      ...known,
      claimedBy: known.claimedBy + 1,
      provenBy: known.provenBy + (isProven ? 1 : 0),
    });
  }
  return [...tips.values()].sort((a, b) => b.claimedBy - a.claimedBy || b.height - a.height)[0];
}

/** Of a tip that a peer claims, so that at least one claims a height. */
function peerLag(peers: readonly RegisteredPeer[], tip: NetworkTip): PeerLag {
  const lags = peers
    .flatMap(({ claimed }) => (claimed === undefined ? [] : [Math.max(0, tip.height - claimed.height)]))
    .sort((a, b) => a - b);
  return {
    peers: lags.length,
    behind: lags.filter((lag) => lag > 0).length,
    median: lags[Math.floor(lags.length / 2)] ?? 0,
    highest: lags.at(-1) ?? 0,
  };
}

function operatorsOf(
  peers: readonly RegisteredPeer[],
  tip: NetworkTip | undefined,
  league: readonly LeagueRow[],
): OperatorRow[] {
  const deliveries = new Map(league.map((row) => [row.peerId, row]));
  const byName = new Map<string, RegisteredPeer[]>();
  for (const peer of peers) {
    if (!peer.clientName) continue;
    const same = byName.get(peer.clientName);
    if (same === undefined) byName.set(peer.clientName, [peer]);
    else same.push(peer);
  }
  return [...byName]
    .sort(([, a], [, b]) => b.length - a.length)
    .slice(0, MAX_NETWORK_ROWS)
    .map(([clientName, same]) => operatorRow(clientName, same, tip, deliveries));
}

function operatorRow(
  clientName: string,
  peers: readonly RegisteredPeer[],
  tip: NetworkTip | undefined,
  deliveries: ReadonlyMap<PeerId, LeagueRow>,
): OperatorRow {
  const heights = peers.flatMap(({ claimed }) => (claimed === undefined ? [] : [claimed.height]));
  const storing = (kind: 'full' | 'pruned') => peers.filter(({ storage }) => storage === kind).length;
  return {
    clientName,
    peers: peers.length,
    connectedPeers: peers.filter(({ isConnected }) => isConnected).length,
    lowestHeight: heights.length === 0 ? undefined : Math.min(...heights),
    highestHeight: heights.length === 0 ? undefined : Math.max(...heights),
    lag: tip && heights.length > 0 ? Math.max(0, tip.height - Math.max(...heights)) : undefined,
    meanDelayMs: meanDelayMs(peers.flatMap(({ id }) => deliveries.get(id) ?? [])),
    full: storing('full'),
    pruned: storing('pruned'),
  };
}

/** Each neighbour counts as much as it delivered later. */
function meanDelayMs(rows: readonly LeagueRow[]): number | undefined {
  const later = rows.flatMap(({ meanDelayMs: delayMs, laterDeliveries }) =>
    delayMs === undefined ? [] : [{ delayMs, laterDeliveries }],
  );
  const total = later.reduce((sum, { laterDeliveries }) => sum + laterDeliveries, 0);
  if (total === 0) return undefined;
  return later.reduce((sum, { delayMs, laterDeliveries }) => sum + delayMs * laterDeliveries, 0) / total;
}

/** Values with how many peers have them, most first. */
function counted<T>(values: readonly (T | undefined)[]): (readonly [T, number])[] {
  const counts = new Map<T, number>();
  for (const value of values) if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, MAX_NETWORK_ROWS);
}
