// The part of a node status that comes from block assembly: the fields of its StateMessage in camelCase. Go omits zero
// values.
import type { BlockAssemblyDetails } from '../domain/node-status.ts';
import type { Decoded } from './fault.ts';
import { parseHash } from './hash.ts';
import { type FieldReader, goObject, goString, type JsonField, type RawJson } from './json.ts';

const MAX_SUBTREES = 10_000;

/** Unknown details: all values are zero, which Go writes as `{}`. */
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

/** undefined (absent or null) means unknown. */
export function readBlockAssembly(fields: FieldReader | undefined): Decoded<BlockAssemblyDetails> {
  if (fields === undefined) return { ok: true, message: UNKNOWN_BLOCK_ASSEMBLY };
  return fields.finish({
    blockAssemblyState: fields.text('blockAssemblyState'),
    subtreeProcessorState: fields.text('subtreeProcessorState'),
    resetWaitCount: fields.uint32('resetWaitCount'),
    resetWaitTime: fields.uint32('resetWaitTime'),
    subtreeCount: fields.uint32('subtreeCount'),
    txCount: fields.uint64('txCount'),
    queueCount: fields.int64('queueCount'),
    currentHeight: fields.uint32('currentHeight'),
    currentHash: fields.optionalHash('currentHash') ?? '',
    removeMapCount: fields.uint32('removeMapCount'),
    subtrees: subtreesOf(fields),
  });
}

function subtreesOf(fields: FieldReader): readonly string[] {
  const value = fields.raw('subtrees');
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_SUBTREES || !value.every((each) => typeof each === 'string')) {
    fields.fail('wrong_type', 'subtrees');
    return [];
  }
  const hashes = value.flatMap((each) => parseHash(each) ?? []);
  if (hashes.length < value.length) fields.fail('hash_form', 'subtrees');
  return hashes;
}

/** Writes the fields in the order of the StateMessage, without zero values. */
export function writeBlockAssembly(details: BlockAssemblyDetails): RawJson {
  const fields: JsonField[] = [
    ['blockAssemblyState', details.blockAssemblyState],
    ['subtreeProcessorState', details.subtreeProcessorState],
    ['resetWaitCount', details.resetWaitCount],
    ['resetWaitTime', details.resetWaitTime],
    ['subtreeCount', details.subtreeCount],
    ['txCount', details.txCount],
    ['queueCount', details.queueCount],
    ['currentHeight', details.currentHeight],
    ['currentHash', details.currentHash],
    ['removeMapCount', details.removeMapCount],
  ];
  const written = fields.filter(([, value]) => Boolean(value));
  if (details.subtrees.length > 0)
    written.push(['subtrees', { json: `[${details.subtrees.map(goString).join(',')}]` }]);
  return { json: goObject(written) };
}
