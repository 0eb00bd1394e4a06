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
}
