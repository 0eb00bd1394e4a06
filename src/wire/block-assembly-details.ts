// The part of a node status that comes from block assembly: the fields of its StateMessage in camelCase, zero ones left out by Go.
import { type Decoded, failed } from './fault.ts';
import { FieldReader, goObject, type JsonField, type RawJson } from './json.ts';

export interface BlockAssemblyDetails {
  readonly blockAssemblyState: string;
  readonly subtreeProcessorState: string;
  readonly resetWaitCount: number;
  readonly resetWaitTime: number;
  readonly subtreeCount: number;
  /** uint64. */
  readonly txCount: bigint;
  /** int64. */
  readonly queueCount: bigint;
  readonly currentHeight: number;
  readonly currentHash: string;
  readonly removeMapCount: number;
  readonly subtrees: readonly string[];
}

const MAX_SUBTREES = 10_000;
const MAX_HASH_CHARS = 64;

/** All zero, which Go writes as `{}`: nothing is known. */
export const UNKNOWN_BLOCK_ASSEMBLY: BlockAssemblyDetails = {
  blockAssemblyState: '',
  subtreeProcessorState: '',
  resetWaitCount: 0,
  resetWaitTime: 0,
  subtreeCount: 0,
  txCount: 0n,
  queueCount: 0n,
  currentHeight: 0,
  currentHash: '',
  removeMapCount: 0,
  subtrees: [],
};

/** undefined (absent or null) is unknown. */
export function readBlockAssembly(value: unknown): Decoded<BlockAssemblyDetails> {
  if (value === undefined) return { ok: true, message: UNKNOWN_BLOCK_ASSEMBLY };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return failed('wrong_type', 'block_assembly_details');
  const read = FieldReader.ofObject(value);
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    blockAssemblyState: fields.text('blockAssemblyState'),
    subtreeProcessorState: fields.text('subtreeProcessorState'),
    resetWaitCount: fields.uint32('resetWaitCount'),
    resetWaitTime: fields.uint32('resetWaitTime'),
    subtreeCount: fields.uint32('subtreeCount'),
    txCount: fields.uint64('txCount'),
    queueCount: fields.int64('queueCount'),
    currentHeight: fields.uint32('currentHeight'),
    currentHash: fields.text('currentHash', MAX_HASH_CHARS),
    removeMapCount: fields.uint32('removeMapCount'),
    subtrees: subtreesOf(fields),
  });
}

function subtreesOf(fields: FieldReader): readonly string[] {
  const value = fields.raw('subtrees');
  if (value === undefined) return [];
  const ok =
    Array.isArray(value) &&
    value.length <= MAX_SUBTREES &&
    value.every((each) => typeof each === 'string' && each.length <= MAX_HASH_CHARS);
  if (ok) return value as string[];
  fields.fail('wrong_type', 'subtrees');
  return [];
}

export function writeBlockAssembly(details: BlockAssemblyDetails): RawJson {
  const fields: JsonField[] = [];
  for (const [name, value] of Object.entries(details)) {
    if (Array.isArray(value)) {
      if (value.length > 0) fields.push([name, { json: JSON.stringify(value) }]);
    } else if (value) fields.push([name, value]);
  }
  return { json: goObject(fields) };
}
