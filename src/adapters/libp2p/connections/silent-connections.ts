// Connections over which nothing comes any more: the machine lost its power, the link its state. TCP notices after a quarter of an hour, and never when the other kernel
// still answers for a process that hangs. Until then such a peer counts as connected, is not dialled again, and what is meant for it goes to the dead
// connection although it came back on another. js-libp2p pings every 10 s, so a peer that lives sends something; any byte counts, so that a busy one is spared.
import type { Connection } from '@libp2p/interface';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import type { ConnectionMeter } from './connection-meter.ts';

export const LOOK_MS = 5000;
/** Looks in a row without a byte: four pings are unanswered then. Looks are counted, not time, so that a pause of our own charges nobody. Go takes 40 s. */
export const SILENT_LOOKS = 9;

type Watched = Pick<Connection, 'status' | 'abort' | 'remotePeer'>;

interface Silence {
  readonly meter: Pick<ConnectionMeter, 'receivedBytes'>;
  seenBytes: number;
  looks: number;
}

export class SilentConnections {
  private readonly log: Logger;
  private readonly dropped: Counter;
  /** Of open connections, which are bounded elsewhere. */
  private readonly watched = new Map<Watched, Silence>();
  private loop: Repeating | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }) {
    this.log = deps.log;
    this.dropped = deps.metrics.counter(
      'teranode_p2p_connections_silent_total',
      'Connections closed because nothing came over them any more',
    );
  }

  watch(connection: Watched, meter: Silence['meter']): void {
    this.watched.set(connection, { meter, seenBytes: meter.receivedBytes, looks: 0 });
  }

  start(): void {
    const failed = (error: unknown) => this.log.warn({ err: error }, 'silent connections could not be looked for');
    this.loop ??= repeating(async () => this.look(), { firstMs: LOOK_MS, nextMs: () => LOOK_MS }, failed);
  }

  stop(): void {
    this.loop?.stop();
  }

  look(): void {
    for (const [connection, silence] of this.watched) {
      if (connection.status !== 'open') {
        this.watched.delete(connection);
        continue;
      }
      const { receivedBytes } = silence.meter;
      silence.looks = receivedBytes === silence.seenBytes ? silence.looks + 1 : 0;
      silence.seenBytes = receivedBytes;
      if (silence.looks < SILENT_LOOKS) continue;
      this.watched.delete(connection);
      this.dropped.add();
      this.log.info({ peerId: connection.remotePeer.toString() }, 'connection closed: nothing came over it any more');
      connection.abort(new Error('nothing came over this connection any more'));
    }
  }
}
