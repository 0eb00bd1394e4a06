// What every call passes before its request is read: admin key, deadline, flood limit, count. An interceptor, so that it holds for health and
// reflection too. grpc-js ends some calls itself (deadline of the client, message too large), past all interceptors; hence the wrap.
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { Metrics } from '../../ports/metrics.ts';

/** Metadata that carries the admin key, as the Go service reads it. */
export const KEY_HEADER = 'x-api-key';
/** Requests that one reflection stream may send; grpcurl sends tens. Their answers wait in memory until they are read. */
const MAX_STREAM_REQUESTS = 1000;
/** Of a status text; headers are small. */
const MAX_DETAILS_CHARS = 1024;

export interface CallGuardOptions {
  readonly adminKey: string;
  /** Paths of the methods that need it. */
  readonly adminPaths: ReadonlySet<string>;
  /** Bound of a unary call, from its first byte to its answer; the caller's own deadline may be shorter. */
  readonly deadlineMs: number;
}

type Refusal = (code: status, details: string) => void;

/** The interceptor. Labels are closed sets: paths that are registered, codes of gRPC. */
export function callGuard(deps: { readonly metrics: Metrics }, options: CallGuardOptions): ServerInterceptor {
  const requests = deps.metrics.counter('teranode_p2p_grpc_requests_total', 'gRPC calls by method and status', [
    'method',
    'code',
  ]);
  const wanted = sha256(options.adminKey);
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
            const objection = options.adminPaths.has(method.path) ? keyObjection(metadata, wanted) : undefined;
            if (objection !== undefined) return refuse(status.UNAUTHENTICATED, objection);
            if (isUnary) timer = setTimeout(() => refuse(...lateAnswer(options.deadlineMs)), options.deadlineMs);
            pass(metadata);
          },
          onReceiveMessage: (message, pass) => {
            streamed += 1;
            if (streamed > MAX_STREAM_REQUESTS) {
              return refuse(status.RESOURCE_EXHAUSTED, `at most ${MAX_STREAM_REQUESTS} requests on one stream`);
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

function lateAnswer(deadlineMs: number): [status, string] {
  return [status.DEADLINE_EXCEEDED, `no answer within ${deadlineMs} ms; whether it was done is not known`];
}

/** What is wrong with the admin key that came; undefined when it is right. Takes the same time for every wrong one. */
function keyObjection(metadata: Metadata, wanted: Buffer): string | undefined {
  const [given, ...more] = metadata.get(KEY_HEADER);
  if (given === undefined) {
    return `this call needs the admin key: send the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key, as metadata ${KEY_HEADER}`;
  }
  const isRight = timingSafeEqual(sha256(String(given)), wanted) && more.length === 0;
  return isRight
    ? undefined
    : `the admin key in metadata ${KEY_HEADER} is wrong: it must be the server's grpc_admin_api_key, or the text of its <dataFolder>/admin.key`;
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
