// Experiences with peers, kept by the peer registry of the blockchain service; by this node's own store where the
// service has no registry.
import type { PeerId } from '../../domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../domain/peer-history.ts';
import { PeerRegistryService } from '../../gen/blockchain_api_pb.js';
import { orAfter } from '../../lib/deadline.ts';
import type { Clock } from '../../ports/clock.ts';
import type { HistoryKeeper, PeerHistories } from '../../ports/peer-histories.ts';
import type { ServicePeerRegistry, Step } from './peer-registry.ts';
import { eventSteps } from './peer-registry-events.ts';

export interface RegistryHistoriesDependencies {
  readonly registry: ServicePeerRegistry;
  /** Used where the service has no registry. */
  readonly own: PeerHistories;
  readonly clock: Clock;
}

export interface RegistryHistoriesOptions {
  /** `p2p_full_storage_penalty_duration`. */
  readonly fullStoragePenaltyMs: number;
}

const API = PeerRegistryService.method;
/** How long a caller waits for the service; afterwards the event stays queued by itself. */
const RECORD_PATIENCE_MS = 1000;

export class RegistryHistories implements PeerHistories {
  private readonly deps: RegistryHistoriesDependencies;
  private readonly options: RegistryHistoriesOptions;

  constructor(deps: RegistryHistoriesDependencies, options: RegistryHistoriesOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** The registry is started and stopped apart: scores are kept there too. */
  start(signal: AbortSignal): Promise<void> {
    return this.deps.own.start(signal);
  }

  stop(): Promise<void> {
    return this.deps.own.stop();
  }

  keptBy(): HistoryKeeper {
    return this.deps.registry.keptBy();
  }

  historyOf(peerId: PeerId): PeerHistory | undefined {
    const { registry, own } = this.deps;
    return registry.state === 'absent' ? own.historyOf(peerId) : registry.copy.get(peerId)?.history;
  }

  histories(): readonly PeerHistory[] {
    const { registry, own } = this.deps;
    return registry.state === 'absent' ? own.histories() : registry.copy.all().map(({ history }) => history);
  }

  async record(peerId: PeerId, event: PeerEvent): Promise<void> {
    const { registry, own } = this.deps;
    if (registry.state === 'absent') return await own.record(peerId, event);
    const recorded = this.deliver(peerId, event);
    if (registry.isAnswering) return await orAfter(recorded, RECORD_PATIENCE_MS, undefined);
    // Counted where it is given up.
    recorded.catch(() => {});
  }

  async reset(peerId: PeerId | undefined): Promise<number> {
    const request = { peerId: peerId ?? '' };
    return await this.changed(
      ({ own }) => own.reset(peerId),
      (send) => send(API.resetReputation, request, ({ reset }) => reset),
    );
  }

  async reconsider(cooldownMs: number): Promise<number> {
    const request = { cooldownSeconds: BigInt(Math.ceil(cooldownMs / 1000)) };
    return await this.changed(
      ({ own }) => own.reconsider(cooldownMs),
      (send) => send(API.reconsiderBadPeers, request, ({ reconsidered }) => reconsidered),
    );
  }

  async clearSyncAttempts(): Promise<number> {
    return await this.changed(
      ({ own }) => own.clearSyncAttempts(),
      (send) => send(API.clearAllSyncAttempts, {}, ({ cleared }) => cleared),
    );
  }

  private async deliver(peerId: PeerId, event: PeerEvent): Promise<void> {
    const { registry, own, clock } = this.deps;
    const { fullStoragePenaltyMs } = this.options;
    const known = registry.copy.get(peerId);
    const steps = eventSteps(peerId, event, { known, penaltyUntilMs: () => clock.now() + fullStoragePenaltyMs });
    await registry.deliver(peerId, steps, () => void own.record(peerId, event));
    // The event is recorded, whether or not its effect can be read now.
    if (registry.isAnswering) await registry.readPeer(peerId).catch(() => {});
  }

  /** A change of many peers: all are read again after it. */
  private async changed(
    own: (deps: RegistryHistoriesDependencies) => Promise<number>,
    step: Step<number>,
  ): Promise<number> {
    const { registry } = this.deps;
    if (registry.state === 'absent') return await own(this.deps);
    const changed = await registry.ask(step);
    await registry.read();
    return changed;
  }
}
