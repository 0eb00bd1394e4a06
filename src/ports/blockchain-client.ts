// What the server asks of the node's blockchain service. The embedded chain implements it, and the gRPC client of a real one.
import type { BlockHash, SubtreeHash } from '../domain/ids.ts';
import type { ProbeResult } from './producer.ts';

/** The states of a Teranode's state machine (wire.md, "gRPC called"). */
export type FsmState = 'IDLE' | 'RUNNING' | 'CATCHINGBLOCKS' | 'LEGACYSYNCING';

/** A header with what the service knows of its block. */
export interface BlockHeaderRecord {
  readonly hash: BlockHash;
  /** The 80 bytes of the header. */
  readonly header: Uint8Array;
  readonly height: number;
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly miner: string;
  /** Total work up to and with this block; undefined where the call does not tell. */
  readonly chainWork: bigint | undefined;
  readonly invalid: boolean;
}

/** What the service tells its subscribers. */
export type BlockchainNotification =
  | { readonly type: 'subtree'; readonly hash: SubtreeHash }
  | { readonly type: 'block'; readonly hash: BlockHash }
  | { readonly type: 'mining_on'; readonly hash: BlockHash }
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
  /** Resolves when the state machine has left IDLE, or rejects with the signal's reason. */
  waitUntilFsmLeavesIdle(signal: AbortSignal): Promise<void>;
  /**
   * Calls `listener` for each notification until the returned function is called. The first is a `block` of the tip; after it each block that
   * becomes best is told once, oldest first, also when the service was away meanwhile (of a longer absence the latest hundred; subtrees and
   * mining-on of that time are not made up for). A block that was told is told again when it turns out invalid: read `invalid`. So are blocks
   * on other branches told, should the service tell of them. Each change of the state machine is told in its place among the blocks.
   */
  subscribe(source: string, listener: (notification: BlockchainNotification) => void): () => void;
  probe(deadlineMs: number): Promise<ProbeResult>;
}
