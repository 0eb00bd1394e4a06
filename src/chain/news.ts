// News of our chain: each notification of the blockchain service, in order, with the block's header and with the FSM
// state under which it came.
import type { BlockHash, SubtreeHash } from '../domain/ids.ts';
import type { BlockchainNotification, BlockHeaderRecord, FsmState } from '../ports/blockchain-client.ts';

interface UnderFsmState {
  /**
   * The FSM state under which the news came. `IDLE` until another state follows, then that one. Asks the service while
   * no state is known, and throws what the service throws.
   */
  fsmState(): Promise<FsmState>;
}

export interface BlockNews extends UnderFsmState {
  readonly type: 'block';
  readonly hash: BlockHash;
  /** False: the service has not stored the subtrees yet. */
  readonly subtreesSet: boolean;
  /**
   * Read once for all callers, and again only after a failure, which is thrown. undefined: the service does not know
   * the block.
   */
  header(): Promise<BlockHeaderRecord | undefined>;
}

export interface SubtreeNews extends UnderFsmState {
  readonly type: 'subtree';
  readonly hash: SubtreeHash;
}

export interface MiningOnNews extends UnderFsmState {
  readonly type: 'mining_on';
  readonly hash: BlockHash;
  /** The best header; not read again when it was read for its block. */
  bestHeader(): Promise<BlockHeaderRecord>;
}

/** News that this node announces to peers. */
export type AnnounceableNews = BlockNews | SubtreeNews | MiningOnNews;

export type ChainNews =
  | AnnounceableNews
  | Extract<BlockchainNotification, { readonly type: 'fsm_state' | 'peer_failure' | 'block_subtrees_set' }>;

/** How news reads states and headers. */
export interface NewsReads {
  fsmState(): Promise<FsmState>;
  header(hash: BlockHash): Promise<BlockHeaderRecord | undefined>;
  /** `hash`: the block that should be the best one. */
  bestHeader(hash: BlockHash): Promise<BlockHeaderRecord>;
}

/** The time between two notifications of the FSM. */
interface Period {
  state: FsmState | undefined;
}

export class NewsDesk {
  private readonly reads: NewsReads;
  private period: Period = { state: undefined };

  constructor(reads: NewsReads) {
    this.reads = reads;
  }

  /** The FSM state of the present period; undefined while it is not known. */
  get state(): FsmState | undefined {
    return this.period.state;
  }

  /** To be called for every notification, in order. */
  newsOf(notification: BlockchainNotification): ChainNews {
    const { type } = notification;
    if (type === 'fsm_state') this.enter(notification.state);
    if (type === 'fsm_state' || type === 'peer_failure' || type === 'block_subtrees_set') return notification;
    const { period, reads } = this;
    const fsmState = () => this.stateOf(period);
    // Asked for at once: by the time a listener wants to know it, another period may have begun.
    if (period.state === undefined) fsmState().catch(() => {});
    if (type === 'subtree') return { type, hash: notification.hash, fsmState };
    const { hash } = notification;
    if (type === 'block') {
      const { subtreesSet = true } = notification;
      return { type, hash, subtreesSet, fsmState, header: untilRead(() => reads.header(hash)) };
    }
    return { type, hash, fsmState, bestHeader: () => reads.bestHeader(hash) };
  }

  /** A period at IDLE, or without a known state, takes on the state that follows. */
  private enter(state: FsmState): void {
    if (this.period.state === undefined || this.period.state === 'IDLE') this.period.state = state;
    else this.period = { state };
  }

  private async stateOf(period: Period): Promise<FsmState> {
    if (period.state !== undefined) return period.state;
    const answer = await this.reads.fsmState();
    // A notification may have come meanwhile.
    period.state ??= answer;
    return period.state;
  }
}

/** CATCHINGBLOCKS or LEGACYSYNCING: the node is busy with blocks of the past. */
export function isCatchUp(state: FsmState | undefined): boolean {
  return state === 'CATCHINGBLOCKS' || state === 'LEGACYSYNCING';
}

/** Runs `read` once for all callers, and again only after it failed. */
function untilRead<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | undefined;
  return async () => {
    const current = reading ?? read();
    reading = current;
    try {
      return await current;
    } catch (error) {
      if (reading === current) reading = undefined;
      throw error;
    }
  };
}
