// Streams of peers, with the handlers that serve them: the handshake and the peer-address protocol. Bytes come in pieces
// of any size, and the other side may close, reset, or only stop writing.
import { ADDRESS_PROTOCOLS } from '../../../src/adapters/libp2p/discovery/address-protocol.ts';
import { AddressServer } from '../../../src/adapters/libp2p/discovery/address-server.ts';
import { readToEnd } from '../../../src/adapters/libp2p/message-stream.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { Handshake } from '../../../src/handshake/handshake.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { P2PNode } from '../../../src/ports/p2p-node.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { decodeHandshake } from '../../../src/wire/handshake.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { recordedTexts } from '../../support/recorded.ts';
import { waitFor } from '../../support/wait.ts';
import { Random } from '../engine/mutator.ts';
import { type FuzzSession, must, mustEqual, type SessionTarget, textOf, texts } from '../engine/target.ts';
import { MemoryStream } from './memory-stream.ts';
import { failingLogger, gauges } from './parts.ts';

const DIRECT = 'teranode/bitcoin/1.0.0';
const STREAM_GAUGES = ['teranode_p2p_handshake_entries', 'teranode_p2p_address_request_streams'];

/** The first byte says from which of eight peers the stream is; the rest is sent on it. */
async function handshakeSession(): Promise<FuzzSession> {
  const random = new Random(1);
  const metrics = gauges();
  const sent: string[] = [];
  const { 'go-p2p': topicPrefix } = NETWORKS.regtest.topicPrefixes;
  const node = {
    sendToPeer: async (_peerId: PeerId, bytes: Uint8Array) => {
      const decoded = decodeHandshake(bytes);
      must(decoded.ok, 'it sent what is no handshake');
      if (sent.length < 100) sent.push(textOf(bytes));
    },
    disconnectPeer: async () => {},
    publish: async () => 'published' as const,
    getTopic: () => undefined,
  } as unknown as P2PNode;
  const handshake = new Handshake(
    {
      node,
      ownId: peer(0),
      chain: { latestTip: async () => ({ height: 1, hash: undefined }) },
      registry: { heard: (_peerId, patch) => must((patch.claimed?.height ?? 0) >= 0, 'a height') },
      isConnected: () => true,
      isBanned: (peerId) => peerId === peer(7),
      penalize: () => {},
      clock: systemClock,
      log: failingLogger(),
      metrics,
    },
    {
      networks: [{ topicPrefix, topic: `${topicPrefix}-handshake`, wire: GO_P2P, node, isConnected: () => true }],
      userAgent: 'teranode/bitcoin/v1.0.0',
      dataHubUrl: '',
      services: 1n,
      topicSize: 1,
      topicTimeoutMs: 5000,
      mayUseUrl: (url) => url.startsWith('http'),
    },
  );
  const open = async (peerId: PeerId, bytes: Uint8Array, from = random) => {
    const stream = new MemoryStream(DIRECT);
    const limits = (maxBytes: number, deadlineMs: number) => ({ maxBytes, deadlineMs });
    const served = handshake.streamHandler({
      peerId,
      readToEnd: (maxBytes, deadlineMs) => readToEnd(stream.asStream(), limits(maxBytes, deadlineMs)),
      close: () => stream.close(),
      abort: (reason) => stream.abort(reason),
    });
    await stream.receive(bytes, from);
    await served;
    must(stream.status !== 'open', 'the stream is still open');
  };
  return {
    send: async (input) => await open(peer(input[0] ?? 0), input.subarray(1)),
    check: async () => {
      const honest = peer(100_000);
      const version = { type: 'version', peerID: honest, bestHeight: 1, topicPrefix };
      // A seed whose stream is half-closed, as an honest one.
      await open(honest, Buffer.from(JSON.stringify(version)), { below: () => 2 } as unknown as Random);
      await waitFor(() => sent.length > 0, { what: 'a verack' });
      mustEqual(metrics.value(STREAM_GAUGES[0] ?? '', { kind: 'streams' }), 0, 'streams left open');
    },
    close: async () => await handshake.stop(),
  };
}

/** Requests of both versions; the first byte says which. */
async function addressSession(): Promise<FuzzSession> {
  const random = new Random(2);
  const metrics = gauges();
  let nowMs = 0;
  const addressesOf = async () => ['/ip4/192.0.2.1/tcp/9905'];
  const server = new AddressServer({ log: failingLogger(), metrics, nowMs: () => nowMs, addressesOf });
  const open = async (protocol: string, bytes: Uint8Array, from = random) => {
    const stream = new MemoryStream(protocol);
    // So that the rate of one requester is never reached.
    nowMs += 1000;
    const served = server.serve(stream.asStream(), peer(1 + random.below(100)));
    await stream.receive(bytes, from);
    await served;
    must(stream.status !== 'open', 'the stream is still open');
    return stream;
  };
  return {
    send: async (input) => {
      const stream = await open(ADDRESS_PROTOCOLS[(input[0] ?? 0) % 2] ?? '', input.subarray(1));
      must(stream.answer.length <= 1, 'more than one answer');
    },
    check: async () => {
      for (const protocol of ADDRESS_PROTOCOLS) {
        const { answer } = await open(protocol, Buffer.from(peer(5)), { below: () => 2 } as unknown as Random);
        mustEqual(answer.map(textOf), ['["/ip4/192.0.2.1/tcp/9905"]'], 'the answer to a proper request');
      }
      mustEqual(metrics.value(STREAM_GAUGES[1] ?? ''), 0, 'streams left open');
    },
    close: async () => server.stop(),
  };
}

function prefixed(byte: number, all: readonly Uint8Array[]): Uint8Array[] {
  return all.map((each) => Buffer.concat([Buffer.of(byte), each]));
}

export const STREAM_TARGETS: readonly SessionTarget[] = [
  {
    name: 'handshake-stream',
    seeds: [
      ...prefixed(1, texts(...recordedTexts('teranode-handshake.json'))),
      ...[1, 7].flatMap((i) =>
        prefixed(i, texts(JSON.stringify({ type: 'version', peerID: peer(i), topicPrefix: 'bitcoin/regtest' }))),
      ),
    ],
    words: ['version', 'verack', 'bitcoin/regtest', 'topicPrefix', 'peerID', 'bestHash', 'bestHeight', 'services'],
    maxBytes: 17 * 1024,
    inputsPerHundred: 10,
    open: handshakeSession,
  },
  {
    name: 'address-stream',
    seeds: [0, 1].flatMap((i) => prefixed(i, texts(peer(5), `${peer(5)}x`, 'not a peer'))),
    maxBytes: 200,
    inputsPerHundred: 10,
    open: addressSession,
  },
];
