// Fetches the chain up to an announced block from one DataHub, in batches. Headers that extend our best chain are
// stored with each batch, so that a long fetch continues where it ended. Those of a branch wait in memory until they
// have more work than our best chain, so that a peer cannot fill the store with less.
import { setImmediate } from 'node:timers/promises';
import type { BlockAnnouncement } from '../../domain/announcement.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubAnswer, DataHubClient, FetchedHeader, FetchFault } from '../../ports/datahub-client.ts';
import type { Logger } from '../../ports/log.ts';
import { parseHeader } from '../../wire/header.ts';
import { type CheckedHeader, checkChild, MEDIAN_SPAN, type ParentView } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { EmbeddedChain } from './embedded-chain.ts';

export interface HeaderFetchDependencies {
  readonly chain: EmbeddedChain;
  readonly client: DataHubClient;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How a fetch ended. */
export interface FetchEnd {
  readonly outcome:
    | FetchFault
    /** The announced block is stored. */
    | 'done'
    /** It had come from elsewhere. */
    | 'known'
    /** Its chain has no more work than ours, and was not stored. */
    | 'less_work'
    /** A branch of more than 10,000 headers that had no more work than ours until then. */
    | 'too_deep'
    /** Less than a hundred headers in an answer that was not the last. */
    | 'too_slow'
    /** A header breaks the rules. */
    | 'invalid'
    /** A header of the future, or our clock is wrong. */
    | 'too_far_ahead'
    /** Nothing new in an answer, though the announced block was not reached. */
    | 'no_progress';
  readonly details: string;
  /** Headers stored. */
  readonly taken: number;
}

export interface FetchListeners {
  readonly onTaken: (count: number) => void;
  /** More than one header is to be stored; called once. */
  readonly onCatchUp: () => void;
}

/** Headers asked for at once: 160 kB. */
const BATCH = 2000;
/** Of an answer that was not the last. */
const MIN_BATCH = 100;
/** Headers of a branch that are kept in memory, about 5 MB. */
const MAX_BRANCH = 10_000;
/** Headers checked in one turn of the event loop, about 5 ms. */
const SLICE = 100;
const PROGRESS_MS = 10_000;

/** `target`: the announcement. Rejects only when the chain is closed. */
export async function catchUp(
  deps: HeaderFetchDependencies,
  target: BlockAnnouncement & { readonly network: NetworkParameters },
  listeners: FetchListeners,
  signal: AbortSignal,
): Promise<FetchEnd> {
  const { chain, clock, log } = deps;
  /** The last header of this fetch that was checked. */
  let reached: CheckedHeader | undefined;
  let branch: CheckedHeader[] = [];
  let taken = 0;
  let loggedMs = clock.monotonic();
  const ended = (outcome: FetchEnd['outcome'], details = '') => ({ outcome, details, taken });
  for (;;) {
    const locator = [...(reached === undefined ? [] : [reached.hash]), ...chain.locator()];
    const answer = await ask(deps.client, target, locator, signal);
    if (!answer.ok) return ended(answer.fault, answer.details);
    const fresh = answer.value.filter(({ hash }) => hash !== reached?.hash && chain.header(hash) === undefined);
    const isLast = answer.value.at(-1)?.hash === target.hash;
    if (fresh.length === 0)
      return isLast ? ended(taken === 0 ? 'known' : 'done') : ended('no_progress', 'no new headers in an answer');
    const view = viewOn(chain, branch, fresh[0]);
    if (view === undefined)
      return ended(answer.isOlderCall ? 'too_deep' : 'wrong', 'the headers do not connect to ours');
    const checked = await check(fresh, view, target.network, clock, signal);
    if ('outcome' in checked) return ended(checked.outcome, checked.details);
    reached = checked.headers.at(-1);
    branch = [...branch, ...checked.headers];
    if ((reached?.chainWork ?? 0n) > chain.best().chainWork) {
      if (taken === 0 && (branch.length > 1 || !isLast)) listeners.onCatchUp();
      chain.addChecked(branch);
      taken += branch.length;
      listeners.onTaken(branch.length);
      branch = [];
    }
    if (isLast) return branch.length === 0 ? ended('done') : ended('less_work', `${branch.length} headers`);
    if (branch.length >= MAX_BRANCH) return ended('too_deep', `${branch.length} headers`);
    if (fresh.length < MIN_BATCH) return ended('too_slow', `${fresh.length} headers in an answer`);
    if (clock.monotonic() - loggedMs < PROGRESS_MS) continue;
    loggedMs = clock.monotonic();
    const { height } = chain.best();
    log.info({ peerId: target.peerId, dataHubUrl: target.url, height, taken }, 'fetching headers');
  }
}

/** The older call where the DataHub does not have the newer one. */
async function ask(
  client: DataHubClient,
  { url, hash }: BlockAnnouncement,
  locator: readonly CheckedHeader['hash'][],
  signal: AbortSignal,
): Promise<DataHubAnswer<readonly FetchedHeader[]> & { readonly isOlderCall: boolean }> {
  const answer = await client.headersFromAncestor(url, hash, locator, BATCH, signal);
  if (answer.ok || answer.fault !== 'not_found') return { ...answer, isOlderCall: false };
  const back = await client.headersToAncestor(url, hash, locator, MAX_BRANCH, signal);
  return back.ok ? { ok: true, value: back.value.toReversed(), isOlderCall: true } : { ...back, isOlderCall: true };
}

type Checked =
  | { readonly headers: readonly CheckedHeader[] }
  | { readonly outcome: 'aborted' | 'invalid' | 'too_far_ahead'; readonly details: string };

/** The headers as children of each other, the first one of `view`. */
async function check(
  fresh: readonly FetchedHeader[],
  first: ParentView,
  network: NetworkParameters,
  clock: Clock,
  signal: AbortSignal,
): Promise<Checked> {
  const headers: CheckedHeader[] = [];
  let view = first;
  for (const [i, { hash, header }] of fresh.entries()) {
    const result = checkChild(header, view, network, Math.floor(clock.now() / 1000), hash);
    if (!result.ok) {
      const details = `header ${hash} at height ${view.parent.height + 1}: ${result.details}`;
      return { outcome: result.fault === 'too_far_ahead' ? result.fault : 'invalid', details };
    }
    headers.push(result.child);
    view = { parent: result.child, lastTimes: [timeOf(header), ...view.lastTimes].slice(0, MEDIAN_SPAN) };
    if (i % SLICE === SLICE - 1) await setImmediate();
    if (signal.aborted) return { outcome: 'aborted', details: 'stopped' };
  }
  return { headers };
}

/**
 * What the first new header is a child of: the end of the branch in memory, else a stored header. undefined when it is
 * neither. The chain up to a block never changes, so an answer that does not continue the branch is wrong.
 */
function viewOn(
  chain: EmbeddedChain,
  branch: readonly CheckedHeader[],
  first: FetchedHeader | undefined,
): ParentView | undefined {
  const previous = parseHeader(first?.header ?? NONE)?.previousHash;
  const [start] = branch;
  const parent = branch.at(-1);
  if (previous === undefined) return undefined;
  if (start === undefined || parent === undefined) return newestFirst(chain.parentView(previous));
  if (parent.hash !== previous) return undefined;
  const own = branch.slice(-MEDIAN_SPAN).map(({ header }) => timeOf(header));
  const below = newestFirst(chain.parentView(parseHeader(start.header)?.previousHash ?? previous));
  return { parent, lastTimes: [...own.reverse(), ...(below?.lastTimes ?? [])].slice(0, MEDIAN_SPAN) };
}

function newestFirst(view: ParentView | undefined): ParentView | undefined {
  return view && { ...view, lastTimes: view.lastTimes.toReversed() };
}

const NONE = new Uint8Array();

function timeOf(header: Uint8Array): number {
  return parseHeader(header)?.time ?? 0;
}
