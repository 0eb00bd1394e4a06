// The node's blockchain service, as the server needs it. Two implementations: the embedded chain, and the gRPC client
// of Teranode's service.
import type { BlockHash, SubtreeHash } from '../domain/ids.ts';
import type { ProbeResult } from './producer.ts';

/** The states of Teranode's FSM (wire.md, "gRPC called"). */
export type FsmState = 'IDLE' | 'RUNNING' | 'CATCHINGBLOCKS' | 'LEGACYSYNCING';

/** A header with what the service knows about its block. */
export interface BlockHeaderRecord {
  readonly hash: BlockHash;
  /** The 80 bytes of the header. */
  readonly header: Uint8Array;
  readonly height: number;
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly miner: string;
  /** Total work up to and including this block; undefined where the call does not return it. */
  readonly chainWork: bigint | undefined;
  readonly invalid: boolean;
  /** False: the service has not stored the block's subtrees yet. Absent where the call does not return it. */
  readonly subtreesSet?: boolean;
}

/** What the service sends to its subscribers. */
export type BlockchainNotification =
  | { readonly type: 'subtree'; readonly hash: SubtreeHash }
  | {
      readonly type: 'block';
      readonly hash: BlockHash;
      /** As in the header; `block_subtrees_set` may follow. */
      readonly subtreesSet?: boolean;
    }
  | { readonly type: 'mining_on'; readonly hash: BlockHash }
  /** The service has stored the subtrees of the block. Not every service says so. */
  | { readonly type: 'block_subtrees_set'; readonly hash: BlockHash }
  | { readonly type: 'fsm_state'; readonly state: FsmState }
  | { readonly type: 'peer_failure'; readonly peerId: string; readonly failureType: string; readonly reason: string };

/** The node's own blockchain. Every call settles within the client's own deadline and throws P2PError otherwise. */
export interface BlockchainClient {
  start(signal: AbortSignal): Promise<void>;
  /** May be called twice. */
  stop(): Promise<void>;
  bestBlockHeader(): Promise<BlockHeaderRecord>;
  /** undefined when the block is not known. */
  blockHeader(hash: BlockHash): Promise<BlockHeaderRecord | undefined>;
  /** undefined when there is no such key. */
  getState(key: string): Promise<Uint8Array | undefined>;
  setState(key: string, data: Uint8Array): Promise<void>;
  fsmState(): Promise<FsmState>;
  /** Resolves when the FSM has left IDLE, or rejects with the signal's reason. */
  waitUntilFsmLeavesIdle(signal: AbortSignal): Promise<void>;
  /**
   * Calls `listener` for each notification until the returned function is called. The first is a `block` with the tip.
   * Then each block that becomes best is announced once, oldest first, also after an outage of the service (after a
   * long one the latest hundred; subtrees and mining-on of that time are lost). A block that turns out invalid is
   * announced again: read `invalid`. Blocks on other branches are announced when the service announces them. A change
   * of the FSM state keeps its place among the blocks.
   */
  subscribe(source: string, listener: (notification: BlockchainNotification) => void): () => void;
  probe(deadlineMs: number): Promise<ProbeResult>;
}
