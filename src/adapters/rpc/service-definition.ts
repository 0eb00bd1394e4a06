// Converts protobuf-es descriptors to grpc-js service definitions, for server and client. Messages are bounded on both
// sides.
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

/** Bound of a request; the largest has a text of a few hundred bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;
/** Bound of a response: twice 100,000 bans of 300 bytes. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Stands for a request that does not decode. grpc-js would answer INTERNAL, although the fault is the caller's. */
export const MALFORMED: unique symbol = Symbol('malformed request');

type RequestOf<M extends DescMethod> = MessageShape<M['input']>;
type ResponseOf<M extends DescMethod> = MessageShape<M['output']>;
/** The fields that a handler returns for a response. */
export type ResponseInitOf<M extends DescMethod> = MessageInitShape<M['output']>;

/** A method with its codec. Requests that do not decode become MALFORMED; a response that does not decode throws. */
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

/** All methods of a service, by name as in the .proto file. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.name, methodDefinition(method)]));
}

/** The encoded response from the fields that a handler returned. */
export function responseBytes<M extends DescMethod>(method: M, fields: ResponseInitOf<M>): Buffer {
  return bytesOf(toBinary(method.output, create(method.output, fields)));
}

/** The same memory as a Buffer, which grpc-js needs. */
function bytesOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
