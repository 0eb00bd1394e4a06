// What a node says about itself (spec "p2p_node_status_topic"): shared by the wire format, the announcer and the
// notifications.

export interface BlockAssemblyDetails {
  readonly blockAssemblyState: string;
  readonly subtreeProcessorState: string;
  readonly resetWaitCount: number;
  readonly resetWaitTime: number;
  readonly subtreeCount: number;
  /** uint64. */
  readonly txCount: bigint;
  /** int64. */
  readonly queueCount: bigint;
  readonly currentHeight: number;
  /** 64 lower-case hex digits, or empty. */
  readonly currentHash: string;
  readonly removeMapCount: number;
  /** At most 10,000 hashes. */
  readonly subtrees: readonly string[];
}

export interface NodeStatusMessage {
  readonly baseUrl: string;
  readonly peerId: string;
  readonly version: string;
  readonly commitHash: string;
  /** 64 lower-case hex digits, or empty. */
  readonly bestBlockHash: string;
  readonly bestHeight: number;
  readonly blockAssemblyDetails: BlockAssemblyDetails;
  readonly fsmState: string;
  /** Unix seconds. */
  readonly startTime: bigint;
  /** Seconds. */
  readonly uptime: number;
  readonly clientName: string;
  readonly minerName: string;
  readonly listenMode: string;
  /** Hex. */
  readonly chainWork: string;
  /** The last four fields are empty or 0 while there is no sync peer. */
  readonly syncPeerId: string;
  readonly syncPeerHeight: number;
  /**
   * Like best_block_hash. Go repeats the sync peer's claim, so the author is not responsible for its form: an invalid
   * hash is read as empty.
   */
  readonly syncPeerBlockHash: string;
  /** Unix seconds. */
  readonly syncConnectedAt: bigint;
  // The rest exists on message-bus only. Absent: not said.
  /** Where the node takes transactions. */
  readonly propagationUrl?: string;
  /** Transactions that block assembly holds. */
  readonly txCount?: bigint;
  /** Subtrees that block assembly holds. */
  readonly subtreeCount?: number;
  /** BSV per kilobyte; 0 is a value. */
  readonly minMiningTxFee?: number;
  readonly feePolicy?: FeePolicy;
  readonly connectedPeersCount?: number;
  readonly legacyConnectedPeersCount?: number;
  /** Whether the node keeps all blocks. */
  readonly storage?: Storage;
}

export type Storage = 'full' | 'pruned';

/** What the node mines and takes. */
export interface FeePolicy {
  readonly miningFee: { readonly satoshis: number; readonly bytes: number };
  /** Bytes. */
  readonly maxScriptSize: bigint;
  /** Bytes. */
  readonly maxTxSize: bigint;
  readonly maxTxSigops: bigint;
}
