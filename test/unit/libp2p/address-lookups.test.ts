// Which authors are looked up, at which neighbours, and how often.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  AddressLookups,
  LOOKUP_INTERVAL_MS,
  RETRY_MS,
} from '../../../src/adapters/libp2p/discovery/address-lookups.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const id = (text: string) => text as PeerId;
const AUTHOR = id('author');
const NEIGHBOURS = ['a', 'b', 'c', 'd', 'e', 'f'].map(id);
let lookups: AddressLookups | undefined;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  lookups?.stop();
  vi.useRealTimers();
});

function setUp(answer: (neighbour: PeerId) => Promise<readonly string[]>, isWanted = (_id: PeerId) => true) {
  const asked: { neighbour: PeerId; wanted: PeerId }[] = [];
  const found: PeerId[] = [];
  const metrics = new RecordedMetrics();
  lookups = new AddressLookups({
    log: recordingLogger(),
    metrics,
    nowMs: () => Date.now(),
    random: Math.random,
    isWanted,
    neighbours: () => NEIGHBOURS,
    ask: (neighbour, wanted) => {
      asked.push({ neighbour, wanted });
      return answer(neighbour);
    },
    found: (peerId) => found.push(peerId),
  });
  lookups.start();
  return { lookups, asked, found, metrics };
}

const round = () => vi.advanceTimersByTimeAsync(LOOKUP_INTERVAL_MS);

test('the neighbour that handed over the message is asked first, and nobody after an answer with addresses', async () => {
  const { lookups, asked, found } = setUp(async () => ['/ip4/1.2.3.4/tcp/1']);
  lookups.heard(AUTHOR, id('e'));
  await round();
  expect(asked).toEqual([{ neighbour: 'e', wanted: AUTHOR }]);
  expect(found).toEqual([AUTHOR]);
});

test('without an answer three more are asked, and the author again after five minutes', async () => {
  const { lookups, asked, found, metrics } = setUp(async (neighbour) => {
    if (neighbour === 'a') throw new Error('reset');
    return [];
  });
  lookups.heard(AUTHOR, id('a'));
  await round();
  expect(asked).toHaveLength(4);
  expect(new Set(asked.map(({ neighbour }) => neighbour)).size).toBe(4);
  await vi.advanceTimersByTimeAsync(RETRY_MS - LOOKUP_INTERVAL_MS);
  expect(asked).toHaveLength(4);
  await round();
  expect(asked).toHaveLength(8);
  expect(found).toEqual([]);
  expect(metrics.count('teranode_p2p_address_lookups_total', { outcome: 'unknown' })).toBe(2);
});

test('an author that is connected, or has no place, is not looked up', async () => {
  const { lookups, asked } = setUp(
    async () => [],
    (peerId) => peerId !== AUTHOR,
  );
  lookups.heard(AUTHOR, id('a'));
  await round();
  expect(asked).toEqual([]);
});

test('an author is not asked for at its own connection', async () => {
  const { lookups, asked } = setUp(async () => []);
  lookups.heard(id('a'), id('a'));
  await round();
  expect(asked.map(({ neighbour }) => neighbour)).not.toContain('a');
});

test('lookups that hang are limited, and end neither the rounds nor the memory', async () => {
  const { lookups, asked, metrics } = setUp(() => new Promise(() => {}));
  for (let i = 0; i < 5000; i += 1) lookups.heard(id(`author ${i}`), id('a'));
  expect(metrics.gaugeValue('teranode_p2p_heard_authors')).toBe(1000);
  for (let i = 0; i < 4; i += 1) await round();
  expect(asked).toHaveLength(32);
  expect(metrics.gaugeValue('teranode_p2p_address_lookups_running')).toBe(32);
  expect(asked[0]?.wanted).toBe('author 4999');
});
