// What happens to the best chain, wherever it is kept.
import type { BlockHash } from './ids.ts';

/** A header's place in a chain. */
export interface ChainPoint {
  readonly hash: BlockHash;
  readonly height: number;
}

/** A new best header. */
export interface TipEvent extends ChainPoint {
  readonly type: 'tip';
  /** 80 bytes. */
  readonly header: Uint8Array;
}

/** The best chain changed below its tip. Comes right before the `tip`. */
export interface ReorgEvent {
  readonly type: 'reorg';
  /** The best header before. */
  readonly from: ChainPoint;
  /** The best header now. */
  readonly to: ChainPoint;
  /** The last header that both chains have. */
  readonly fork: ChainPoint;
}

export type ChainEvent = TipEvent | ReorgEvent;
