import { describe, expect, test } from 'vitest';
import { chooseToTrim, type TrimCandidate } from '../../../src/adapters/libp2p/trimming.ts';
import type { PeerId } from '../../../src/wire/ids.ts';

const MARKS = { lowWater: 3, highWater: 5, graceMs: 60_000 };
const NOW_MS = 1_000_000;

function candidate(peerId: string, fields: Partial<TrimCandidate> = {}): TrimCandidate {
  return {
    peerId: peerId as PeerId,
    connectedAtMs: 0,
    isProtected: false,
    meshTopics: 0,
    direction: 'inbound',
    ...fields,
  };
}

describe('trimming', () => {
  const names = (count: number) => Array.from({ length: count }, (_each, i) => `p${i}`);

  test('nothing up to the high-water mark, down to the low-water mark above it', () => {
    expect(
      chooseToTrim(
        names(5).map((name) => candidate(name)),
        MARKS,
        NOW_MS,
      ),
    ).toEqual([]);
    expect(
      chooseToTrim(
        names(6).map((name) => candidate(name)),
        MARKS,
        NOW_MS,
      ),
    ).toHaveLength(3);
  });

  test('young and protected connections stay, even when that leaves too many', () => {
    const all = names(8).map((name, i) =>
      candidate(name, i < 4 ? { isProtected: true } : { connectedAtMs: NOW_MS - 1000 }),
    );
    expect(chooseToTrim(all, MARKS, NOW_MS)).toEqual([]);
  });

  test('the least useful go first: no mesh, inbound, young', () => {
    const all = [
      candidate('mesh', { meshTopics: 2 }),
      candidate('outbound', { direction: 'outbound' }),
      candidate('old'),
      candidate('younger', { connectedAtMs: 1000 }),
      candidate('static', { isProtected: true }),
      candidate('mesh and outbound', { meshTopics: 1, direction: 'outbound' }),
    ];
    expect(chooseToTrim(all, { ...MARKS, lowWater: 1 }, NOW_MS)).toEqual([
      'younger',
      'old',
      'outbound',
      'mesh and outbound',
      'mesh',
    ]);
  });
});
