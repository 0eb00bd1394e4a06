// The node's validation services, as the server needs them. A service whose address is not set is absent and has no
// substitute.
import type { BlockAssemblyDetails } from '../domain/node-status.ts';
import type { ProbeResult } from './producer.ts';

/** Validates the blocks that this server reports. */
export interface BlockValidationClient {
  /** Asks the service for its health; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Ends open calls. May be called twice. */
  close(): void;
}

/** Assembles the node's own blocks. */
export interface BlockAssemblyClient {
  /** Its current state; settles within the client's own deadline. Throws P2PError RPC_FAILED. */
  state(): Promise<BlockAssemblyDetails>;
  /** Asks the service for its health; always settles within `deadlineMs`. */
  probe(deadlineMs: number): Promise<ProbeResult>;
  /** Ends open calls. May be called twice. */
  close(): void;
}
