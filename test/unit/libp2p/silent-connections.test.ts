// When a connection counts as dead: nothing came for some looks in a row.
import { expect, test } from 'vitest';
import { SILENT_LOOKS, SilentConnections } from '../../../src/adapters/libp2p/connections/silent-connections.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

type Watched = Parameters<SilentConnections['watch']>[0];

function connection() {
  const aborted: Error[] = [];
  const meter = { receivedBytes: 0 };
  const watched = { status: 'open', abort: (error: Error) => aborted.push(error), remotePeer: 'peer' };
  return { meter, aborted, watched: watched as unknown as Watched & { status: string } };
}

function setUp() {
  const metrics = new RecordedMetrics();
  const silent = new SilentConnections({ log: recordingLogger(), metrics });
  const look = (times: number) => {
    for (let i = 0; i < times; i += 1) silent.look();
  };
  return { silent, look, closed: () => metrics.count('teranode_p2p_connections_silent_total') };
}

test('a connection over which nothing comes is closed, once', () => {
  const { silent, look, closed } = setUp();
  const { watched, meter, aborted } = connection();
  silent.watch(watched, meter);
  look(SILENT_LOOKS - 1);
  expect(aborted).toEqual([]);
  look(SILENT_LOOKS);
  expect(aborted).toHaveLength(1);
  expect(closed()).toBe(1);
});

test('a single byte now and then is enough, and each connection stands for itself', () => {
  const { silent, look } = setUp();
  const alive = connection();
  const dead = connection();
  silent.watch(alive.watched, alive.meter);
  silent.watch(dead.watched, dead.meter);
  for (let i = 0; i < 3; i += 1) {
    look(SILENT_LOOKS - 1);
    alive.meter.receivedBytes += 1;
  }
  expect(alive.aborted).toEqual([]);
  expect(dead.aborted).toHaveLength(1);
});

test('one that is closed already is left alone', () => {
  const { silent, look, closed } = setUp();
  const { watched, meter, aborted } = connection();
  silent.watch(watched, meter);
  watched.status = 'closed';
  look(SILENT_LOOKS + 1);
  expect(aborted).toEqual([]);
  expect(closed()).toBe(0);
});
