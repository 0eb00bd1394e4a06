// One batch of headers from a DataHub: asking for it, and checking it as children of what is known.
import { setImmediate } from 'node:timers/promises';
import type { BlockAnnouncement } from '../../domain/announcement.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DataHubAnswer, DataHubClient, FetchedHeader } from '../../ports/datahub-client.ts';
import { parseHeader } from '../../wire/header.ts';
import { type CheckedHeader, checkChild, MEDIAN_SPAN, type ParentView } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { EmbeddedChain } from './embedded-chain.ts';

/** Headers asked for at once: 160 kB. */
const BATCH = 2000;
/** Headers checked in one turn of the event loop, about 5 ms. */
const SLICE = 100;

/** The older call where the DataHub does not have the newer one. */
export async function ask(
  client: DataHubClient,
  { url, hash }: BlockAnnouncement,
  locator: readonly CheckedHeader['hash'][],
  signal: AbortSignal,
): Promise<DataHubAnswer<readonly FetchedHeader[]>> {
  const answer = await client.headersFromAncestor(url, hash, locator, BATCH, signal);
  if (answer.ok || answer.fault !== 'not_found') return answer;
  const back = await client.headersToAncestor(url, hash, locator, BATCH, signal);
  return back.ok ? { ok: true, value: back.value.toReversed() } : back;
}

type Checked =
  | { readonly headers: readonly CheckedHeader[] }
  | { readonly outcome: 'aborted' | 'invalid' | 'too_far_ahead'; readonly details: string };

/** The headers as children of each other, the first one of `view`. */
export async function check(
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
export function viewOn(
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
