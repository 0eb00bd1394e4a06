// The peer registry of the blockchain service, where the settings name that service and it may have one: it keeps the
// histories and scores of peers, and peers are reported to it.
import { PeerRegistration } from '../adapters/services/peer-registration.ts';
import { ServicePeerRegistry } from '../adapters/services/peer-registry.ts';
import { RegistryHistories } from '../adapters/services/peer-registry-histories.ts';
import { RegistryScores } from '../adapters/services/peer-registry-scores.ts';
import type { ServiceDependencies } from '../adapters/services/service-channel.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { PeerHistories } from '../ports/peer-histories.ts';
import type { ProbeResult } from '../ports/producer.ts';
import type { ScoreAuthority } from '../ports/score-authority.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';
import { serviceOptions } from './create-services.ts';
import type { Nodes } from './nodes.ts';

/** Each interval compares all peers. */
const MIN_INTERVAL_MS = 100;

/** Where the histories and scores of peers are kept; `service` and `authority` are undefined where no service is asked. */
export interface PeerKeeper {
  readonly service: ServicePeerRegistry | undefined;
  readonly authority: ScoreAuthority | undefined;
  /** Who keeps them now; never a failure. */
  health(): ProbeResult;
}

export interface PeerKeeperOptions {
  /** Whether to ask the blockchain service for a registry: services of the go-p2p wire have none. */
  readonly usesPeerRegistry: boolean;
}

export function createPeerKeeper(
  settings: Settings,
  deps: ServiceDependencies,
  { usesPeerRegistry }: PeerKeeperOptions,
): PeerKeeper {
  const address = settings.blockchain_grpcAddress;
  if (!usesPeerRegistry || address === undefined)
    return { service: undefined, authority: undefined, health: () => ({ ok: true, details: 'this node' }) };
  const service = new ServicePeerRegistry(deps, serviceOptions(settings, 'blockchain', address));
  const authority = new RegistryScores({ ...deps, registry: service });
  return { service, authority, health: () => service.health() };
}

/** `own` where no service keeps them. */
export function keptHistories(
  settings: Settings,
  deps: Core,
  { service }: PeerKeeper,
  own: PeerHistories,
): PeerHistories {
  if (service === undefined) return own;
  const fullStoragePenaltyMs = settings.p2p_full_storage_penalty_duration;
  return new RegistryHistories({ ...deps, registry: service, own }, { fullStoragePenaltyMs });
}

export interface RegistrationDependencies extends Core {
  readonly registry: Pick<PeerRegistry, 'list'>;
  readonly nodes: Pick<Nodes, 'currentlyConnectedPeers'>;
}

/** undefined where no service is asked. */
export function createRegistration(
  settings: Settings,
  deps: RegistrationDependencies,
  { service }: PeerKeeper,
): PeerRegistration | undefined {
  if (service === undefined) return undefined;
  const { registry, nodes } = deps;
  const peers = () => {
    const addresses = new Map(nodes.currentlyConnectedPeers().map(({ id, addresses: [first] }) => [id, first]));
    return registry.list().map(({ claimed, ...peer }) => {
      return { ...peer, height: claimed?.height, hash: claimed?.hash, address: addresses.get(peer.id) };
    });
  };
  const intervalMs = Math.max(MIN_INTERVAL_MS, settings.p2p_peer_registry_batch_interval);
  return new PeerRegistration({ ...deps, registry: service, peers }, { intervalMs });
}
