// Fetches the chain up to an announced block from one DataHub, in batches. Headers that extend our best chain are
// stored with each batch, so that a long fetch continues where it ended. Those of a branch wait in memory until they
// have more work than our best chain, so that a peer cannot fill the store with less. Of a branch that is too long for
// that, only the end of each batch is kept; once it has more work it is fetched again, and must end the same way.
import type { BlockAnnouncement } from '../../domain/announcement.ts';
import type { ChainPoint } from '../../domain/chain-event.ts';
import type { BlockHash } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubClient, FetchFault } from '../../ports/datahub-client.ts';
import type { Logger } from '../../ports/log.ts';
import { type CheckedHeader, MEDIAN_SPAN } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { EmbeddedChain } from './embedded-chain.ts';
import { ask, check, viewOn } from './header-batch.ts';

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
    /** A branch of two million headers that had no more work than ours until then. */
    | 'too_deep'
    /** Less than a hundred headers in an answer that was not the last, or a branch that took 15 minutes. */
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

/** Of an answer that was not the last. */
const MIN_BATCH = 100;
/** Headers of a branch that are kept in memory, about 5 MB. */
const MAX_BRANCH = 10_000;
/**
 * Headers of a branch that are looked at, 160 MB. A miner needs seconds for one block with the work of the first ten
 * thousand of mainnet; to be heard above the whole chain it needs the work of that.
 */
const MAX_LOOKED_AT = 2_000_000;
/** For a branch until it has more work, and again until it is stored: a slow peer holds one of few fetches. */
const MAX_BRANCH_MS = 15 * 60_000;
const PROGRESS_MS = 10_000;

type Target = BlockAnnouncement & { readonly network: NetworkParameters };

/** `target`: the announcement. Rejects only when the chain is closed. */
export async function catchUp(
  deps: HeaderFetchDependencies,
  target: Target,
  listeners: FetchListeners,
  signal: AbortSignal,
): Promise<FetchEnd> {
  const { chain, clock, log } = deps;
  /** Where the last answer ended. */
  let reached: ChainPoint | undefined;
  let branch: CheckedHeader[] = [];
  /** Headers of the branch; more than are kept when it is long. */
  let length = 0;
  /** Where the answers with the branch began, then the last header of each. */
  const ends: BlockHash[] = [];
  let branchMs = 0;
  let taken = 0;
  let loggedMs = clock.monotonic();
  const ended = (outcome: FetchEnd['outcome'], details = '') => ({ outcome, details, taken });
  for (;;) {
    const locator = [...(reached === undefined ? [] : [reached.hash]), ...chain.locator()];
    const answer = await ask(deps.client, target, locator, signal);
    if (!answer.ok) return ended(answer.fault, answer.details);
    // Another fetch may store the same headers meanwhile.
    const isNew = (hash: BlockHash) => (length === 0 ? chain.header(hash) === undefined : hash !== reached?.hash);
    const fresh = answer.value.filter(({ hash }) => isNew(hash));
    const isLast = answer.value.at(-1)?.hash === target.hash;
    if (fresh.length === 0) {
      if (isLast) return ended(taken === 0 ? 'known' : 'done');
      const [first, last] = [answer.value[0], answer.value.at(-1)].map((each) => each && chain.header(each.hash));
      const height = reached?.height ?? first?.height;
      if (length > 0 || height === undefined || last === undefined || last.height <= height)
        return ended('no_progress', 'no new headers in an answer');
      if (answer.value.length < MIN_BATCH)
        return ended('too_slow', `${answer.value.length} known headers in an answer`);
      reached = last;
      continue;
    }
    const view = viewOn(chain, branch, fresh[0]);
    if (view === undefined) return ended('wrong', 'the headers do not connect to ours');
    const checked = await check(fresh, view, target.network, clock, signal);
    if ('outcome' in checked) return ended(checked.outcome, checked.details);
    if (ends.length === 0) {
      ends.push(answer.value.find(({ hash }) => !isNew(hash))?.hash ?? view.parent.hash);
      branchMs = clock.monotonic();
    }
    const last = checked.headers.at(-1) ?? view.parent;
    ends.push(last.hash);
    reached = last;
    branch = [...branch, ...checked.headers];
    length += checked.headers.length;
    if (last.chainWork > chain.best().chainWork) {
      if (taken === 0 && (length > 1 || !isLast)) listeners.onCatchUp();
      const isWhole = branch.length === length;
      const failed = isWhole ? undefined : await fetchAgain(deps, target, ends, signal);
      if (failed !== undefined) return ended(failed.outcome, failed.details);
      if (isWhole) chain.addChecked(branch);
      taken += length;
      listeners.onTaken(length);
      branch = [];
      ends.length = 0;
      length = 0;
    }
    if (isLast) return length === 0 ? ended('done') : ended('less_work', `${length} headers`);
    if (length >= MAX_LOOKED_AT) return ended('too_deep', `${length} headers`);
    if (length >= MAX_BRANCH) branch = branch.slice(-MEDIAN_SPAN);
    if (fresh.length < MIN_BATCH) return ended('too_slow', `${fresh.length} headers in an answer`);
    if (length > 0 && clock.monotonic() - branchMs > MAX_BRANCH_MS) return ended('too_slow', `${length} headers`);
    if (clock.monotonic() - loggedMs < PROGRESS_MS) continue;
    loggedMs = clock.monotonic();
    const { height } = chain.best();
    log.info({ peerId: target.peerId, dataHubUrl: target.url, height, taken }, 'fetching headers');
  }
}

/** Stores the headers of a long branch, which all lead to `ends`. undefined: done. */
async function fetchAgain(
  { client, chain, clock }: HeaderFetchDependencies,
  target: Target,
  [start, ...ends]: readonly BlockHash[],
  signal: AbortSignal,
): Promise<Pick<FetchEnd, 'outcome' | 'details'> | undefined> {
  const beganMs = clock.monotonic();
  let from = start;
  for (const end of ends) {
    if (clock.monotonic() - beganMs > MAX_BRANCH_MS) return { outcome: 'too_slow', details: 'a branch, again' };
    const answer = await ask(client, target, from === undefined ? [] : [from], signal);
    if (!answer.ok) return { outcome: answer.fault, details: answer.details };
    const fresh = answer.value.filter(({ hash }) => chain.header(hash) === undefined);
    const view = viewOn(chain, [], fresh[0]);
    if (answer.value.at(-1)?.hash !== end || (fresh.length > 0 && view === undefined))
      return { outcome: 'wrong', details: 'the headers of a branch are not those that were sent before' };
    const checked = view === undefined ? { headers: [] } : await check(fresh, view, target.network, clock, signal);
    if ('outcome' in checked) return checked;
    chain.addChecked(checked.headers);
    from = end;
  }
  return undefined;
}
