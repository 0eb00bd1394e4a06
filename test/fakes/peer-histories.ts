// Experiences with peers in memory: what was recorded can be read back, and a test sets a peer's history as it likes.
import type { PeerId } from '../../src/domain/ids.ts';
import type { PeerEvent, PeerHistory } from '../../src/domain/peer-history.ts';
import { newHistory } from '../../src/peers/histories/after-event.ts';
import type { PeerHistories } from '../../src/ports/peer-histories.ts';

/** A history of nothing, with changes. */
export function historyWith(name: string, changes: Partial<PeerHistory> = {}): PeerHistory {
  return { ...newHistory(name as PeerId), ...changes };
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
