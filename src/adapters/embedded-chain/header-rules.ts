// What makes a header a valid child of another: it connects, carries its own work, and its time is possible. The target itself is checked
// against the network's limit only: this chain serves a P2P node, it does not validate blocks.
import { P2PError } from '../../lib/errors.ts';
import { checkProofOfWork, hashHeader, parseHeader, targetFromCompact, workOfTarget } from '../../wire/header.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { StoredHeader } from './chain-store.ts';

/** A header's time exceeds the median of this many before it (Bitcoin's median time past). */
export const MEDIAN_SPAN = 11;
const MAX_FUTURE_SECONDS = 2 * 60 * 60;

export interface BlockFacts {
  readonly txCount: bigint;
  readonly sizeInBytes: bigint;
  readonly miner: string;
}

/** Nothing but the header is known: one coinbase, at the least. */
export const HEADER_ONLY: BlockFacts = { txCount: 1n, sizeInBytes: 80n, miner: '' };

export interface ParentView {
  readonly parent: StoredHeader;
  /** Times of the parent and up to ten before it. */
  readonly lastTimes: readonly number[];
}

/** The stored form of a valid child. Throws CHAIN_INVALID with the height and why. */
export function childOf(
  bytes: Uint8Array,
  view: ParentView,
  network: NetworkParameters,
  nowSeconds: number,
  facts: BlockFacts,
): StoredHeader {
  const height = view.parent.height + 1;
  const header = parseHeader(bytes);
  if (header === undefined) throw invalid(height, 'it has not 80 bytes');
  if (header.previousHash !== view.parent.hash) throw invalid(height, `it does not connect to ${view.parent.hash}`);
  const work = checkProofOfWork(bytes, network.powLimitBits);
  if (work !== 'ok')
    throw invalid(
      height,
      work === 'bad_target' ? 'its target is easier than the network allows' : 'its hash does not meet its target',
    );
  if (header.time <= medianOf(view.lastTimes))
    throw invalid(height, 'its time is not after the median of the eleven before it');
  if (header.time > nowSeconds + MAX_FUTURE_SECONDS) throw invalid(height, 'its time is over two hours ahead');
  return {
    hash: hashHeader(bytes),
    header: new Uint8Array(bytes),
    height,
    chainWork: view.parent.chainWork + workOfTarget(targetFromCompact(header.bits) ?? 1n),
    invalid: false,
    ...facts,
  };
}

/** The genesis header of a network, stored. */
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
