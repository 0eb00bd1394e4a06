import { expect, test } from 'vitest';
import { Departures } from '../../../src/adapters/libp2p/connections/departures.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { MAX_DEPARTURES } from '../../../src/ports/diagnosis.ts';

const ended = (atMs: number) =>
  ({ peerId: 'p' as PeerId, address: '/ip4/192.0.2.7/tcp/1', direction: 'outbound', atMs, livedMs: 5 }) as const;

test('who closed a connection is told with the reason that libp2p gives', () => {
  const departures = new Departures();
  departures.add(ended(1), { local: false });
  departures.add(ended(2), { local: false, error: new Error('ECONNRESET\u001b[2J') });
  departures.add(ended(3), { local: true, error: new Error('disconnected by this node') });
  departures.add(ended(4), { local: true });
  expect(departures.latest().map(({ atMs, closedBy, reason }) => [atMs, closedBy, reason])).toEqual([
    [4, 'node', 'closed in order'],
    [3, 'node', 'disconnected by this node'],
    [2, 'peer', 'the connection broke: ECONNRESET[2J'],
    [1, 'peer', 'the peer closed the connection'],
  ]);
});

test('whatever a transport threw is taken as a reason, and nothing is thrown', () => {
  const departures = new Departures();
  const unnamed = Object.assign(new Error(), { message: undefined, name: undefined });
  for (const error of [null, 'reset', {}, 7, unnamed] as unknown as Error[])
    departures.add(ended(1), { local: false, error });
  expect(departures.latest().map(({ reason }) => reason)).toEqual([
    'the connection broke: undefined',
    'the connection broke: an unknown error',
    'the connection broke: an unknown error',
    'the connection broke: reset',
    'the peer closed the connection',
  ]);
});

test('only the latest are remembered, and listed latest first', () => {
  const departures = new Departures();
  for (let atMs = 1; atMs <= MAX_DEPARTURES + 30; atMs += 1) departures.add(ended(atMs), { local: true });
  const times = departures.latest().map(({ atMs }) => atMs);
  expect(times).toEqual(Array.from({ length: MAX_DEPARTURES }, (_each, i) => MAX_DEPARTURES + 30 - i));
});
