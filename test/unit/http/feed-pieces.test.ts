// What a client of the feed gets at a time, and what is kept of it for other clients.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { FeedPieces } from '../../../src/adapters/http/events/event-reading.ts';
import { NOTIFICATION_TYPES } from '../../../src/domain/notification.ts';
import { EventLog } from '../../../src/watch/event-log.ts';
import { FakeNotifications } from '../../fakes/notifications.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';
import { subtree } from '../../support/http.ts';
import { waitFor } from '../../support/wait.ts';

const KIB = 1024;

function setUp({ bytesPerEvent = 300, maxEvents = 20_000 } = {}) {
  const stream = new FakeNotifications();
  const log = new EventLog({ stream, metrics: new RecordedMetrics(), epoch: 'e' }, { maxEvents, maxBytes: 2 ** 24 });
  let made = 0;
  const pieces = new FeedPieces(log, {
    event: (id) => {
      made += 1;
      return Buffer.from(`${id} `.padEnd(bytesPerEvent, '.'));
    },
    lost: (id, { count }) => Buffer.from(`lost ${count} at ${id} `),
  });
  const publish = (count: number) => {
    for (let i = 0; i < count; i += 1) stream.publish(subtree(i));
  };
  /** From the first event on. */
  const client = () => pieces.from({ reader: log.reader(new Set(NOTIFICATION_TYPES), 0), lost: undefined });
  const readAll = (next: ReturnType<typeof client>) => {
    const all = [];
    for (let piece = next(); piece !== undefined; piece = next()) all.push(piece);
    return all;
  };
  return { publish, client, readAll, made: () => made };
}

const ids = (count: number, from = 1) => Array.from({ length: count }, (_each, i) => `e-${i + from}`);
const idsIn = (pieces: readonly { readonly bytes: Buffer }[]) =>
  Buffer.concat(pieces.map(({ bytes }) => bytes))
    .toString()
    .match(/e-\d+/g);

test('large events come in pieces that a connection takes, each once and in order', () => {
  const { publish, client, readAll } = setUp({ bytesPerEvent: 100 * KIB });
  publish(100);
  const pieces = readAll(client());
  expect(Math.max(...pieces.map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(1000 * KIB);
  expect(idsIn(pieces)).toEqual(ids(100));
  expect(pieces.reduce((sum, { items }) => sum + items, 0)).toBe(100);
});

test('a gap is told once, before the events that follow it', () => {
  const { publish, client, readAll } = setUp({ maxEvents: 50 });
  publish(10);
  const next = client();
  expect(idsIn(readAll(next))).toEqual(ids(10));
  publish(100);
  const pieces = readAll(next);
  expect(pieces[0]?.bytes.toString()).toMatch(/^lost 50 at e-10 e-61 /);
  expect(pieces.map(({ lost }) => lost).reduce((a, b) => a + b)).toBe(50);
  expect(idsIn(pieces)).toEqual(['e-10', ...ids(50, 61)]);
});

test('the bytes of events are made once for all clients, unless they are so large that keeping them costs more', () => {
  const small = setUp();
  small.publish(500);
  for (let i = 0; i < 2; i += 1) small.readAll(small.client());
  expect(small.made()).toBe(500);
  const large = setUp({ bytesPerEvent: 100 * KIB });
  large.publish(500);
  for (let i = 0; i < 2; i += 1) large.readAll(large.client());
  // Not more than a MiB of them is kept.
  expect(large.made()).toBe(1000);
});

test('what is kept for other clients takes its own bytes, and not those of the pool that it was made in', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { publish, client } = setUp();
  const next = client();
  const heldBytes = () => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const before = heldBytes();
  for (let i = 0; i < 300; i += 1) {
    publish(1);
    next();
    // The pool goes on to its next 64 KiB.
    for (let filled = 0; filled < Buffer.poolSize; filled += 1024) Buffer.from('.'.repeat(1024));
  }
  // Node frees what V8 gave up some time later.
  const isFreed = () => heldBytes() - before < 300 * KIB * 8;
  await waitFor(isFreed, { what: 'less than 8 KiB an event' });
  expect(next()).toBeUndefined();
});
