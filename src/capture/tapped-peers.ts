// The registry and the histories of peers, whose changes pass through a tap.
import type { PeerId } from '../domain/ids.ts';
import type { PeerEvent } from '../domain/peer-history.ts';
import type { StoredHistory } from '../peers/histories/history-file.ts';
import {
  OwnHistories,
  type OwnHistoriesDependencies,
  type OwnHistoriesOptions,
} from '../peers/histories/own-histories.ts';
import { type PeerPatch, PeerRegistry } from '../peers/registry.ts';
import type { Clock } from '../ports/clock.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { InputValue, Tap } from './tap.ts';
import { chunks } from './tapped-bans.ts';

export class TappedRegistry extends PeerRegistry {
  private readonly tap: Tap;

  constructor(deps: { readonly clock: Clock; readonly metrics: Metrics; readonly tap: Tap }) {
    super(deps);
    this.tap = deps.tap;
  }

  override connected(peerId: PeerId): void {
    this.tap.input('connected', { peerId }, () => super.connected(peerId));
  }

  override disconnected(peerId: PeerId): void {
    this.tap.input('disconnected', { peerId }, () => super.disconnected(peerId));
  }

  override heard(peerId: PeerId, patch: PeerPatch): void {
    this.tap.input('heard', { peerId, patch }, () => super.heard(peerId, patch));
  }

  override onDisconnected(listener: (peerId: PeerId) => void): () => void {
    return super.onDisconnected((peerId) => this.tap.side(() => listener(peerId)));
  }

  override purge(): void {
    this.tap.tick('registry', () => super.purge());
  }

  /** What a later part of a capture begins with. */
  snapshot(): InputValue[] {
    const peers = this.list().map(({ id, isConnected, claimed, proven, dataHubUrl, clientName, wires }) => {
      const chain = { ...(claimed && { claimed }), ...(proven && { proven }) };
      return {
        id,
        isConnected,
        wires,
        patch: { ...chain, dataHubUrl, ...(clientName !== undefined && { clientName }) },
      };
    });
    return chunks(peers).map((some) => ({ peers: some }));
  }
}

export interface TappedHistoriesDependencies extends OwnHistoriesDependencies {
  readonly tap: Tap;
  /** Called with what was read at the start. */
  readonly onLoaded?: (values: readonly InputValue[]) => void;
}

export class TappedHistories extends OwnHistories {
  private readonly tapped: TappedHistoriesDependencies;

  constructor(deps: TappedHistoriesDependencies, options: OwnHistoriesOptions) {
    super(deps, options);
    this.tapped = deps;
  }

  override async start(): Promise<void> {
    await super.start();
    this.tapped.onLoaded?.(this.snapshot());
  }

  override record(peerId: PeerId, event: PeerEvent): Promise<void> {
    const { tap } = this.tapped;
    return tap.input('history', { op: 'record', peerId, event }, () => {
      tap.decided(['history', peerId, event.type]);
      return super.record(peerId, event);
    });
  }

  override reset(peerId: PeerId | undefined): Promise<number> {
    return this.tapped.tap.input('history', { op: 'reset', peerId }, () => super.reset(peerId));
  }

  override reconsider(cooldownMs: number): Promise<number> {
    return this.tapped.tap.input('history', { op: 'reconsider', cooldownMs }, () => super.reconsider(cooldownMs));
  }

  override clearSyncAttempts(): Promise<number> {
    return this.tapped.tap.input('history', { op: 'clear_sync_attempts' }, () => super.clearSyncAttempts());
  }

  override purge(): void {
    this.tapped.tap.tick('histories', () => super.purge());
  }

  snapshot(): InputValue[] {
    return chunks([...this.peers.values()]).map((histories) => ({ histories }));
  }

  restore(histories: readonly StoredHistory[]): void {
    for (const each of histories) this.peers.set(each.history.id, each);
  }
}
