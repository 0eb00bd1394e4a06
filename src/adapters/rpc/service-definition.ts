// protobuf-es descriptors as grpc-js service definitions, for server and client alike. Messages are bounded on both sides.
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

/** What a request may have; the largest is a text of a few hundred bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;
/** What a response may have: 100,000 bans of 300 bytes, twice. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Stands for a request whose bytes are no message of its type; grpc-js would answer INTERNAL, which is not the caller's fault. */
export const MALFORMED: unique symbol = Symbol('malformed request');

type RequestOf<M extends DescMethod> = MessageShape<M['input']>;
type ResponseOf<M extends DescMethod> = MessageShape<M['output']>;
/** What a handler may return for a response. */
export type ResponseInitOf<M extends DescMethod> = MessageInitShape<M['output']>;

/** A method with its codec. Requests that do not decode come out as MALFORMED; a response that does not throws. */
export function methodDefinition<M extends DescMethod>(
  method: M,
): MethodDefinition<RequestOf<M> | typeof MALFORMED, ResponseOf<M>> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === 'client_streaming' || method.methodKind === 'bidi_streaming',
    responseStream: method.methodKind === 'server_streaming' || method.methodKind === 'bidi_streaming',
    requestSerialize: (message) => bytesOf(toBinary(method.input, message as RequestOf<M>)),
    requestDeserialize: (bytes) => {
      try {
        return fromBinary(method.input, bytes) as RequestOf<M>;
      } catch {
        return MALFORMED;
      }
    },
    responseSerialize: (message) => bytesOf(toBinary(method.output, message)),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes) as ResponseOf<M>,
  };
}

/** All methods of a service, by their names in the .proto file. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.name, methodDefinition(method)]));
}

/** A whole response from the fields that a handler gave. */
export function responseMessage<M extends DescMethod>(method: M, fields: ResponseInitOf<M>): ResponseOf<M> {
  return create(method.output, fields) as ResponseOf<M>;
}

/** The same memory as a Buffer, which grpc-js asks for. */
function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
