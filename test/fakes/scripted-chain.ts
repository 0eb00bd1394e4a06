// A blockchain service whose answers, failures and delays are set by hand.

import type { BlockHash } from '../../src/domain/ids.ts';
import type { BlockchainNotification, BlockHeaderRecord, FsmState } from '../../src/ports/blockchain-client.ts';

type Mood = 'answers' | 'fails' | 'hangs';

export const BEST: BlockHeaderRecord = {
  hash: '000000006a625f06636b8bb6ac7b960a8d03705d1ace08b1a19da3fdcc99ddbd' as BlockHash,
  header: new Uint8Array(80),
  height: 2,
  txCount: 1n,
  sizeInBytes: 285n,
  miner: '',
  chainWork: 0x300030003n,
  invalid: false,
};

export class ScriptedChain {
  best = BEST;
  state: FsmState = 'RUNNING';
  mood: Mood = 'answers';
  /** Number of calls, and of calls without an answer. */
  calls = 0;
  open = 0;
  private readonly listeners = new Set<(notification: BlockchainNotification) => void>();
  private readonly waiting = new Set<() => void>();

  bestBlockHeader(): Promise<BlockHeaderRecord> {
    return this.answer(() => this.best);
  }

  blockHeader(hash: BlockHash): Promise<BlockHeaderRecord | undefined> {
    return this.answer(() => (hash === this.best.hash ? this.best : undefined));
  }

  fsmState(): Promise<FsmState> {
    return this.answer(() => this.state);
  }

  /** As with every service, the first notification is the tip. */
  subscribe(_source: string, listener: (notification: BlockchainNotification) => void): () => void {
    this.listeners.add(listener);
    queueMicrotask(() => listener({ type: 'block', hash: this.best.hash }));
    return () => this.listeners.delete(listener);
  }

  tell(...types: ('block' | 'mining_on' | 'subtree')[]): void {
    for (const type of types) for (const listener of this.listeners) listener({ type, hash: this.best.hash });
  }

  get subscribers(): number {
    return this.listeners.size;
  }

  /** Answers the calls that hang. */
  release(): void {
    this.mood = 'answers';
    for (const answer of this.waiting) answer();
    this.waiting.clear();
  }

  private async answer<T>(value: () => T): Promise<T> {
    this.calls += 1;
    if (this.mood === 'fails') throw new Error('the service is down');
    if (this.mood === 'hangs') {
      this.open += 1;
      await new Promise<void>((resolve) => this.waiting.add(resolve));
      this.open -= 1;
    }
    return value();
  }
}
