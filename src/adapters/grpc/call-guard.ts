// Checks every call before its request is read: admin key, deadline, limits; and counts it. An interceptor also covers
// health and reflection. grpc-js ends some calls past all interceptors (client deadline, message too large), and hands
// over no sizes; therefore `sendStatus` and `sendMessage` are wrapped.
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { Metrics } from '../../ports/metrics.ts';
import { KEY_HEADER } from '../../settings/admin-key.ts';
import type { AdminKeys, KeyCheck } from '../listeners/admin-keys.ts';
import { addressGroup } from '../listeners/client-address.ts';
import type { ConnectionShares } from '../listeners/connection-shares.ts';
import type { CallLimits, UnreadAnswers } from './call-limits.ts';

/** Of one reflection stream; grpcurl sends tens. */
const MAX_STREAM_REQUESTS = 200;
const MAX_STREAM_BYTES = 2 * 1024 * 1024;
/** Of a status text, which travels in a header. */
const MAX_DETAILS_CHARS = 1024;
/** Answered however many other calls an address makes, as health checks over HTTP. */
const HEALTH = '/grpc.health.v1.Health/';
const CHECK = `${HEALTH}Check`;

export interface CallGuardDependencies {
  readonly metrics: Metrics;
  readonly keys: AdminKeys;
  readonly limits: CallLimits;
  readonly shares: Pick<ConnectionShares, 'begin' | 'isRestricted'>;
}

export interface CallGuardOptions {
  /** Paths of the methods that need the admin key. */
  readonly adminPaths: ReadonlySet<string>;
  /** Deadline of a unary call; the caller's own may be shorter. */
  readonly deadlineMs: number;
  /** Deadline of a stream of requests. */
  readonly streamDeadlineMs: number;
}

type Refusal = readonly [code: status, details: string];

const TOO_MANY_REQUESTS: Refusal = [
  status.RESOURCE_EXHAUSTED,
  'too many requests from this address (see the setting p2p_grpc_rate); try again later, or send the admin key',
];

const TOO_MANY_CONNECTIONS: Refusal = [
  status.RESOURCE_EXHAUSTED,
  'too many connections; try again later, or send the admin key',
];

/** The address of a peer as grpc-js names it: `address:port`, without brackets. */
export function addressOf(peer: string): string {
  return addressGroup(peer.slice(0, peer.lastIndexOf(':')));
}

/** The admin key of a call; several are one wrong key. */
export function givenKey(metadata: Metadata): string | undefined {
  const given = metadata.get(KEY_HEADER).map(String);
  return given.length === 0 ? undefined : given.join(', ');
}

/** The interceptor. Metric labels are closed sets: registered paths and gRPC codes. */
export function callGuard(deps: CallGuardDependencies, options: CallGuardOptions): ServerInterceptor {
  const { keys, limits, metrics, shares } = deps;
  const requests = metrics.counter('teranode_p2p_grpc_requests_total', 'gRPC calls by method and status', [
    'method',
    'code',
  ]);
  return (method, call) => {
    const peer = call.getPeer();
    const address = addressOf(peer);
    const isStream = method.requestStream || method.responseStream;
    const isLimited = !method.path.startsWith(HEALTH);
    let isTrusted = false;
    let received = 0;
    let streamedBytes = 0;
    let timer: NodeJS.Timeout | undefined;
    const answers = limits.answersOf(peer, () => isTrusted);
    const count = once((code: status) => requests.add(1, { method: method.path.slice(1), code: status[code] }));
    const refuse = ([code, details]: Refusal) => call.sendStatus({ code, details });
    countStatus(call, count);
    countAnswers(call, answers, (message) => {
      // Unary answers are bytes by now, and were charged when they were made.
      const bytes = isStream ? method.responseSerialize(message).length : (message as Buffer).length;
      if (!isStream) return bytes;
      streamedBytes += bytes;
      if (!isTrusted) limits.charge(address, { bytes, ms: 0 });
      return bytes;
    });
    return new ServerInterceptingCall(call, {
      start: (next) => {
        let connection: { ended(): void } | undefined;
        next({
          onReceiveMetadata: (metadata, pass) => {
            const found = keys.check(givenKey(metadata), address, 'grpc');
            const isRestricted = shares.isRestricted(peer);
            // A health check is quick; one that waits for its message must not take a place of the reserve.
            if (found === 'right' || !isRestricted) connection = shares.begin(peer);
            const fault = options.adminPaths.has(method.path) ? keyFault(found) : undefined;
            if (fault !== undefined) return refuse(fault);
            isTrusted = found === 'right';
            if (!isTrusted && method.path !== CHECK && isRestricted) return refuse(TOO_MANY_CONNECTIONS);
            // Only Watch has none: it waits for changes.
            const deadlineMs = method.requestStream ? options.streamDeadlineMs : options.deadlineMs;
            if (!method.responseStream || method.requestStream)
              timer = setTimeout(() => refuse(timeout(deadlineMs)), deadlineMs);
            pass(metadata);
          },
          onReceiveMessage: (message, pass) => {
            received += 1;
            if (received > MAX_STREAM_REQUESTS) return refuse(tooMuch('requests', MAX_STREAM_REQUESTS));
            if (streamedBytes > MAX_STREAM_BYTES) return refuse(tooMuch('bytes of answers', MAX_STREAM_BYTES));
            if (isLimited && !isTrusted && !limits.take(address)) return refuse(TOO_MANY_REQUESTS);
            pass(message);
          },
          onCancel: () => {
            clearTimeout(timer);
            answers.end();
            connection?.ended();
            connection = undefined;
            count(status.CANCELLED);
          },
        });
      },
    });
  };
}

function countStatus(call: ServerInterceptingCallInterface, count: (code: status) => void): void {
  const send = call.sendStatus.bind(call);
  call.sendStatus = (sent) => {
    count(sent.code ?? status.UNKNOWN);
    send({ ...sent, details: (sent.details ?? '').slice(0, MAX_DETAILS_CHARS).toWellFormed() });
  };
}

/** `sizeOf`: bytes of an answer that is about to be sent. */
function countAnswers(
  call: ServerInterceptingCallInterface,
  answers: UnreadAnswers,
  sizeOf: (message: unknown) => number,
): void {
  const send = call.sendMessage.bind(call);
  call.sendMessage = (message, sent) => {
    const bytes = sizeOf(message);
    if (!answers.add(bytes)) return;
    send(message, () => {
      answers.sent(bytes);
      sent();
    });
  };
}

function timeout(deadlineMs: number): Refusal {
  return [status.DEADLINE_EXCEEDED, `no answer within ${deadlineMs} ms; the operation may have been carried out`];
}

function tooMuch(what: string, limit: number): Refusal {
  return [status.RESOURCE_EXHAUSTED, `too many ${what} on one stream (at most ${limit})`];
}

/** Why a call that needs the admin key is refused; undefined when it has the key. */
function keyFault(found: KeyCheck): Refusal | undefined {
  if (found === 'right') return undefined;
  if (found === 'missing') {
    return [
      status.UNAUTHENTICATED,
      `missing admin key: send the server's grpc_admin_api_key, or the content of <dataFolder>/admin.key, as metadata ${KEY_HEADER}`,
    ];
  }
  if (found === 'wrong') {
    return [
      status.UNAUTHENTICATED,
      `invalid admin key in metadata ${KEY_HEADER} (expected the server's grpc_admin_api_key, or the content of <dataFolder>/admin.key)`,
    ];
  }
  return [
    status.RESOURCE_EXHAUSTED,
    `too many wrong admin keys from this address; try another in ${found.blockedS} s (the right one is taken at any time)`,
  ];
}

function once<T>(action: (value: T) => void): (value: T) => void {
  let isDone = false;
  return (value) => {
    if (isDone) return;
    isDone = true;
    action(value);
  };
}
