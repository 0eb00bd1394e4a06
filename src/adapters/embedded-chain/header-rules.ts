// Rules for a valid child of a header: it names its parent, meets its own target, and has a possible time. The target
// is only checked against the network's limit: this chain serves a P2P node and does not validate blocks.
import { P2PError } from '../../lib/errors.ts';
import { checkProofOfWork, hashHeader, parseHeader, targetFromCompact, workOfTarget } from '../../wire/header.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { StoredHeader } from './chain-store.ts';

/** A header's time must exceed the median of this many headers before it (Bitcoin's median time past). */
export const MEDIAN_SPAN = 11;
const MAX_FUTURE_SECONDS = 2 * 60 * 60;

export interface BlockFacts {
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly miner: string;
}

/** When only the header is known: a block has at least its coinbase. */
export const HEADER_ONLY: BlockFacts = { txCount: 1n, sizeInBytes: 80n, miner: '' };

export interface ParentView {
  readonly parent: StoredHeader;
  /** Times of the parent and of up to ten headers before it. */
  readonly lastTimes: readonly number[];
}

/** The stored form of a valid child. Throws CHAIN_INVALID with the height and the reason. */
export function childOf(
  bytes: Uint8Array,
  view: ParentView,
  network: NetworkParameters,
  nowSeconds: number,
  facts: BlockFacts,
): StoredHeader {
  const height = view.parent.height + 1;
  const header = parseHeader(bytes);
  if (header === undefined) throw invalid(height, `it has ${bytes.byteLength} bytes (expected 80)`);
  if (header.previousHash !== view.parent.hash)
    throw invalid(height, `its parent is ${header.previousHash} (expected ${view.parent.hash})`);
  const work = checkProofOfWork(bytes, network.powLimitBits);
  if (work !== 'ok')
    throw invalid(
      height,
      work === 'bad_target' ? 'its target is easier than the network allows' : 'its hash does not meet its target',
    );
  if (header.time <= medianOf(view.lastTimes))
    throw invalid(height, 'its time is not after the median of the eleven headers before it');
  if (header.time > nowSeconds + MAX_FUTURE_SECONDS)
    throw invalid(height, 'its time is more than two hours in the future');
  return {
    hash: hashHeader(bytes),
    header: new Uint8Array(bytes),
    height,
    chainWork: view.parent.chainWork + workOfTarget(targetFromCompact(header.bits) ?? 1n),
    invalid: false,
    ...facts,
  };
}

/** The stored form of a network's genesis header. */
export function genesisOf(network: NetworkParameters): StoredHeader {
  const header = parseHeader(network.genesisHeader);
  const target = targetFromCompact(header?.bits ?? 0);
  if (target === undefined) throw invalid(0, 'the network has no genesis header');
  return {
    hash: hashHeader(network.genesisHeader),
    header: network.genesisHeader,
    height: 0,
    chainWork: workOfTarget(target),
    invalid: false,
    ...HEADER_ONLY,
  };
}

export function medianOf(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function invalid(height: number, why: string): P2PError {
  return new P2PError('CHAIN_INVALID', `header at height ${height}: ${why}`, { details: { height } });
}
