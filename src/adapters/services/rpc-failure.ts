// The one error of failed calls to the node's own services. The name of its gRPC status says what happened; nothing
// depends on its text.
import type { DescMethod } from '@bufbuild/protobuf';
import { P2PError } from '../../lib/errors.ts';
import { shownText } from '../../lib/shown-text.ts';

export type ServiceName = 'blockchain' | 'blockvalidation' | 'blockassembly';

/** The health details of a service may be a page of JSON. */
const MAX_ANSWER_CHARS = 500;

/** RPC_FAILED with `details` service, method and grpcCode. This client uses DATA_LOSS for invalid answers. */
export function rpcFailure(
  service: ServiceName,
  method: DescMethod,
  grpcCode: string | undefined,
  answer?: string,
  cause?: unknown,
): P2PError {
  const code = grpcCode ?? 'UNKNOWN';
  const text = oneLine((answer ?? '').replace(/\.? Resolution note: $/, ''));
  return new P2PError('RPC_FAILED', `${method.name} of ${service} failed with ${code}${text && `: ${text}`}`, {
    details: { service, method: method.name, grpcCode: code },
    cause,
  });
}

/** Name of the gRPC status; undefined for any error but a failed call. */
export function grpcCodeOf(error: unknown): string | undefined {
  if (!(error instanceof P2PError) || error.code !== 'RPC_FAILED') return undefined;
  return typeof error.details.grpcCode === 'string' ? error.details.grpcCode : undefined;
}

/** Text of another service for one line of a log or health report: cut, without characters that are not shown. */
export function oneLine(text: string): string {
  return shownText(text.slice(0, MAX_ANSWER_CHARS).replaceAll(/[\s\p{Cc}]+/gu, ' ')).trim();
}
