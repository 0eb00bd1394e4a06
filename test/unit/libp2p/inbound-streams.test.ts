// A peer gossips to us on one stream: a new one ends the one before it, and nobody is disconnected for that.
import type { Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { expect, test } from 'vitest';
import { InboundStreams } from '../../../src/adapters/libp2p/gossipsub/inbound-streams.ts';
import { peer } from '../../fakes/ban-parts.ts';

const ID = peerIdFromString(peer(1));

class FakeStream extends EventTarget {
  status = 'open';
  error: Error | undefined;

  abort(error: Error): void {
    this.error = error;
    this.end('aborted');
  }

  end(status: string): void {
    this.status = status;
    this.dispatchEvent(new Event('close'));
  }
}

function setUp() {
  const taken: unknown[] = [];
  const failed: Error[] = [];
  const streams = new InboundStreams();
  const create = streams.createInboundStream((_peerId, stream) => taken.push(stream));
  const fail = streams.handlePeerReadStreamError((error) => failed.push(error));
  const open = (stream: FakeStream) => create(ID, stream as unknown as Stream);
  return { streams, taken, failed, open, fail };
}

test('a new stream ends the one before it, and gossipsub does not hear of that end', () => {
  const { streams, taken, failed, open, fail } = setUp();
  const [first, second] = [new FakeStream(), new FakeStream()];
  open(first);
  expect(streams.of(peer(1))).toBe(first);
  open(second);
  expect(taken).toEqual([first, second]);
  expect(first.status).toBe('aborted');
  expect(second.status).toBe('open');
  expect(streams.of(peer(1))).toBe(second);
  fail(first.error as Error, ID);
  expect(failed).toEqual([]);
});

test('any other end of a stream is left to gossipsub', () => {
  const { failed, fail } = setUp();
  const error = new Error('reset');
  fail(error, ID);
  expect(failed).toEqual([error]);
});

test('a stream that ended is forgotten, one that had ended before is not kept', () => {
  const { streams, open } = setUp();
  const [first, ended] = [new FakeStream(), new FakeStream()];
  open(first);
  first.end('closed');
  expect(streams.of(peer(1))).toBeUndefined();
  ended.status = 'reset';
  open(ended);
  expect(streams.of(peer(1))).toBeUndefined();
  expect(first.status).toBe('closed');
});
