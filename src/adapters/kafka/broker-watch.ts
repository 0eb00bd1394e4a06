// Notices within seconds that the brokers of a topic do not answer, also while nothing is sent, and that they answer
// again: a gauge, a counter and one log line for each.
import { P2PError } from '../../lib/errors.ts';
import { pause } from '../../lib/pause.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { deepestMessage, type KafkaConnection } from './connection.ts';
import { type SharedAdmin, shareAdmin } from './shared-admin.ts';

const INTERVAL_MS = 3000;
const CHECK_DEADLINE_MS = 2000;
/**
 * A check that fails is repeated at once, with the next broker: one broker that restarts, or a process that was paused,
 * is no outage. So an outage is noticed within seven seconds.
 */
const ATTEMPTS = 2;
/** A request may fail for so long, as while the leader of a partition moves, before it is an outage. */
const REQUEST_PATIENCE_MS = 2000;

export class BrokerWatch {
  private readonly log: Logger;
  private readonly connection: KafkaConnection;
  private readonly errors: Counter;
  private readonly labels: { readonly topic: string };
  private isAway = false;
  /** While the caller's request fails, only an answer to it shows that all is well. */
  private requestFailingSinceMs: number | undefined;

  constructor(deps: { readonly log: Logger; readonly metrics: Metrics }, connection: KafkaConnection) {
    this.log = deps.log;
    this.connection = connection;
    this.labels = { topic: connection.url.topic };
    this.errors = deps.metrics.counter('teranode_p2p_kafka_errors_total', 'Failed requests to Kafka', ['topic']);
    this.errors.add(0, this.labels);
    const help = '1 while the brokers of the topic answer';
    deps.metrics.gauge('teranode_p2p_kafka_up', help, () => (this.isAway ? 0 : 1), this.labels);
  }

  /** Asks the brokers every few seconds, until the signal aborts. All who watch the same brokers share a connection. */
  async run(signal: AbortSignal): Promise<void> {
    const admin = shareAdmin(this.connection);
    try {
      while (!signal.aborted) {
        try {
          await this.check(admin, signal);
          if (this.requestFailingSinceMs === undefined) this.isBack();
        } catch (error) {
          if (!signal.aborted) this.failed(error);
        }
        await pause(INTERVAL_MS, signal);
      }
    } finally {
      admin.release();
    }
  }

  /** The caller's own request failed, and is repeated. */
  requestFailed(error: unknown): void {
    const nowMs = performance.now();
    this.requestFailingSinceMs ??= nowMs;
    if (this.isAway || nowMs - this.requestFailingSinceMs >= REQUEST_PATIENCE_MS) this.failed(error);
    else this.count();
  }

  /** The caller's own request was answered. */
  requestAnswered(): void {
    this.requestFailingSinceMs = undefined;
    this.isBack();
  }

  /** A request that failed for another reason than an outage. */
  count(): void {
    this.errors.add(1, this.labels);
  }

  private async check(admin: SharedAdmin, signal: AbortSignal): Promise<void> {
    for (let left = this.isAway ? 1 : ATTEMPTS; ; ) {
      try {
        await admin.use((client) => client.metadata({ topics: [], forceUpdate: true }), CHECK_DEADLINE_MS, signal);
        return;
      } catch (error) {
        left -= 1;
        if (left === 0 || signal.aborted) throw error;
      }
    }
  }

  private failed(error: unknown): void {
    this.count();
    const details = { ...this.labels, brokers: this.connection.url.brokers, reason: reasonOf(error) };
    this.log[this.isAway ? 'debug' : 'warn'](details, 'Kafka unavailable');
    this.isAway = true;
  }

  private isBack(): void {
    if (this.isAway) this.log.info(this.labels, 'Kafka available again');
    this.isAway = false;
  }
}

function reasonOf(error: unknown): string {
  const isLate = error instanceof P2PError && error.code === 'TIMEOUT';
  return isLate ? 'no answer in time' : deepestMessage(error);
}
