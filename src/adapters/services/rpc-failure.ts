// The one error that calls to the node's own services fail with; what happened is told by the name of a gRPC status, never by text.
import type { DescMethod } from '@bufbuild/protobuf';
import { P2PError } from '../../lib/errors.ts';

export type ServiceName = 'blockchain' | 'blockvalidation' | 'blockassembly';

/** What services say of themselves may be a page of JSON. */
const MAX_SAID_CHARS = 500;

/** RPC_FAILED with `details` service, method and grpcCode. DATA_LOSS is ours, for answers that cannot be right. */
export function rpcFailure(
  service: ServiceName,
  method: DescMethod,
  grpcCode: string | undefined,
  said?: string,
  cause?: unknown,
): P2PError {
  const code = grpcCode ?? 'UNKNOWN';
  const text = oneLine((said ?? '').replace(/\.? Resolution note: $/, ''));
  return new P2PError('RPC_FAILED', `${method.name} of ${service} failed with ${code}${text && `: ${text}`}`, {
    details: { service, method: method.name, grpcCode: code },
    cause,
  });
}

/** Name of the gRPC status; undefined for anything that is no failed call. */
export function grpcCodeOf(error: unknown): string | undefined {
  if (!(error instanceof P2PError) || error.code !== 'RPC_FAILED') return undefined;
  return typeof error.details.grpcCode === 'string' ? error.details.grpcCode : undefined;
}

/** What somebody else said, for a line of a log or of readiness: cut, and without control characters. */
export function oneLine(text: string): string {
  return text
    .slice(0, MAX_SAID_CHARS)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim();
}
