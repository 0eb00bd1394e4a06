// Options of all Kafka clients, the choice of the broker to connect to, and how to read the library's errors.
import type { ConnectionOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { Admin } from '@platformatic/kafka';
import { backoffMs } from '../../lib/backoff.ts';
import type { KafkaUrl } from '../../settings/kafka-url.ts';
import { withClient } from './client-lifetime.ts';

export interface KafkaConnection {
  readonly url: KafkaUrl;
  readonly clientId: string;
  readonly tls: ConnectionOptions | undefined;
}

const CONNECT_TIMEOUT_MS = 3000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Waits between retries within a client. */
const CLIENT_RETRY_TIMES = { firstMs: 250, lastMs: 2000 };
/** Waits between two clients, in our own loops. */
export const RETRY_TIMES = { firstMs: 500, lastMs: 5000 };
/**
 * Retries within one client, after which our own loops create a new client. About three minutes for a producer, because
 * a batch that the same client sends again arrives once. About fourteen seconds for a consumer, because the topic may
 * be gone.
 */
export const RETRIES = { producer: 100, consumer: 9, admin: 0 } as const;

/** Options of producer, consumer and admin clients. `onRetry` hears of each attempt that failed and is repeated. */
export function clientOptions(connection: KafkaConnection, retries: number, onRetry?: (error: Error) => void) {
  return {
    clientId: connection.clientId,
    bootstrapBrokers: brokersInTurn(connection),
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries,
    retryDelay: (_client: unknown, _operation: string, attempt: number, _retries: number, error: Error) => {
      slim(error);
      onRetry?.(error);
      return backoffMs(CLIENT_RETRY_TIMES, attempt);
    },
    ...(connection.tls === undefined ? {} : { tls: connection.tls, tlsServerName: true }),
  };
}

/** True when both have the same brokers and the same TLS options. */
export function sameBrokers(one: KafkaConnection, other: KafkaConnection): boolean {
  return isDeepStrictEqual([one.url.brokers, one.tls], [other.url.brokers, other.tls]);
}

/** How many brokers were skipped, per connection. */
const skipped = new WeakMap<KafkaConnection, number>();

function brokersInTurn(connection: KafkaConnection): string[] {
  const { brokers } = connection.url;
  const first = (skipped.get(connection) ?? 0) % brokers.length;
  return [...brokers.slice(first), ...brokers.slice(0, first)];
}

/**
 * Does the work of one client; when it fails, the next client begins at the next broker of the URL. A client on its own
 * stays with the first broker that accepts its connection, even if that broker closes it at once or never answers.
 */
export async function elseNextBroker<T>(connection: KafkaConnection, work: () => Promise<T>): Promise<T> {
  const before = skipped.get(connection) ?? 0;
  try {
    return await work();
  } catch (error) {
    // Several clients that fail at one broker skip one broker.
    skipped.set(connection, before + 1);
    throw error;
  }
}

/** An error of the client refers to the failed connection with its socket and buffers: this keeps only its texts. */
function slim(error: unknown, depth = 0): void {
  if (!(error instanceof Error) || depth > 8) return;
  for (const [key, value] of Object.entries(error)) {
    if (key === 'errors' || key === 'cause' || typeof value !== 'object' || value === null) continue;
    Reflect.deleteProperty(error, key);
  }
  slim(error.cause, depth + 1);
  if (error instanceof AggregateError) for (const each of error.errors) slim(each, depth + 1);
}

/** Connects for one piece of work. Throws what the broker says, TIMEOUT when the signal aborts. */
export function askBroker<T>(
  connection: KafkaConnection,
  signal: AbortSignal,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  return elseNextBroker(connection, () =>
    withClient(new Admin(clientOptions(connection, RETRIES.admin)), signal, work),
  );
}

/** The innermost message: the client wraps the original error several times. */
export function deepestMessage(error: unknown): string {
  let current: unknown = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    const inner: unknown = current instanceof AggregateError ? current.errors[0] : current.cause;
    if (!(inner instanceof Error)) return current.message;
    current = inner;
  }
  return String(current);
}

/** True when the error or one of its causes is a Kafka error with one of these names. */
export function hasError(error: unknown, names: readonly string[], depth = 0): boolean {
  if (!(error instanceof Error) || depth > 8) return false;
  if ('apiId' in error && names.includes(String(error.apiId))) return true;
  const inner: unknown[] = error instanceof AggregateError ? error.errors : [error.cause];
  return inner.some((each) => hasError(each, names, depth + 1));
}
