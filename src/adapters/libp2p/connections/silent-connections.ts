// Closes connections over which nothing arrives any more: the machine lost power, or a firewall its state. TCP notices
// after 15 minutes, and never when the other kernel still answers for a process that hangs; until then the peer counts
// as connected and is not dialled again. js-libp2p pings every 10 s, so a live peer sends something. Any byte counts,
// so that a busy peer is spared.
import type { Connection } from '@libp2p/interface';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import type { ConnectionMeter } from './connection-meter.ts';

export const CHECK_INTERVAL_MS = 5000;
/**
 * Checks in a row without a byte: four pings are unanswered then. Checks are counted, not time, so a pause of this
 * process blames nobody. Go: 40 s.
 */
export const MAX_SILENT_CHECKS = 9;

type WatchedConnection = Pick<Connection, 'status' | 'abort' | 'remotePeer'>;

interface Silence {
  readonly meter: Pick<ConnectionMeter, 'receivedBytes'>;
  seenBytes: number;
  checks: number;
}

export class SilentConnections {
  private readonly log: Logger;
  private readonly closed: Counter;
  /** Open connections; bounded by the connection limits. */
  private readonly watched = new Map<WatchedConnection, Silence>();
  private loop: Repeating | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }) {
    this.log = deps.log;
    this.closed = deps.metrics.counter(
      'teranode_p2p_connections_silent_total',
      'Connections closed because nothing was received over them',
    );
  }

  /** Does nothing for a connection whose bytes are not counted: it would always look silent. */
  watch(connection: WatchedConnection, meter: Pick<ConnectionMeter, 'receivedBytes' | 'isCounting'>): void {
    if (meter.isCounting) this.watched.set(connection, { meter, seenBytes: meter.receivedBytes, checks: 0 });
  }

  start(): void {
    const failed = (error: unknown) => this.log.warn({ err: error }, 'failed to check for silent connections');
    this.loop ??= repeating(
      async () => this.check(),
      { firstMs: CHECK_INTERVAL_MS, nextMs: () => CHECK_INTERVAL_MS },
      failed,
    );
  }

  stop(): void {
    this.loop?.stop();
  }

  check(): void {
    for (const [connection, silence] of this.watched) {
      if (connection.status !== 'open') {
        this.watched.delete(connection);
        continue;
      }
      const { receivedBytes } = silence.meter;
      silence.checks = receivedBytes === silence.seenBytes ? silence.checks + 1 : 0;
      silence.seenBytes = receivedBytes;
      if (silence.checks < MAX_SILENT_CHECKS) continue;
      this.watched.delete(connection);
      this.closed.add();
      this.log.info({ peerId: connection.remotePeer.toString() }, 'closed a silent connection');
      connection.abort(new Error('nothing was received over this connection'));
    }
  }
}
