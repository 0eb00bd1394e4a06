// A sync manager with fakes around it: a blockchain service set by hand, peers as plain rows, and fake timers.
import { vi } from 'vitest';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import type { BlockchainNotification, BlockHeaderRecord, FsmState } from '../../../src/ports/blockchain-client.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { SyncPeerRow } from '../../../src/sync/choose-sync-peer.ts';
import { ClaimsPolicy } from '../../../src/sync/claims-policy.ts';
import { SyncManager, type SyncManagerOptions } from '../../../src/sync/sync-manager.ts';
import type { SyncPolicy } from '../../../src/sync/sync-policy.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { tracked } from '../../fakes/tracked.ts';
import { OWN_HEIGHT } from './rows.ts';

export class FakeBlockchain {
  state: FsmState = 'RUNNING';
  height = OWN_HEIGHT;
  /** Total work of the chain. */
  work: bigint | undefined;
  fails = false;
  /** Answers about the best header (`gate`) and the state (`stateGate`) wait until these resolve. */
  gate: Promise<void> | undefined;
  stateGate: Promise<void> | undefined;
  private readonly listeners = new Set<(notification: BlockchainNotification) => void>();

  /** Runs `work` while the service answers at once, whatever it does afterwards. */
  async answering(work: () => Promise<void>): Promise<void> {
    const { fails, gate, stateGate } = this;
    Object.assign(this, { fails: false, gate: undefined, stateGate: undefined });
    await work();
    Object.assign(this, { fails, gate, stateGate });
  }

  async blockHeader(): Promise<undefined> {
    return undefined;
  }

  async fsmState(): Promise<FsmState> {
    const { state } = this;
    await this.stateGate;
    if (this.fails) throw new Error('the service is down');
    return state;
  }

  /** Height, work and state are those at the time of the request, as in a slow answer. */
  async bestBlockHeader(): Promise<BlockHeaderRecord> {
    const { height, work } = this;
    await this.gate;
    if (this.fails) throw new Error('the service is down');
    return {
      hash: '' as BlockHash,
      header: new Uint8Array(80),
      height,
      txCount: 1n,
      sizeInBytes: 1n,
      miner: '',
      chainWork: work,
      invalid: false,
    };
  }

  subscribe(_source: string, listener: (notification: BlockchainNotification) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  notify(notification: BlockchainNotification): void {
    for (const listener of this.listeners) listener(notification);
  }

  /** Changes the FSM state and notifies. */
  move(state: FsmState): void {
    this.state = state;
    this.notify({ type: 'fsm_state', state });
  }

  /** As block validation reports a peer that it gave up on. */
  peerFailure(peerId: string): void {
    this.notify({ type: 'peer_failure', peerId, failureType: 'catchup', reason: 'bad block' });
  }
}

export interface Trigger {
  readonly hash: BlockHash;
  readonly url: string;
  readonly peerId: PeerId;
}

export interface Options extends SyncManagerOptions {
  readonly forcedPeer: PeerId | undefined;
}

const OPTIONS: Omit<Options, 'hasForcedPeer'> = {
  minPeers: 0,
  maxWaitMs: 20_000,
  forcedPeer: undefined,
  hasBootstrap: true,
};

/** With the rules of wire.md. Timers and time must be vitest's fakes. */
export function setUp(rows: readonly SyncPeerRow[] = [], changes: Partial<Options> = {}) {
  const penalized: PeerId[] = [];
  const set = setUpWith(
    (candidates, forcedPeer) => {
      const penalizeFailure = (peerId: PeerId) => void penalized.push(peerId);
      return new ClaimsPolicy({ candidates, penalizeFailure, clock: systemClock, random: () => 0 }, { forcedPeer });
    },
    rows,
    changes,
  );
  return { ...set, penalized };
}

/** With the rules of a policy. */
export function setUpWith<Row extends SyncPeerRow>(
  policyOf: (candidates: () => readonly Row[], forcedPeer: PeerId | undefined) => SyncPolicy,
  rows: readonly Row[],
  changes: Partial<Options>,
) {
  const { forcedPeer, ...options } = { ...OPTIONS, ...changes };
  const peers = new Map(rows.map((each) => [each.peerId as string, each]));
  const blockchain = new FakeBlockchain();
  const tracker = tracked(blockchain);
  const asked = { best: 0 };
  const listeners = new Set<unknown>();
  let isTracking = false;
  const published: Trigger[] = [];
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const manager = new SyncManager(
    {
      policy: policyOf(() => [...peers.values()], forcedPeer),
      chain: {
        recentFsmState: (maxAgeMs) => tracker.recentFsmState(maxAgeMs),
        recentBestHeader: (maxAgeMs) => {
          asked.best += 1;
          return tracker.recentBestHeader(maxAgeMs);
        },
        subscribe: (listener) => {
          listeners.add(listener);
          const unsubscribe = tracker.subscribe(listener);
          return () => {
            listeners.delete(listener);
            unsubscribe();
          };
        },
      },
      publishBlock: (announcement) => void published.push(announcement),
      connectedCount: () => peers.size,
      clock: systemClock,
      log,
      metrics,
    },
    { ...options, hasForcedPeer: forcedPeer !== undefined },
  );
  return {
    manager,
    blockchain,
    tracker,
    /** How often the manager asked for the best header. */
    asked,
    /** Listeners of the manager. */
    listeners,
    published,
    metrics,
    log,
    /** Adds or replaces peers. */
    set: (...changed: Row[]) => {
      for (const each of changed) peers.set(each.peerId, each);
    },
    /** The peer's connection ends. */
    leave: (name: string) => {
      peers.delete(name);
      manager.peerLeft(name as PeerId);
    },
    /** Name of the sync peer. */
    who: () => manager.syncPeer()?.peerId as string | undefined,
    started: async () => {
      if (!isTracking) await blockchain.answering(() => tracker.start(new AbortController().signal));
      isTracking = true;
      manager.start();
      await pass(0);
    },
    endings: (reason: string) => metrics.count('teranode_p2p_sync_ends_total', { reason }),
    choices: (outcome: string) => metrics.count('teranode_p2p_sync_choices_total', { outcome }),
  };
}

/** Moves time and runs everything that becomes due. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

export const SECOND = 1000;
export const MINUTE = 60_000;
