// The clock of this machine against others: the Date of the own DataHub's answers, and the node statuses of peers.
import { systemClock } from '../../ports/clock.ts';
import type { Settings } from '../../settings/load.ts';
import { ownDataHubUrl } from '../create-peers.ts';
import { type Finding, fine, unknown, wrong } from './finding.ts';

/** Dates have whole seconds, and messages are some seconds under way. */
const MAX_OFFSET_MS = 10_000;
const ASK_MS = 3000;

export interface ClockSource {
  readonly what: string;
  /** Positive: ahead of this machine. */
  readonly offsetMs: number;
}

/** The Date of the DataHub's answer, whatever its status; undefined without one. */
export async function dateOfDataHub(settings: Settings, signal: AbortSignal): Promise<ClockSource | undefined> {
  const url = ownDataHubUrl(settings);
  if (url === '') return undefined;
  try {
    const askedMs = systemClock.now();
    const asked = AbortSignal.any([signal, AbortSignal.timeout(ASK_MS)]);
    const response = await fetch(`${url}/bestblockheader`, { signal: asked, redirect: 'manual' });
    const receivedMs = systemClock.now();
    await response.body?.cancel();
    const date = Date.parse(response.headers.get('date') ?? '');
    if (Number.isNaN(date)) return undefined;
    // Dates are cut to the second.
    return { what: `Date of ${url}`, offsetMs: date + 500 - (askedMs + receivedMs) / 2 };
  } catch {
    return undefined;
  }
}

/** The median of what peers say. */
export function clockOfPeers(offsetsMs: readonly number[]): ClockSource | undefined {
  const sorted = offsetsMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)];
  if (median === undefined) return undefined;
  return { what: `node statuses of ${sorted.length} peers`, offsetMs: median };
}

export function judgeClock(sources: readonly ClockSource[]): Finding {
  const [first] = sources;
  if (first === undefined) return unknown('clock', 'neither the own DataHub nor a peer told its time');
  const found = sources.map(({ what, offsetMs }) => `${what}: ${offsetText(offsetMs)}`).join('; ');
  // One source that agrees is enough: the others may be wrong themselves.
  if (sources.some(({ offsetMs }) => Math.abs(offsetMs) <= MAX_OFFSET_MS)) return fine('clock', found);
  return wrong(
    'clock',
    found,
    'set the clock of this machine, and keep it right with chrony or systemd-timesyncd; if it is right, the other clock is wrong',
  );
}

function offsetText(ms: number): string {
  if (Math.abs(ms) <= 1500) return 'agrees';
  const seconds = Math.round(Math.abs(ms) / 1000);
  return ms > 0 ? `this machine is ${seconds} s behind` : `this machine is ${seconds} s ahead`;
}
