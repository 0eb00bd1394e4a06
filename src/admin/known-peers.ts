// Peers with what this node's own services experienced with them: what a service asks before it catches up, and where it
// reports how that went.
import type { PeerId } from '../domain/ids.ts';
import { newHistory } from '../peers/histories/after-event.ts';
import type { PeerRegistry, RegisteredPeer } from '../peers/registry.ts';
import { type AdminApi, type KnownPeer, MAX_CATCH_UP_PEERS } from '../ports/admin-api.ts';
import type { Clock } from '../ports/clock.ts';
import type { PeerHistories } from '../ports/peer-histories.ts';
import { peerIdInput } from './inputs.ts';

export interface KnownPeerSources {
  readonly registry: Pick<PeerRegistry, 'get' | 'list'>;
  readonly histories: Pick<PeerHistories, 'historyOf' | 'histories' | 'record' | 'reset'>;
  readonly clock: Pick<Clock, 'now'>;
  /** Whether services may fetch from a DataHub URL. */
  readonly isUsableUrl: (dataHubUrl: string) => boolean;
  readonly isBanned: (peerId: PeerId) => boolean;
  readonly banScoreOf: (peerId: PeerId) => number;
}

type KnownPeerOperations = Pick<
  AdminApi,
  'knownPeers' | 'knownPeer' | 'peersForCatchUp' | 'recordPeerEvent' | 'resetReputation'
>;

export function knownPeerOperations(sources: KnownPeerSources): KnownPeerOperations {
  const { registry, histories } = sources;
  return {
    knownPeers: () => knownPeers(sources),
    knownPeer: (text) => {
      const id = peerIdInput(text);
      const registered = registry.get(id);
      const isKnown = registered !== undefined || histories.historyOf(id) !== undefined;
      return isKnown ? knownPeer(id, registered, sources) : undefined;
    },
    peersForCatchUp: () => peersForCatchUp(sources),
    recordPeerEvent: async (text, event) => await histories.record(peerIdInput(text), event),
    resetReputation: async (text) => await histories.reset(text === undefined ? undefined : peerIdInput(text)),
  };
}

function knownPeers(sources: KnownPeerSources): KnownPeer[] {
  const registered = sources.registry.list();
  const ids = new Set(registered.map(({ id }) => id));
  const others = sources.histories.histories().filter(({ id }) => !ids.has(id));
  return [
    ...registered.map((peer) => knownPeer(peer.id, peer, sources)),
    ...others.map(({ id }) => knownPeer(id, undefined, sources)),
  ];
}

function knownPeer(id: PeerId, registered: RegisteredPeer | undefined, sources: KnownPeerSources): KnownPeer {
  const history = sources.histories.historyOf(id) ?? newHistory(id);
  const isPenalized = sources.clock.now() < (history.fullStoragePenaltyUntilMs ?? 0);
  const storage = registered?.storage;
  const dataHubUrl = registered?.dataHubUrl;
  return {
    id,
    isConnected: registered?.isConnected ?? false,
    connectedAtMs: registered?.connectedAtMs,
    lastMessageMs: registered?.lastMessageMs,
    height: registered?.claimed?.height,
    bestBlockHash: registered?.claimed?.hash,
    dataHubUrl: dataHubUrl && sources.isUsableUrl(dataHubUrl) ? dataHubUrl : undefined,
    clientName: registered?.clientName,
    storage: storage === 'full' && isPenalized ? undefined : storage,
    banScore: sources.banScoreOf(id),
    isBanned: sources.isBanned(id),
    history,
  };
}

/** Lower comes first. */
const STORAGE_ORDER = { full: 0, pruned: 1, unknown: 2 } as const;

function peersForCatchUp(sources: KnownPeerSources): KnownPeer[] {
  const { registry } = sources;
  return registry
    .list()
    .map((peer) => knownPeer(peer.id, peer, sources))
    .filter(({ isBanned, dataHubUrl }) => !isBanned && dataHubUrl !== undefined)
    .sort(byUse)
    .slice(0, MAX_CATCH_UP_PEERS);
}

/** Equal ones: the peer that served last comes first. */
function byUse(a: KnownPeer, b: KnownPeer): number {
  return (
    STORAGE_ORDER[a.storage ?? 'unknown'] - STORAGE_ORDER[b.storage ?? 'unknown'] ||
    b.history.reputation - a.history.reputation ||
    (b.history.lastSuccessMs ?? 0) - (a.history.lastSuccessMs ?? 0)
  );
}
