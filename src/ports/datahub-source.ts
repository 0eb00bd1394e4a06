// What this node's own DataHub serves, where it keeps a chain itself.
import type { BlockHash, SubtreeHash } from '../domain/ids.ts';
import type { BlockHeaderRecord } from './blockchain-client.ts';

/** `undefined`: not known. Calls take milliseconds, whatever is asked for, and throw while the chain is closed. */
export interface DataHubSource {
  best(): BlockHeaderRecord;
  header(hash: BlockHash): BlockHeaderRecord | undefined;
  /** From `hash` back, newest first, at most `count`. */
  headersBack(hash: BlockHash, count: number): readonly BlockHeaderRecord[] | undefined;
  /**
   * The chain up to `target` from the newest header of `locator` that is on it, that one first, at most `count`. Of the
   * locator, 64 hashes are looked at.
   */
  headersFromAncestor(
    target: BlockHash,
    locator: readonly BlockHash[],
    count: number,
  ): readonly BlockHeaderRecord[] | undefined;
  /** As Teranode writes it. Only blocks that this node mined are known; of others it has the header. */
  block(hash: BlockHash): Uint8Array | undefined;
  /** The hashes of its transactions, 32 bytes each. */
  subtree(hash: SubtreeHash): Uint8Array | undefined;
}
