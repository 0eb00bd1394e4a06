// IDs and sampling of traces, from the hash alone: nodes that know nothing of each other put their spans of a block into
// one trace. Both use the internal byte order, because the displayed order begins with zeros for blocks.
import type { Hash } from '../../domain/ids.ts';
import type { TracedKind } from '../../ports/traces.ts';
import { hashToBytes } from '../../wire/hash.ts';

const TRACE_ID_BYTES = 16;
const NO_TRACE = '0'.repeat(2 * TRACE_ID_BYTES);

/** The first 16 bytes of the hash in internal order, in hex; undefined if all are 0, which no trace ID may be. */
export function traceIdOf(hash: Hash): string | undefined {
  const id = Buffer.from(hashToBytes(hash).subarray(0, TRACE_ID_BYTES)).toString('hex');
  return id === NO_TRACE ? undefined : id;
}

/** Every block; of subtrees those whose bytes 16 to 19, as a big-endian fraction of 2^32, are below the rate. */
export function isSampled(kind: TracedKind, hash: Hash, rate: number): boolean {
  if (kind === 'block' || rate >= 1) return true;
  return Buffer.from(hashToBytes(hash)).readUInt32BE(TRACE_ID_BYTES) < rate * 2 ** 32;
}
