// What every Kafka client of ours is made with, and the probe that asks a broker for an answer.
import type { ConnectionOptions } from 'node:tls';
import { Admin } from '@platformatic/kafka';
import type { ProbeResult } from '../../ports/producer.ts';
import type { KafkaUrl } from '../../settings/kafka-url.ts';
import { withClient } from './client-lifetime.ts';

export interface KafkaConnection {
  readonly url: KafkaUrl;
  readonly clientId: string;
  readonly tls: ConnectionOptions | undefined;
}

const CONNECT_TIMEOUT_MS = 3000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Waits between retries within a client: 250 ms, half as much again each time, two seconds at the most. */
const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 2000;
const DELAY_GROWTH = 1.5;
/** Some three minutes; then our own loops begin with a new client. The client keeps the error of each attempt until then. */
const RETRIES = 100;

/**
 * Options common to producer, consumer and admin. With retries, because an outage of some seconds would reject sends otherwise, and a batch
 * that is sent again by the same client arrives once.
 */
export function clientOptions(connection: KafkaConnection, retries: boolean) {
  return {
    clientId: connection.clientId,
    bootstrapBrokers: [...connection.url.brokers],
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries: retries ? RETRIES : 0,
    retryDelay: (_client: unknown, _operation: string, attempt: number, _retries: number, error: Error) => {
      slim(error);
      return Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * DELAY_GROWTH ** Math.min(attempt, 20));
    },
    ...(connection.tls === undefined ? {} : { tls: connection.tls, tlsServerName: true }),
  };
}

/** An error of the client holds the connection that failed, with its socket and buffers: only words are kept. */
function slim(error: unknown, depth = 0): void {
  if (!(error instanceof Error) || depth > 8) return;
  for (const [key, value] of Object.entries(error)) {
    if (key === 'errors' || key === 'cause' || typeof value !== 'object' || value === null) continue;
    Reflect.deleteProperty(error, key);
  }
  slim(error.cause, depth + 1);
  if (error instanceof AggregateError) for (const each of error.errors) slim(each, depth + 1);
}

/** Connects anew and asks for the cluster's metadata; settles within the deadline, and at once when the signal aborts. */
export async function probeBroker(
  connection: KafkaConnection,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const brokers = connection.url.brokers.join(',');
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    const admin = new Admin(clientOptions(connection, false));
    return await withClient(admin, AbortSignal.any([signal, deadline]), async () => {
      const metadata = await admin.metadata({ topics: [], forceUpdate: true });
      return { ok: true, details: `${metadata.brokers.size} broker(s) at ${brokers}` };
    });
  } catch (error) {
    if (deadline.aborted) return { ok: false, details: `no answer from ${brokers} within ${deadlineMs} ms` };
    return { ok: false, details: `${brokers}: ${deepestMessage(error)}` };
  }
}

/** The client wraps what happened several times; the innermost text says it. */
export function deepestMessage(error: unknown): string {
  let current: unknown = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    const inner: unknown = current instanceof AggregateError ? current.errors[0] : current.cause;
    if (!(inner instanceof Error)) return current.message;
    current = inner;
  }
  return String(current);
}
