// How many streams the address server keeps open, for whom, and for how long it reads them.
import type { Stream } from '@libp2p/interface';
import { expect, test } from 'vitest';
import { ADDRESS_PROTOCOLS } from '../../../src/adapters/libp2p/discovery/address-protocol.ts';
import { AddressServer, MAX_STREAMS_PER_PEER } from '../../../src/adapters/libp2p/discovery/address-server.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const [V1_1 = '', V1_0 = ''] = ADDRESS_PROTOCOLS;
const REQUESTER = peer(1) as PeerId;

/** As much of a stream as the server uses; the other side keeps its end open. */
class FakeStream extends EventTarget {
  readonly protocol: string;
  status = 'open';
  remoteWriteStatus = 'writable';
  readBufferLength = 0;
  readStatus = 'readable';
  readonly sent: string[] = [];

  constructor(protocol: string) {
    super();
    this.protocol = protocol;
  }

  receive(text: string): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data: Buffer.from(text) }));
  }

  send(bytes: Uint8Array): boolean {
    this.sent.push(Buffer.from(bytes).toString());
    return true;
  }

  async close(): Promise<void> {}

  async closeRead(): Promise<void> {
    this.readStatus = 'closed';
  }

  abort(error: Error): void {
    if (this.status === 'aborted') return;
    this.status = 'aborted';
    this.dispatchEvent(Object.assign(new Event('close'), { error }));
  }
}

function setUp() {
  const metrics = new RecordedMetrics();
  const server = new AddressServer({
    log: recordingLogger(),
    metrics,
    nowMs: () => 0,
    addressesOf: async () => ['/ip4/192.0.2.1/tcp/9905'],
  });
  const open = (protocol: string, requester: PeerId) => {
    const stream = new FakeStream(protocol);
    return { stream, served: server.serve(stream as unknown as Stream, requester) };
  };
  return { server, open, openStreams: () => metrics.gaugeValue('teranode_p2p_address_request_streams') };
}

test('a stream of 1.0.0 is not read any more once its request is read', async () => {
  const { open } = setUp();
  const { stream, served } = open(V1_0, REQUESTER);
  stream.receive(peer(2));
  await served;
  expect(stream.sent).toEqual(['["/ip4/192.0.2.1/tcp/9905"]']);
  expect(stream.readStatus).toBe('closed');
});

test('a peer has at most 16 open streams over both versions, and others are answered all the same', async () => {
  const { server, open, openStreams } = setUp();
  const kept = Array.from({ length: MAX_STREAMS_PER_PEER }, (_each, i) => open(i % 2 === 0 ? V1_0 : V1_1, REQUESTER));
  const refused = open(V1_1, REQUESTER).stream;
  expect(refused.status).toBe('aborted');
  const other = open(V1_0, peer(3) as PeerId);
  other.stream.receive(peer(2));
  await other.served;
  expect(other.stream.sent).toHaveLength(1);
  kept[0]?.stream.abort(new Error('closed by the requester'));
  expect(open(V1_1, REQUESTER).stream.status).toBe('open');
  server.stop();
  await Promise.all(kept.map(({ served }) => served));
  expect(openStreams()).toBe(0);
});

test('a stop ends the streams that are open', async () => {
  const { server, open, openStreams } = setUp();
  const { stream, served } = open(V1_1, REQUESTER);
  expect(openStreams()).toBe(1);
  server.stop();
  await served;
  expect(stream.status).toBe('aborted');
  expect(openStreams()).toBe(0);
});
