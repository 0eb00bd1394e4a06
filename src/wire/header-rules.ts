// Rules for a valid child of a header: it names its parent, meets its own target, does not make mining suddenly easy,
// and has a possible time. How the target must follow from earlier blocks is not checked: whoever keeps headers with
// these rules alone follows the most work, and does not validate blocks.
import type { BlockHash } from '../domain/ids.ts';
import { checkProofOfWork, hashHeader, parseHeader, targetFromCompact, workOfTarget } from './header.ts';
import type { NetworkParameters } from './networks.ts';

/** A header's time must exceed the median of this many headers before it (Bitcoin's median time past). */
export const MEDIAN_SPAN = 11;
const MAX_FUTURE_SECONDS = 2 * 60 * 60;
/**
 * A target may be at most this many times as easy as its parent's, so nobody extends a chain of miners with a header
 * that a laptop mines. What the rules of mainnet allow from one block to the next, computed from them, not measured on
 * headers of the time: 4 at a retarget of 2,016 blocks; 1.25 by an emergency adjustment (August to November 2017); 4.1
 * since, when the time span of the last 144 blocks goes from its least to its greatest at once; and 8 between these
 * rules, 2 for the time span times 4 for the work, 4.9 at block 504,032, the 33rd after a retarget.
 */
const MAX_EASIER = 16n;

/** A header that met the rules, or one that the caller vouches for. */
export interface CheckedHeader {
  readonly hash: BlockHash;
  /** 80 bytes. */
  readonly header: Uint8Array;
  readonly height: number;
  /** Total work up to and including this header. */
  readonly chainWork: bigint;
}

export interface ParentView {
  readonly parent: CheckedHeader;
  /** Times of the parent and of up to ten headers before it; fewer where those before are not known. */
  readonly lastTimes: readonly number[];
}

/** Which rule a header breaks. */
export type HeaderFault =
  | 'form'
  | 'parent'
  | 'bad_target'
  | 'insufficient_work'
  | 'sudden_ease'
  | 'too_early'
  | 'too_far_ahead';

export type HeaderCheck =
  | { readonly ok: true; readonly child: CheckedHeader }
  | { readonly ok: false; readonly fault: HeaderFault; readonly details: string };

/** `hash`: of callers that have hashed the header already. */
export function checkChild(
  bytes: Uint8Array,
  view: ParentView,
  network: NetworkParameters,
  nowSeconds: number,
  hash?: BlockHash,
): HeaderCheck {
  const { parent, lastTimes } = view;
  const header = parseHeader(bytes);
  if (header === undefined) return refused('form', `it has ${bytes.byteLength} bytes (expected 80)`);
  if (header.previousHash !== parent.hash)
    return refused('parent', `its parent is ${header.previousHash} (expected ${parent.hash})`);
  const ownHash = hash ?? hashHeader(bytes);
  const work = checkProofOfWork(bytes, network.powLimitBits, ownHash);
  if (work === 'bad_target') return refused(work, 'its target is easier than the network allows');
  if (work === 'insufficient_work') return refused(work, 'its hash does not meet its target');
  const target = targetFromCompact(header.bits) ?? 1n;
  if (!network.allowsMinDifficultyBlocks && target > MAX_EASIER * targetOf(parent.header))
    return refused('sudden_ease', `its target is more than ${MAX_EASIER} times as easy as its parent's`);
  const isMedianKnown = lastTimes.length >= Math.min(MEDIAN_SPAN, parent.height + 1);
  if (isMedianKnown && header.time <= medianOf(lastTimes))
    return refused('too_early', 'its time is not after the median of the eleven headers before it');
  if (header.time > nowSeconds + MAX_FUTURE_SECONDS)
    return refused('too_far_ahead', 'its time is more than two hours in the future');
  const chainWork = parent.chainWork + workOfTarget(target);
  return { ok: true, child: { hash: ownHash, header: new Uint8Array(bytes), height: parent.height + 1, chainWork } };
}

/** The genesis header of a network. */
export function genesisHeader({ genesisHeader: header }: NetworkParameters): CheckedHeader {
  return { hash: hashHeader(header), header, height: 0, chainWork: workOfTarget(targetOf(header)) };
}

export function medianOf(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function targetOf(header: Uint8Array): bigint {
  return targetFromCompact(parseHeader(header)?.bits ?? 0) ?? 1n;
}

function refused(fault: HeaderFault, details: string): HeaderCheck {
  return { ok: false, fault, details };
}
