// Finds where two chains part, by walking back from their tips.
import type { ChainPoint } from '../domain/chain-event.ts';
import type { BlockHash } from '../domain/ids.ts';
import { parseHeader } from '../wire/header.ts';

/** A header with its parent. */
export interface LinkedPoint extends ChainPoint {
  readonly previousHash: BlockHash;
}

/** undefined for a record without a header. */
export function linkedPoint(record: ChainPoint & { readonly header: Uint8Array }): LinkedPoint | undefined {
  const previousHash = parseHeader(record.header)?.previousHash;
  return previousHash && { hash: record.hash, height: record.height, previousHash };
}

/** undefined: not found, because a header is missing or the bound was reached. */
type Walk = Generator<BlockHash, ChainPoint | undefined, LinkedPoint | undefined>;

/**
 * The last header that both chains have; undefined when a header on the way is not found or more than `maxSteps` would
 * be looked up. A tip that is an ancestor of the other is itself the fork.
 */
export function findFork(
  tips: readonly [LinkedPoint, LinkedPoint],
  lookUp: (hash: BlockHash) => LinkedPoint | undefined,
  maxSteps: number,
): ChainPoint | undefined {
  const walk = walkBack(tips, maxSteps);
  let step = walk.next();
  while (step.done !== true) step = walk.next(lookUp(step.value));
  return step.value;
}

/** As `findFork`, where a look-up takes time. Throws what the look-up throws. */
export async function findForkByCalls(
  tips: readonly [LinkedPoint, LinkedPoint],
  lookUp: (hash: BlockHash) => Promise<LinkedPoint | undefined>,
  maxSteps: number,
): Promise<ChainPoint | undefined> {
  const walk = walkBack(tips, maxSteps);
  let step = walk.next();
  while (step.done !== true) step = walk.next(await lookUp(step.value));
  return step.value;
}

function* walkBack([first, second]: readonly [LinkedPoint, LinkedPoint], maxSteps: number): Walk {
  let [higher, lower] = first.height >= second.height ? [first, second] : [second, first];
  for (let steps = 0; higher.hash !== lower.hash; steps += 1) {
    if (steps === maxSteps) return undefined;
    const parent: LinkedPoint | undefined = yield higher.previousHash;
    // Heights that do not fall by one would let the walk go on for ever.
    if (parent === undefined || parent.height !== higher.height - 1) return undefined;
    [higher, lower] = parent.height >= lower.height ? [parent, lower] : [lower, parent];
  }
  return { hash: higher.hash, height: higher.height };
}
