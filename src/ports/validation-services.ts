// What the server asks of the node's validation services. Both are absent when their address is not set; nothing stands in for them.
import type { BlockAssemblyDetails } from '../domain/node-status.ts';
import type { ProbeResult } from './producer.ts';

/** Validates the blocks that this server reports. */
export interface BlockValidationClient {
  /** Asks the service for its health; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Ends calls under way. May be called twice. */
  close(): void;
}

/** Assembles the node's own blocks. */
export interface BlockAssemblyClient {
  /** What it works on; settles within the client's own deadline. Throws P2PError RPC_FAILED. */
  state(): Promise<BlockAssemblyDetails>;
  /** Asks the service for its health; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Ends calls under way. May be called twice. */
  close(): void;
}
