// Fetches headers, blocks and subtrees from a DataHub, the HTTP API of Teranode's asset service. Its URL comes from a
// peer, and so does all that it answers: what is returned here has the right form and hangs together, no more.
import type { BlockHash, SubtreeHash } from '../domain/ids.ts';

/** Why there is no answer. */
export type FetchFault =
  /** No connection, no name, no HTTP, a private address, too many redirects. */
  | 'unreachable'
  | 'timeout'
  /** The caller's signal. */
  | 'aborted'
  /** Status 404: the DataHub does not know the hash. */
  | 'not_found'
  /** Another status than 200. */
  | 'status'
  /** More bytes than the caller takes. */
  | 'too_long'
  /** Not what was asked for: broken bytes, headers that do not follow from each other, another hash. */
  | 'wrong';

export type DataHubAnswer<T> =
  | { readonly ok: true; readonly value: T }
  /** `details`: for operators; bounded. May contain text of the peer. */
  | { readonly ok: false; readonly fault: FetchFault; readonly details: string };

/** Headers of 80 bytes with their hashes. */
export interface FetchedHeader {
  readonly hash: BlockHash;
  readonly header: Uint8Array;
}

/**
 * `url` is the DataHub's, such as `https://node.example/api/v1`. No call throws; each settles within the client's
 * deadline, and at once when the signal aborts. DataHubs send at most 10,000 headers at once.
 */
export interface DataHubClient {
  bestHeader(url: string, signal: AbortSignal): Promise<DataHubAnswer<FetchedHeader>>;
  header(url: string, hash: BlockHash, signal: AbortSignal): Promise<DataHubAnswer<FetchedHeader>>;
  /** From `hash` back to its ancestors: the newest first, at least one, at most `count`. */
  headersBack(
    url: string,
    hash: BlockHash,
    count: number,
    signal: AbortSignal,
  ): Promise<DataHubAnswer<readonly FetchedHeader[]>>;
  /**
   * The chain up to `target`, oldest first, at most `count`: it begins with the newest header of `locator` that the
   * DataHub finds on that chain, or right after it. `locator`: hashes, newest first, at most 64.
   */
  headersFromAncestor(
    url: string,
    target: BlockHash,
    locator: readonly BlockHash[],
    count: number,
    signal: AbortSignal,
  ): Promise<DataHubAnswer<readonly FetchedHeader[]>>;
  /**
   * The same headers, newest first, as DataHubs without `headersFromAncestor` send them: of a way that is longer than
   * `count` those next to the common ancestor, which is the last.
   */
  headersToAncestor(
    url: string,
    target: BlockHash,
    locator: readonly BlockHash[],
    count: number,
    signal: AbortSignal,
  ): Promise<DataHubAnswer<readonly FetchedHeader[]>>;
  /**
   * The bytes of a block as Teranode writes them (`wire/teranode-block.ts`), at most `maxBytes`. They begin with the
   * header of `hash`.
   */
  block(url: string, hash: BlockHash, maxBytes: number, signal: AbortSignal): Promise<DataHubAnswer<Uint8Array>>;
  /**
   * The transaction hashes of a subtree, 32 bytes each in internal order, at most `maxBytes`. Its root is not checked.
   */
  subtree(url: string, hash: SubtreeHash, maxBytes: number, signal: AbortSignal): Promise<DataHubAnswer<Uint8Array>>;
}
