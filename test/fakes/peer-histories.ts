// Experiences with peers in memory: what was recorded can be read back, and a test sets a peer's history as it likes.
import type { PeerId } from '../../src/domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../src/domain/peer-history.ts';
import type { PeerHistories } from '../../src/ports/peer-histories.ts';

/** A history of nothing, with changes. */
export function historyWith(name: string, changes: Partial<PeerHistory> = {}): PeerHistory {
  return {
    id: name as PeerId,
    attempts: 0,
    successes: 0,
    failures: 0,
    malicious: 0,
    lastAttemptMs: undefined,
    lastSuccessMs: undefined,
    lastFailureMs: undefined,
    reputation: 50,
    avgResponseMs: 0,
    catchupAttempts: 0,
    catchupSuccesses: 0,
    catchupFailures: 0,
    lastCatchupError: '',
    lastCatchupErrorMs: undefined,
    blocksReceived: 0,
    subtreesReceived: 0,
    transactionsReceived: 0,
    lastBlockMs: undefined,
    bytesReceived: 0n,
    validated: undefined,
    syncAttempts: 0,
    lastSyncAttemptMs: undefined,
    resets: 0,
    lastResetMs: undefined,
    fullStoragePenaltyUntilMs: undefined,
    ...changes,
  };
}

export class FakeHistories implements Pick<PeerHistories, 'record' | 'reconsider' | 'clearSyncAttempts'> {
  readonly recorded: { readonly peerId: string; readonly type: PeerEvent['type'] }[] = [];
  /** Cool-downs of `reconsider`. */
  readonly reconsidered: number[] = [];
  cleared = 0;
  /** Called when sync attempts are cleared. */
  onCleared = () => {};
  /** Peers that the next `reconsider` finds. */
  reconsiderable = 0;
  fails = false;

  async record(peerId: PeerId, { type }: PeerEvent): Promise<void> {
    this.failIfDown();
    this.recorded.push({ peerId, type });
  }

  async reconsider(cooldownMs: number): Promise<number> {
    this.failIfDown();
    this.reconsidered.push(cooldownMs);
    return this.reconsiderable;
  }

  async clearSyncAttempts(): Promise<number> {
    this.failIfDown();
    this.cleared += 1;
    this.onCleared();
    return 0;
  }

  /** Names of the peers with such an event, in order. */
  of(type: PeerEvent['type']): string[] {
    return this.recorded.filter((each) => each.type === type).map(({ peerId }) => peerId);
  }

  private failIfDown(): void {
    if (this.fails) throw new Error('the keeper of histories is down');
  }
}
