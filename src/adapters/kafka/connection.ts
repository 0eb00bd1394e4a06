// What every Kafka client of ours is made with, and the probe that asks a broker for an answer.
import type { ConnectionOptions } from 'node:tls';
import { Admin } from '@platformatic/kafka';
import type { ProbeResult } from '../../ports/producer.ts';
import type { KafkaUrl } from '../../settings/kafka-url.ts';

export interface KafkaConnection {
  readonly url: KafkaUrl;
  readonly clientId: string;
  readonly tls: ConnectionOptions | undefined;
}

const CONNECT_TIMEOUT_MS = 3000;
const REQUEST_TIMEOUT_MS = 10_000;
const RETRY_DELAY_MS = 250;

/** Options common to producer, consumer and admin. Endless retries: an outage of some seconds would reject sends otherwise. */
export function clientOptions(connection: KafkaConnection, retries: boolean) {
  return {
    clientId: connection.clientId,
    bootstrapBrokers: [...connection.url.brokers],
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries,
    retryDelay: RETRY_DELAY_MS,
    ...(connection.tls === undefined ? {} : { tls: connection.tls, tlsServerName: true }),
  };
}

/** Connects anew and asks for the cluster's metadata; settles within the deadline. */
export async function probeBroker(connection: KafkaConnection, deadlineMs: number): Promise<ProbeResult> {
  const admin = new Admin({
    ...clientOptions(connection, false),
    connectTimeout: deadlineMs,
    requestTimeout: deadlineMs,
  });
  const brokers = connection.url.brokers.join(',');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<ProbeResult>((resolve) => {
    timer = setTimeout(resolve, deadlineMs, {
      ok: false,
      details: `no answer from ${brokers} within ${deadlineMs} ms`,
    });
  });
  const asked = admin.metadata({ topics: [], forceUpdate: true }).then(
    (metadata): ProbeResult => ({ ok: true, details: `${metadata.brokers.size} broker(s) at ${brokers}` }),
    (error: unknown): ProbeResult => ({ ok: false, details: `${brokers}: ${deepestMessage(error)}` }),
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
    void admin.close().catch(() => {});
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
