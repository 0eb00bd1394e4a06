// When a connection counts as silent: several checks in a row without a byte.
import { expect, test } from 'vitest';
import { MAX_SILENT_CHECKS, SilentConnections } from '../../../src/adapters/libp2p/connections/silent-connections.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

type Watched = Parameters<SilentConnections['watch']>[0];

function connection() {
  const aborted: Error[] = [];
  const meter = { receivedBytes: 0, isCounting: true };
  const watched = { status: 'open', abort: (error: Error) => aborted.push(error), remotePeer: 'peer' };
  return { meter, aborted, watched: watched as unknown as Watched & { status: string } };
}

function setUp() {
  const metrics = new RecordedMetrics();
  const silent = new SilentConnections({ log: recordingLogger(), metrics });
  const check = (times: number) => {
    for (let i = 0; i < times; i += 1) silent.check();
  };
  return { silent, check, closed: () => metrics.count('teranode_p2p_connections_silent_total') };
}

test('a connection over which nothing is received is closed, once', () => {
  const { silent, check, closed } = setUp();
  const { watched, meter, aborted } = connection();
  silent.watch(watched, meter);
  check(MAX_SILENT_CHECKS - 1);
  expect(aborted).toEqual([]);
  check(MAX_SILENT_CHECKS);
  expect(aborted).toHaveLength(1);
  expect(closed()).toBe(1);
});

test('a byte now and then keeps a connection open, and each connection is checked by itself', () => {
  const { silent, check } = setUp();
  const alive = connection();
  const dead = connection();
  silent.watch(alive.watched, alive.meter);
  silent.watch(dead.watched, dead.meter);
  for (let i = 0; i < 3; i += 1) {
    check(MAX_SILENT_CHECKS - 1);
    alive.meter.receivedBytes += 1;
  }
  expect(alive.aborted).toEqual([]);
  expect(dead.aborted).toHaveLength(1);
});

test('a connection that is closed already is left alone', () => {
  const { silent, check, closed } = setUp();
  const { watched, meter, aborted } = connection();
  silent.watch(watched, meter);
  watched.status = 'closed';
  check(MAX_SILENT_CHECKS + 1);
  expect(aborted).toEqual([]);
  expect(closed()).toBe(0);
});
