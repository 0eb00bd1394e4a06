// Converts typed handlers to a grpc-js implementation. Undecodable requests and errors become gRPC statuses here.
import type { DescMethod, DescService, MessageShape } from '@bufbuild/protobuf';
import {
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ERROR_CODES, P2PError } from '../../lib/errors.ts';
import type { Logger } from '../../ports/log.ts';
import { MALFORMED, type ResponseInitOf, responseMessage, serviceDefinition } from '../rpc/service-definition.ts';

/** A handler for each method of a service with unary methods only. */
export type UnaryHandlers<S extends Pick<DescService, 'method'>> = {
  readonly [K in keyof S['method']]: (
    request: MessageShape<S['method'][K]['input']>,
  ) => ResponseInitOf<S['method'][K]> | Promise<ResponseInitOf<S['method'][K]>>;
};

type AnyHandler = (request: unknown) => ResponseInitOf<DescMethod> | Promise<ResponseInitOf<DescMethod>>;

/** Definition and implementation for `Server.addService`. */
export function unaryService<S extends DescService>(
  service: S,
  handlers: UnaryHandlers<S>,
  log: Logger,
): [ServiceDefinition, UntypedServiceImplementation] {
  const byName = handlers as Readonly<Record<string, AnyHandler>>;
  const implementation: UntypedServiceImplementation = {};
  for (const method of service.methods) {
    const handler = byName[method.localName];
    if (handler === undefined) continue;
    implementation[method.name] = (call: ServerUnaryCall<unknown, unknown>, done: sendUnaryData<unknown>) => {
      answer(method, handler, call.request).then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(error, method, log)),
      );
    };
  }
  return [serviceDefinition(service), implementation];
}

async function answer(method: DescMethod, handler: AnyHandler, request: unknown): Promise<unknown> {
  if (request === MALFORMED) throw new P2PError('INPUT_INVALID', `invalid bytes (expected ${method.input.typeName})`);
  return responseMessage(method, await handler(request));
}

/** A caller sees the text of an error, unless the error is a fault of this server: then only the log has it. */
function statusOf(error: unknown, method: DescMethod, log: Logger): { code: status; details: string } {
  const code = status[error instanceof P2PError ? ERROR_CODES[error.code].grpc : 'INTERNAL'];
  if (code === status.INTERNAL) {
    log.error({ method: method.name, err: error }, 'gRPC call failed');
    return { code: status.INTERNAL, details: `${method.name} failed; see the server's log` };
  }
  if (code !== status.INVALID_ARGUMENT) log.warn({ method: method.name, err: error }, 'could not answer gRPC call');
  return { code, details: (error as P2PError).message };
}
