// The peer book: since when a peer is connected, with several connections at once.
import { expect, test } from 'vitest';
import { PeerBook } from '../../../src/adapters/libp2p/connections/peer-book.ts';
import { peer } from '../../fakes/ban-parts.ts';

type Opened = Parameters<PeerBook['opened']>[2];

test('a peer counts as connected since its newest open connection began', () => {
  const book = new PeerBook();
  const id = peer(1);
  const open = (name: string, sinceMs: number) => book.opened(id, name, { sinceMs } as Opened);
  expect(book.connectedSinceMs(id)).toBeUndefined();
  open('old', 10);
  open('new', 20);
  expect([book.connectedSinceMs(id), book.connectedSinceMs(peer(2))]).toEqual([20, undefined]);
  book.closed(id, 'old');
  expect(book.connectedSinceMs(id)).toBe(20);
  book.closed(id, 'new');
  expect(book.connectedSinceMs(id)).toBeUndefined();
  open('again', 30);
  expect(book.connectedSinceMs(id)).toBe(30);
});

test('the addresses of a peer are those of its open connections', () => {
  const book = new PeerBook();
  const id = peer(1);
  const meter = { sentBytes: 0, receivedBytes: 0 };
  const open = (address: string) => book.opened(id, address, { address, meter, pingMs: () => 1 } as unknown as Opened);
  open('relayed');
  open('direct');
  book.closed(id, 'relayed');
  expect(book.connectedRecords()[0]?.addresses).toEqual(['direct']);
});
