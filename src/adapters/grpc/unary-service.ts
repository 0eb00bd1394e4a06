// Converts typed handlers to a grpc-js implementation. Undecodable requests and errors become gRPC statuses here, and
// answers become bytes, so that their size is known before they are sent. A large answer to a request without fields is
// kept for a moment: a hundred callers that ask at once cost little more than one.
import { type DescMethod, type DescService, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  type Metadata,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ERROR_CODES, P2PError } from '../../lib/errors.ts';
import { shownText } from '../../lib/shown-text.ts';
import type { Logger } from '../../ports/log.ts';
import { MALFORMED, type ResponseInitOf, responseBytes, serviceDefinition } from '../rpc/service-definition.ts';

/** Who calls. */
export interface Caller {
  /** `address:port`. */
  readonly peer: string;
  /** Whether the call has the admin key. */
  readonly isTrusted: boolean;
}

export interface UnaryDependencies {
  readonly log: Logger;
  /** Whether metadata has the admin key. */
  readonly isTrusted: (metadata: Metadata) => boolean;
  /** Told what each answer cost. */
  readonly charge: (caller: Caller, cost: { readonly bytes: number; readonly ms: number }) => void;
}

/** Smaller answers are made anew each time. */
const REUSED_FROM_BYTES = 64 * 1024;
const REUSED_MS = 1000;
/** Without the admin key: room for the keys of 100,000 bans, the default limit, and for a full registry of peers. */
const MAX_KEYLESS_BYTES = 8 * 1024 * 1024;

/** A handler for each method of a service with unary methods only. */
export type UnaryHandlers<S extends Pick<DescService, 'method'>> = {
  readonly [K in keyof S['method']]: (
    request: MessageShape<S['method'][K]['input']>,
    caller: Caller,
  ) => ResponseInitOf<S['method'][K]> | Promise<ResponseInitOf<S['method'][K]>>;
};

type Answer = ResponseInitOf<DescMethod>;
type AnyHandler = (request: unknown, caller: Caller) => Answer | Promise<Answer>;

/** Definition and implementation for `Server.addService`. */
export function unaryService<S extends DescService>(
  service: S,
  handlers: UnaryHandlers<S>,
  deps: UnaryDependencies,
): [ServiceDefinition, UntypedServiceImplementation] {
  const byName = handlers as Readonly<Record<string, AnyHandler>>;
  const implementation: UntypedServiceImplementation = {};
  for (const method of service.methods) {
    const handler = byName[method.localName];
    if (handler === undefined) continue;
    const answer = answering(method, handler, deps);
    implementation[method.name] = (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
      const caller = { peer: call.getPeer(), isTrusted: deps.isTrusted(call.metadata) };
      answer(call.request, caller).then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(error, method, deps.log)),
      );
    };
  }
  return [definitionOf(service), implementation];
}

/** Answers are bytes already. */
function definitionOf(service: DescService): ServiceDefinition {
  const methods = Object.entries(serviceDefinition(service));
  return Object.fromEntries(
    methods.map(([name, method]) => [name, { ...method, responseSerialize: (bytes: Buffer) => bytes }]),
  );
}

/**
 * Nothing is awaited before a synchronous handler's answer is made and charged: calls that come together are not free.
 */
function answering(method: DescMethod, handler: AnyHandler, { charge }: UnaryDependencies) {
  let kept: Buffer | undefined;
  const make = async (request: unknown, caller: Caller): Promise<Buffer> => {
    const startMs = performance.now();
    const made = handler(request, caller);
    if (made instanceof Promise) return responseBytes(method, await made);
    const bytes = responseBytes(method, made);
    charge(caller, { bytes: bytes.length, ms: performance.now() - startMs });
    if (bytes.length >= REUSED_FROM_BYTES && !caller.isTrusted && hasNoFields(method, request)) {
      kept = bytes;
      setTimeout(() => {
        kept = undefined;
      }, REUSED_MS).unref();
    }
    return bytes;
  };
  const reuse = (request: unknown, caller: Caller): Buffer | undefined => {
    if (kept === undefined || caller.isTrusted || !hasNoFields(method, request)) return undefined;
    charge(caller, { bytes: kept.length, ms: 0 });
    return kept;
  };
  return async (request: unknown, caller: Caller): Promise<Buffer> => {
    if (request === MALFORMED) throw new P2PError('INPUT_INVALID', `invalid bytes (expected ${method.input.typeName})`);
    const bytes = reuse(request, caller) ?? (await make(request, caller));
    if (bytes.length <= MAX_KEYLESS_BYTES || caller.isTrusted) return bytes;
    throw new P2PError(
      'ANSWER_TOO_LARGE',
      `the answer has ${bytes.length} bytes (limit without the admin key: ${MAX_KEYLESS_BYTES})`,
    );
  };
}

function hasNoFields(method: DescMethod, request: unknown): boolean {
  return toBinary(method.input, request as MessageShape<DescMethod['input']>).length === 0;
}

/** A caller sees the text of an error, unless the error is a fault of this server: then only the log has it. */
function statusOf(error: unknown, method: DescMethod, log: Logger): { code: status; details: string } {
  const code = status[error instanceof P2PError ? ERROR_CODES[error.code].grpc : 'INTERNAL'];
  if (code === status.INTERNAL) {
    log.error({ method: method.name, err: error }, 'gRPC call failed');
    return { code: status.INTERNAL, details: `${method.name} failed; see the server's log` };
  }
  const isCallers = code === status.INVALID_ARGUMENT || code === status.RESOURCE_EXHAUSTED;
  if (!isCallers) log.warn({ method: method.name, err: error }, 'could not answer gRPC call');
  return { code, details: shownText((error as P2PError).message) };
}
