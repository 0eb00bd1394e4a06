// The connections that ended lately, each with who closed it and why, for operators: a peer that hangs up at once
// refuses this node.
import type { Connection } from '@libp2p/interface';
import type { PeerId } from '../../../domain/ids.ts';
import { shownText } from '../../../lib/shown-text.ts';
import type { Clock } from '../../../ports/clock.ts';
import { type Departure, MAX_DEPARTURES } from '../../../ports/diagnosis.ts';

const MAX_REASON_CHARS = 200;

/** What libp2p tells when a connection closes; `error` is absent when it was closed in order. */
export interface Closing {
  readonly local?: boolean | undefined;
  readonly error?: Error | undefined;
}

type Ended = Pick<Departure, 'address' | 'direction' | 'atMs' | 'livedMs'> & { readonly peerId: PeerId };

export class Departures {
  private readonly ring: Departure[] = [];
  private next = 0;

  /** Remembers the connection when it ends. */
  watch(connection: Connection, peerId: PeerId, clock: Clock): void {
    const [address, { direction }, sinceMs] = [connection.remoteAddr.toString(), connection, clock.monotonic()];
    connection.addEventListener('close', (closing) => {
      const livedMs = Math.round(clock.monotonic() - sinceMs);
      this.add({ peerId, address, direction, atMs: clock.now(), livedMs }, closing);
    });
  }

  add(ended: Ended, { local, error }: Closing): void {
    const closedBy = local === true ? 'node' : 'peer';
    this.ring[this.next % MAX_DEPARTURES] = { ...ended, closedBy, reason: reasonOf(closedBy, error) };
    this.next += 1;
  }

  /** Latest first. */
  latest(): readonly Departure[] {
    const first = this.next % MAX_DEPARTURES;
    return this.ring.length < MAX_DEPARTURES
      ? this.ring.toReversed()
      : [...this.ring.slice(first), ...this.ring.slice(0, first)].reverse();
  }
}

/** `error`: libp2p hands on what a transport threw, which is not always an Error. */
function reasonOf(closedBy: Departure['closedBy'], error: unknown): string {
  const text = error === undefined || error === null ? undefined : shownText(textOf(error), MAX_REASON_CHARS);
  if (closedBy === 'node') return text ?? 'closed in order';
  return text === undefined ? 'the peer closed the connection' : `the connection broke: ${text}`;
}

function textOf(error: unknown): string {
  if (typeof error === 'string') return error;
  return error instanceof Error ? String(error.message || error.name) : 'an unknown error';
}
