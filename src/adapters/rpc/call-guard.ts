// Checks every call before its request is read: admin key, deadline, flood limit; and counts it. An interceptor also
// covers health and reflection. grpc-js ends some calls past all interceptors (client deadline, message too large);
// therefore `sendStatus` is wrapped.
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { Metrics } from '../../ports/metrics.ts';

/** Metadata key of the admin key, as in the Go service. */
export const KEY_HEADER = 'x-api-key';
/**
 * Maximum number of requests on one reflection stream; grpcurl sends tens. Answers wait in memory until they are read.
 */
const MAX_STREAM_REQUESTS = 1000;
/** Of a status text, which travels in a header. */
const MAX_DETAILS_CHARS = 1024;

export interface CallGuardOptions {
  readonly adminKey: string;
  /** Paths of the methods that need the admin key. */
  readonly adminPaths: ReadonlySet<string>;
  /** Deadline of a unary call; the caller's own may be shorter. */
  readonly deadlineMs: number;
}

type Refusal = (code: status, details: string) => void;

/** The interceptor. Metric labels are closed sets: registered paths and gRPC codes. */
export function callGuard(deps: { readonly metrics: Metrics }, options: CallGuardOptions): ServerInterceptor {
  const requests = deps.metrics.counter('teranode_p2p_grpc_requests_total', 'gRPC calls by method and status', [
    'method',
    'code',
  ]);
  const expected = sha256(options.adminKey);
  return (method, call) => {
    const count = once((code: status) => requests.add(1, { method: method.path.slice(1), code: status[code] }));
    const send = call.sendStatus.bind(call);
    call.sendStatus = (sent) => {
      count(sent.code);
      send({ ...sent, details: sent.details.slice(0, MAX_DETAILS_CHARS).toWellFormed() });
    };
    const refuse: Refusal = (code, details) => call.sendStatus({ code, details });
    const isUnary = !method.requestStream && !method.responseStream;
    let timer: NodeJS.Timeout | undefined;
    let streamed = 0;
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const fault = options.adminPaths.has(method.path) ? keyFault(metadata, expected) : undefined;
            if (fault !== undefined) return refuse(status.UNAUTHENTICATED, fault);
            if (isUnary) timer = setTimeout(() => refuse(...timeout(options.deadlineMs)), options.deadlineMs);
            pass(metadata);
          },
          onReceiveMessage: (message, pass) => {
            streamed += 1;
            if (streamed > MAX_STREAM_REQUESTS) {
              return refuse(
                status.RESOURCE_EXHAUSTED,
                `too many requests on one stream (at most ${MAX_STREAM_REQUESTS})`,
              );
            }
            pass(message);
          },
          onCancel: () => {
            clearTimeout(timer);
            count(status.CANCELLED);
          },
        }),
    });
  };
}

function timeout(deadlineMs: number): [status, string] {
  return [status.DEADLINE_EXCEEDED, `no answer within ${deadlineMs} ms; the operation may have been carried out`];
}

/** What is wrong with the given admin key; undefined when it is valid. Takes the same time for every invalid key. */
function keyFault(metadata: Metadata, expected: Buffer): string | undefined {
  const [given, ...more] = metadata.get(KEY_HEADER);
  if (given === undefined) {
    return `missing admin key: send the server's grpc_admin_api_key, or the content of <dataFolder>/admin.key, as metadata ${KEY_HEADER}`;
  }
  const isValid = timingSafeEqual(sha256(String(given)), expected) && more.length === 0;
  return isValid
    ? undefined
    : `invalid admin key in metadata ${KEY_HEADER} (expected the server's grpc_admin_api_key, or the content of <dataFolder>/admin.key)`;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function once<T>(action: (value: T) => void): (value: T) => void {
  let isDone = false;
  return (value) => {
    if (isDone) return;
    isDone = true;
    action(value);
  };
}
