// Calls to one of the node's own services: each has a deadline, is retried with back-off within a time limit, is
// counted, and fails with one kind of error. Answers are decoded and checked here, which tells a broken service from
// one that is down.
import {
  create,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { type Client, type ClientReadableStream, status } from '@grpc/grpc-js';
import { backoffMs } from '../../lib/backoff.ts';
import { P2PError } from '../../lib/errors.ts';
import { pause } from '../../lib/pause.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { ProbeResult } from '../../ports/producer.ts';
import { methodDefinition } from '../rpc/service-definition.ts';
import type { ClientTlsOptions } from '../rpc/tls.ts';
import { grpcCodeOf, oneLine, rpcFailure, type ServiceName } from './rpc-failure.ts';
import { ServiceConnection } from './service-connection.ts';

export interface ServiceOptions {
  /** `host:port`, or as Teranode's settings write it: `k8s:///name:port`, `http://host:port`. */
  readonly address: string;
  /** Retries after a temporary failure (`grpc_max_retries`); the time limit may come first. */
  readonly maxRetries: number;
  /** Wait before the first retry, doubled each time up to five seconds (`grpc_retry_backoff`). */
  readonly retryBackoffMs: number;
  /** undefined: plain text. */
  readonly tls?: ClientTlsOptions | undefined;
  /** Sent as `x-api-key` with each call. */
  readonly apiKey?: string | undefined;
  readonly times?: Partial<ServiceTimes> | undefined;
  /** Larger answers fail with RESOURCE_EXHAUSTED. */
  readonly maxAnswerBytes?: number | undefined;
}

/** All in ms. */
export interface ServiceTimes {
  /** Deadline of one attempt. */
  readonly attemptMs: number;
  /** Time limit of a call with its retries. */
  readonly callMs: number;
  /** Between two pings on a connection in use. A ping that is not answered within three seconds ends the connection. */
  readonly keepAliveMs: number;
  /** A connection attempt that takes longer is started again. */
  readonly connectMs: number;
}

export interface ServiceDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export const SERVICE_TIMES: ServiceTimes = { attemptMs: 3000, callMs: 10_000, keepAliveMs: 5000, connectMs: 10_000 };

const MAX_BACKOFF_MS = 5000;

/** Worth a retry: the service is down, slow or overloaded. */
const TEMPORARY: readonly string[] = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED'];

export interface AttemptOptions {
  readonly deadlineMs: number;
  /** Ends the attempt as CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** A call that can be ended early. */
interface Cancellable {
  cancel(): void;
}

export class ServiceChannel {
  readonly service: ServiceName;
  private readonly deps: ServiceDependencies;
  private readonly options: ServiceOptions;
  private readonly times: ServiceTimes;
  private readonly calls: Counter;
  private readonly active = new Set<Cancellable>();
  private readonly closed = new AbortController();
  private readonly connection: ServiceConnection;

  constructor(service: ServiceName, deps: ServiceDependencies, options: ServiceOptions) {
    this.service = service;
    this.deps = deps;
    this.options = options;
    this.times = { ...SERVICE_TIMES, ...options.times };
    const { address, tls, apiKey, maxAnswerBytes } = options;
    this.connection = new ServiceConnection(deps, { address, tls, apiKey, maxAnswerBytes, ...this.times });
    this.calls = deps.metrics.counter(
      'teranode_p2p_rpc_calls_total',
      'Calls to the node’s own services, retries included',
      ['service', 'method', 'code'],
    );
  }

  /**
   * Reads certificate files; the first call connects. May be called twice. Throws ADDRESS_INVALID, SETTINGS_INVALID
   * (certificate files, or a key that no header can carry).
   */
  open(): void {
    this.connection.open();
  }

  get isOpen(): boolean {
    return this.connection.client !== undefined;
  }

  /** Whether there is a connection now. */
  get isConnected(): boolean {
    return this.connection.isConnected;
  }

  /** Ms after which a connection attempt, or the start of a stream, is given up and repeated. */
  get connectMs(): number {
    return this.times.connectMs;
  }

  /** Aborted by `close`. */
  get signal(): AbortSignal {
    return this.closed.signal;
  }

  /** Ends open calls and streams as CANCELLED. May be called twice. */
  close(): void {
    this.closed.abort();
    for (const call of this.active) call.cancel();
    this.connection.close();
  }

  /**
   * A call, retried after temporary failures. `read` checks the answer and converts it; when it throws, the call fails
   * with DATA_LOSS. Throws RPC_FAILED with `details` service, method, grpcCode.
   */
  async call<M extends DescMethod, T = MessageShape<M['output']>>(
    method: M,
    fields: MessageInitShape<M['input']>,
    read?: (answer: MessageShape<M['output']>) => T,
  ): Promise<T> {
    const { clock, log } = this.deps;
    const { attemptMs, callMs } = this.times;
    const endMs = clock.monotonic() + callMs;
    let earlier: unknown;
    for (let retries = 0; ; retries += 1) {
      const deadlineMs = Math.min(attemptMs, Math.max(1, endMs - clock.monotonic()));
      try {
        return await this.attempt(method, fields, { deadlineMs }, read);
      } catch (error) {
        const waitMs = this.backoffMs(retries);
        const isLast = retries >= this.options.maxRetries || clock.monotonic() + waitMs >= endMs;
        if (isLast || !TEMPORARY.includes(grpcCodeOf(error) ?? '')) {
          // The last attempt may have had too little time to say why the service fails; the one before it had enough.
          const isCut = deadlineMs < attemptMs && grpcCodeOf(error) === 'DEADLINE_EXCEEDED';
          throw isCut ? (earlier ?? error) : error;
        }
        earlier = error;
        log.debug({ service: this.service, method: method.name, retries, err: error }, 'retrying call');
        await pause(waitMs, this.closed.signal);
      }
    }
  }

  /** One attempt of `call`. */
  async attempt<M extends DescMethod, T = MessageShape<M['output']>>(
    method: M,
    fields: MessageInitShape<M['input']>,
    options: AttemptOptions,
    read?: (answer: MessageShape<M['output']>) => T,
  ): Promise<T> {
    try {
      const answer = this.decode(method, await this.send(method, fields, options), read);
      this.count(method, 'OK');
      return answer;
    } catch (error) {
      this.count(method, grpcCodeOf(error) ?? 'UNKNOWN');
      throw error;
    }
  }

  /** Asks the service for its health, once; always settles within the deadline. */
  async probe(method: DescMethod, deadlineMs: number): Promise<ProbeResult> {
    const { address } = this.options;
    try {
      const { ok, details } = (await this.attempt(method, {}, { deadlineMs })) as Message & HealthAnswer;
      return { ok, details: `${address}: ${oneLine(details) || (ok ? 'OK' : 'unhealthy')}` };
    } catch (error) {
      return { ok: false, details: `${address}: ${error instanceof P2PError ? error.message : 'failed'}` };
    }
  }

  /**
   * A stream of undecoded messages, ended by its `cancel`, by `close`, or by the service. Throws RPC_FAILED while not
   * open.
   */
  stream<M extends DescMethod>(method: M, fields: MessageInitShape<M['input']>): ClientReadableStream<Buffer> {
    const { path, requestSerialize } = methodDefinition(method);
    const request = create(method.input, fields) as MessageShape<M['input']>;
    const stream = this.opened(method).makeServerStreamRequest(
      path,
      requestSerialize,
      asIs,
      request,
      this.connection.metadata,
    );
    this.active.add(stream);
    // The status event reports the same, and an error event without a listener would end the process.
    stream.on('error', () => {});
    stream.once('status', ({ code }) => {
      this.active.delete(stream);
      this.count(method, status[code]);
    });
    return stream;
  }

  /** Wait after the first attempt and `failures` failed retries. */
  backoffMs(failures: number): number {
    return backoffMs({ firstMs: this.options.retryBackoffMs, lastMs: MAX_BACKOFF_MS }, failures + 1);
  }

  private send<M extends DescMethod>(
    method: M,
    fields: MessageInitShape<M['input']>,
    { deadlineMs, signal }: AttemptOptions,
  ): Promise<Buffer> {
    const { path, requestSerialize } = methodDefinition(method);
    const request = create(method.input, fields) as MessageShape<M['input']>;
    const client = this.opened(method);
    if (signal?.aborted === true) throw rpcFailure(this.service, method, 'CANCELLED', 'aborted before it started');
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + deadlineMs;
      const call = client.makeUnaryRequest(
        path,
        requestSerialize,
        asIs,
        request,
        this.connection.metadata,
        { deadline },
        (error, answer) => {
          this.active.delete(call);
          signal?.removeEventListener('abort', cancel);
          this.connection.ended(client, error?.code);
          if (error === null && answer !== undefined) resolve(answer);
          else reject(rpcFailure(this.service, method, status[error?.code ?? status.UNKNOWN], error?.details, error));
        },
      );
      const cancel = () => call.cancel();
      this.active.add(call);
      signal?.addEventListener('abort', cancel);
    });
  }

  private decode<M extends DescMethod, T>(
    method: M,
    bytes: Buffer,
    read?: (answer: MessageShape<M['output']>) => T,
  ): T {
    try {
      const answer = fromBinary(method.output, bytes) as MessageShape<M['output']>;
      return read === undefined ? (answer as T) : read(answer);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : undefined;
      throw rpcFailure(this.service, method, 'DATA_LOSS', why, cause);
    }
  }

  private opened(method: DescMethod): Client {
    const { client } = this.connection;
    if (client !== undefined) return client;
    throw rpcFailure(this.service, method, 'CANCELLED', 'the client is not started, or is stopped');
  }

  private count(method: DescMethod, code: string): void {
    this.calls.add(1, { service: this.service, method: method.name, code });
  }
}

interface HealthAnswer {
  readonly ok: boolean;
  readonly details: string;
}

const asIs = (bytes: Buffer) => bytes;
