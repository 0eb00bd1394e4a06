// Notices within seconds that the brokers of a topic do not answer, also while nothing is sent, and that they answer
// again: a gauge, a counter and one log line for each.
import { pause } from '../../lib/pause.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { deepestMessage, type KafkaConnection } from './connection.ts';
import { shareAdmin } from './shared-admin.ts';

/** An outage is noticed within the sum of both. */
const INTERVAL_MS = 3000;
const CHECK_DEADLINE_MS = 3000;

export class BrokerWatch {
  private readonly log: Logger;
  private readonly connection: KafkaConnection;
  private readonly errors: Counter;
  private readonly labels: { readonly topic: string };
  private isAway = false;
  /** Whether the last request of the caller failed: then only an answer to it shows that all is well. */
  private isRequestFailing = false;

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
          await admin.use((client) => client.metadata({ topics: [], forceUpdate: true }), CHECK_DEADLINE_MS, signal);
          if (!this.isRequestFailing) this.isBack();
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
    this.isRequestFailing = true;
    this.failed(error);
  }

  /** The caller's own request was answered. */
  requestAnswered(): void {
    this.isRequestFailing = false;
    this.isBack();
  }

  /** A request that failed for another reason than an outage. */
  count(): void {
    this.errors.add(1, this.labels);
  }

  private failed(error: unknown): void {
    this.count();
    const details = { ...this.labels, brokers: this.connection.url.brokers, reason: deepestMessage(error) };
    this.log[this.isAway ? 'debug' : 'warn'](details, 'Kafka unavailable');
    this.isAway = true;
  }

  private isBack(): void {
    if (this.isAway) this.log.info(this.labels, 'Kafka available again');
    this.isAway = false;
  }
}
