// Headers as the embedded chain stores them: the common rules for headers, and what is known of their blocks.
import { P2PError } from '../../lib/errors.ts';
import { checkChild, genesisHeader } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { StoredHeader } from './chain-store.ts';

export interface BlockFacts {
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly miner: string;
}

/** When only the header is known: a block has at least its coinbase. */
export const HEADER_ONLY: BlockFacts = { txCount: 1n, sizeInBytes: 80n, miner: '' };

interface StoredParentView {
  readonly parent: StoredHeader;
  /** Times of the parent and of up to ten headers before it. */
  readonly lastTimes: readonly number[];
}

/** The stored form of a valid child. Throws CHAIN_INVALID with the height and the reason. */
export function childOf(
  bytes: Uint8Array,
  view: StoredParentView,
  network: NetworkParameters,
  nowSeconds: number,
  facts: BlockFacts,
): StoredHeader {
  const checked = checkChild(bytes, view, network, nowSeconds);
  if (checked.ok) return { ...checked.child, invalid: false, ...facts };
  const height = view.parent.height + 1;
  throw new P2PError('CHAIN_INVALID', `header at height ${height}: ${checked.details}`, { details: { height } });
}

/** The stored form of a network's genesis header. */
export function genesisOf(network: NetworkParameters): StoredHeader {
  return { ...genesisHeader(network), invalid: false, ...HEADER_ONLY };
}
