// The P2P node as its port promises, among nodes of its own kind.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { SavedBackoffs } from '../../src/adapters/libp2p/gossipsub/saved-backoffs.ts';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { GossipMessage } from '../../src/ports/p2p-node.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { addressOf, makeNode, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const [BLOCK, HANDSHAKE] = TOPICS as [string, string];
const nodes = new Nodes();

afterEach(() => nodes.stop());

async function inMesh(node: Libp2pNode, other: Libp2pNode): Promise<void> {
  await waitFor(() => node.getTopic(BLOCK)?.mesh().includes(other.hostId()), { what: 'the mesh' });
}

/** a - b - c, where a and c never meet. */
async function line() {
  const a = (await nodes.start()).node;
  const b = (await nodes.start()).node;
  const c = (await nodes.start()).node;
  for (const end of [a, c]) {
    await b.connectPeer(addressOf(end));
    await inMesh(end, b);
    await inMesh(b, end);
  }
  return { a, b, c };
}

describe('gossip of a libp2p node', () => {
  test('forwards an accepted message with its author and propagation source, and stops rejected and ignored ones', async () => {
    const { a, b, c } = await line();
    const got: GossipMessage[] = [];
    b.setTopicHandler(BLOCK, ({ bytes }) => {
      const text = Buffer.from(bytes).toString();
      return text === 'bad' ? 'reject' : text === 'odd' ? 'ignore' : 'accept';
    });
    c.setTopicHandler(BLOCK, (message) => {
      got.push(message);
      return 'accept';
    });
    for (const text of ['bad', 'odd', 'good']) await a.publish(BLOCK, Buffer.from(text));
    await waitFor(() => got.length > 0, { what: 'the good message' });
    // The DHT may have connected a and c meanwhile: whatever the propagation source, it is one message of one author.
    expect(got.map(({ bytes }) => Buffer.from(bytes).toString()).filter((text) => text === 'good')).toHaveLength(1);
    expect(got[0]?.author).toBe(a.hostId());
    expect(got[0]?.seqno).toBeGreaterThan(0n);
  });

  test('survives a handler that throws, and does not forward its message', async () => {
    const a = (await nodes.start()).node;
    const b = (await nodes.start()).node;
    await a.connectPeer(addressOf(b));
    await inMesh(a, b);
    let calls = 0;
    b.setTopicHandler(BLOCK, () => {
      calls += 1;
      throw new Error('no');
    });
    await a.publish(BLOCK, Buffer.from('1'));
    await a.publish(BLOCK, Buffer.from('2'));
    await waitFor(() => calls === 2, { what: 'two calls' });
    expect(b.currentlyConnectedPeers()).toHaveLength(1);
  });

  test('publishes only the handshake in listen_only mode', async () => {
    const quiet = await nodes.start({ mayPublish: (topic) => topic === HANDSHAKE });
    const other = (await nodes.start()).node;
    const got: string[] = [];
    for (const topic of TOPICS) {
      other.setTopicHandler(topic, ({ bytes }) => {
        got.push(Buffer.from(bytes).toString());
        return 'accept';
      });
    }
    await quiet.node.connectPeer(addressOf(other));
    await waitFor(() => quiet.node.getTopic(HANDSHAKE)?.mesh().includes(other.hostId()), { what: 'the mesh' });
    expect(await quiet.node.publish(BLOCK, Buffer.from('block'))).toBe('suppressed');
    expect(await quiet.node.publish(HANDSHAKE, Buffer.from('version'))).toBe('published');
    await waitFor(() => got.length > 0, { what: 'the handshake' });
    expect(got).toEqual(['version']);
    expect(quiet.metrics.count('teranode_p2p_publish_suppressed_total', { topic: BLOCK })).toBe(1);
  });

  test('refuses oversized messages, unknown topics, and use before start', async () => {
    const { node } = await nodes.start();
    await expect(node.publish(BLOCK, new Uint8Array(1024 * 1024))).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    await expect(node.publish('other', new Uint8Array(1))).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' });
    expect(() => node.setTopicHandler('other', () => 'accept')).toThrow(
      expect.objectContaining({ code: 'TOPIC_UNKNOWN' }),
    );
    expect(node.getTopic('other')).toBeUndefined();
    const { node: idle } = await makeNode();
    await expect(idle.publish(BLOCK, new Uint8Array(1))).rejects.toMatchObject({ code: 'NODE_NOT_STARTED' });
    await idle.stop();
  });
});

describe('verifier of a libp2p node', () => {
  test('is the chosen one', async () => {
    const { log } = await nodes.start({ verifier: 'node:crypto' });
    expect(log.lines.find(({ event }) => event === 'node started')?.fields.verifier).toBe('node:crypto');
  });
});

describe('direct stream of a libp2p node', () => {
  test('carries one message per stream with its sender, and counts bytes', async () => {
    const got: [PeerId, string][] = [];
    const b = (
      await nodes.start({}, async (stream) => {
        got.push([stream.peerId, Buffer.from(await stream.readToEnd(1000, 5000)).toString()]);
      })
    ).node;
    const a = (await nodes.start()).node;
    await a.connectPeer(addressOf(b));
    await a.sendToPeer(b.hostId(), Buffer.from('hello'));
    await waitFor(() => got.length === 1, { what: 'the message' });
    expect(got).toEqual([[a.hostId(), 'hello']]);
    expect(a.bytesSent()).toBe(5n);
    expect(b.bytesReceived()).toBe(5n);
    expect(a.lastSend()).toBeInstanceOf(Date);
    expect(b.lastRecv()).toBeInstanceOf(Date);
    b.updateBytesReceived(10n);
    expect(b.bytesReceived()).toBe(15n);
  });

  test('ends when a message is over the limit or does not come within the deadline', async () => {
    const ends: string[] = [];
    const serve = (maxBytes: number, deadlineMs: number) =>
      nodes.start({}, async (stream) => {
        await stream
          .readToEnd(maxBytes, deadlineMs)
          .catch((error: { code?: string }) => ends.push(error.code ?? 'none'));
      });
    const small = (await serve(100, 5000)).node;
    const a = (await nodes.start()).node;
    await a.connectPeer(addressOf(small));
    await a.sendToPeer(small.hostId(), new Uint8Array(1000)).catch(() => {});
    await waitFor(() => ends.length === 1, { what: 'the end of the stream' });
    expect(ends).toEqual(['MESSAGE_TOO_LARGE']);
  });

  test('is not blocked by many streams in a row', async () => {
    let count = 0;
    const b = (
      await nodes.start({}, async (stream) => {
        await stream.readToEnd(1000, 5000);
        count += 1;
      })
    ).node;
    const a = (await nodes.start()).node;
    await a.connectPeer(addressOf(b));
    for (let i = 0; i < 200; i += 1) await a.sendToPeer(b.hostId(), Buffer.from('x'));
    await waitFor(() => count === 200, { what: '200 messages' });
  });

  test('fails as unreachable when the peer lacks the protocol or is down', async () => {
    const a = (await nodes.start()).node;
    const b = (await nodes.start()).node;
    await a.connectPeer(addressOf(b));
    await expect(a.sendToPeer(b.hostId(), Buffer.from('x'))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    await expect(a.connectPeer('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    await expect(a.connectPeer('nonsense')).rejects.toMatchObject({ code: 'ADDRESS_INVALID' });
  });
});

describe('peers of a libp2p node', () => {
  test('are exactly the connected ones with their details, and each is reported once', async () => {
    const a = (await nodes.start()).node;
    const b = (await nodes.start({ userAgent: 'teranode/bitcoin/v9' })).node;
    const came: PeerId[] = [];
    a.setPeerConnectedCallback((peerId) => came.push(peerId));
    expect(a.currentlyConnectedPeers()).toEqual([]);
    expect(await a.connectPeer(addressOf(b))).toBe(b.hostId());
    await waitFor(() => a.currentlyConnectedPeers()[0]?.agentVersion !== undefined, { what: 'identify' });
    a.updatePeerHeight(b.hostId(), 77);
    expect(a.currentlyConnectedPeers()).toEqual([
      {
        id: b.hostId(),
        addresses: expect.arrayContaining([addressOf(b)]),
        localAddress: expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//),
        connected: true,
        direction: 'outbound',
        connectedAtMs: expect.any(Number),
        agentVersion: 'teranode/bitcoin/v9',
        height: 77,
        startingHeight: 77,
        bytesSent: expect.any(Number),
        bytesReceived: expect.any(Number),
        lastSendMs: expect.any(Number),
        lastReceiveMs: expect.any(Number),
        pingMs: undefined,
      },
    ]);
    const [known] = a.currentlyConnectedPeers();
    expect(Math.min(known?.bytesSent ?? 0, known?.bytesReceived ?? 0)).toBeGreaterThan(100);
    await waitFor(() => b.currentlyConnectedPeers().length === 1, { what: 'the other side' });
    expect(b.currentlyConnectedPeers()[0]?.direction).toBe('inbound');
    expect(b.currentlyConnectedPeers()[0]?.localAddress).toBe(addressOf(b));
    expect(b.currentlyConnectedPeers()[0]?.addresses).toEqual([a.currentlyConnectedPeers()[0]?.localAddress]);
    await a.disconnectPeer(b.hostId());
    await waitFor(() => a.currentlyConnectedPeers().length === 0, { what: 'the end' });
    expect(a.connectedPeers()).toMatchObject([{ id: b.hostId(), connected: false, height: 77 }]);
    expect(came).toEqual([b.hostId()]);
  });

  test('have a connection time that starts anew with each connection', async () => {
    const [a, b] = [(await nodes.start()).node, (await nodes.start()).node];
    expect(a.connectedSinceMs(b.hostId())).toBeUndefined();
    await a.connectPeer(addressOf(b));
    const first = a.connectedSinceMs(b.hostId()) ?? Number.POSITIVE_INFINITY;
    expect(first).toBeLessThanOrEqual(performance.now());
    await a.disconnectPeer(b.hostId());
    await waitFor(() => a.currentlyConnectedPeers().length === 0, { what: 'the end' });
    expect(a.connectedSinceMs(b.hostId())).toBeUndefined();
    await waitFor(() => b.currentlyConnectedPeers().length === 0, { what: 'the end at the other side' });
    await a.connectPeer(addressOf(b));
    expect(a.connectedSinceMs(b.hostId())).toBeGreaterThan(first);
  });

  test('are trimmed from the high-water to the low-water mark, except static peers', async () => {
    const kept = (await nodes.start()).node;
    const busy = await nodes.start({
      staticPeers: [addressOf(kept)],
      connections: { trims: true, lowWater: 2, highWater: 4, graceMs: 3000, maxPerPeer: 3 },
    });
    const others = await Promise.all(
      Array.from({ length: 6 }, () => nodes.start({ dht: { mode: 'private', protocol: '/apart/kad/1.0.0' } })),
    );
    await Promise.all(others.map(({ node }) => node.connectPeer(addressOf(busy.node))));
    await waitFor(() => busy.node.currentlyConnectedPeers().length === 7, { what: 'seven peers' });
    await waitFor(() => busy.log.lines.some(({ event }) => event === 'trimmed connections'), {
      timeoutMs: 20_000,
      what: 'the trim',
    });
    await waitFor(() => busy.node.currentlyConnectedPeers().length <= 2, { what: 'the low-water mark' });
    expect(busy.node.currentlyConnectedPeers().map(({ id }) => id)).toContain(kept.hostId());
  });

  test('learn the advertised addresses, with the bound port where none is given', async () => {
    const file = join(temporaryFolder('cache'), 'peers.json');
    const advertiseAddresses = ['192.0.2.7:4001', 'node.example:9906', 'node.example', '192.0.2.8'];
    for (const port of [0, await freePort()]) {
      const advertised = (await nodes.start({ port, advertiseAddresses })).node;
      const bound = /tcp\/(\d+)/.exec(addressOf(advertised))?.[1];
      const learner = (await nodes.start({ peerCache: { file, maxPeers: 10, ttlMs: 60_000 } })).node;
      await advertised.connectPeer(addressOf(learner));
      await waitFor(() => learner.currentlyConnectedPeers()[0]?.agentVersion !== undefined, { what: 'identify' });
      await nodes.stop();
      const peers: { id: string; addresses: string[] }[] = JSON.parse(readFileSync(file, 'utf8')).peers;
      expect(peers.find(({ id }) => id === advertised.hostId())?.addresses.sort()).toEqual(
        [
          `/dns/node.example/tcp/${bound}`,
          '/dns/node.example/tcp/9906',
          '/ip4/192.0.2.7/tcp/4001',
          `/ip4/192.0.2.8/tcp/${bound}`,
        ].sort(),
      );
    }
  });

  test('do not learn private addresses unless these are shared', async () => {
    const file = join(temporaryFolder('cache'), 'peers.json');
    const shy = (await nodes.start({ sharePrivateAddresses: false })).node;
    const learner = (await nodes.start({ peerCache: { file, maxPeers: 10, ttlMs: 60_000 } })).node;
    await shy.connectPeer(addressOf(learner));
    await waitFor(() => learner.currentlyConnectedPeers()[0]?.agentVersion !== undefined, { what: 'identify' });
    await nodes.stop();
    expect(() => readFileSync(file, 'utf8')).toThrow();
  });

  test('are dialled although a cached address is invalid', async () => {
    const file = join(temporaryFolder('cache'), 'peers.json');
    const { node: known } = await nodes.start();
    const entry = (addresses: string[]) => ({ id: known.hostId(), addresses, lastSeenMs: Date.now() });
    const bad = [entry(['nonsense']), entry([`/dns4/${'a'.repeat(600)}/tcp/1`]), { ...entry(['x']), id: 'nobody' }];
    const peers = [...bad, entry(['/ip4/1.2.3.4/tcp/99999999', addressOf(known)])];
    writeFileSync(file, JSON.stringify({ version: 1, peers }));
    const { node } = await nodes.start({ peerCache: { file, maxPeers: 10, ttlMs: 60_000 } });
    await waitFor(() => node.currentlyConnectedPeers().length === 1, { what: 'the cached peer' });
  });

  test('of another private network get no connection', async () => {
    const a = (await nodes.start()).node;
    const stranger = (await nodes.start({ presharedKey: 'cd'.repeat(32) })).node;
    const open = (await nodes.start({ presharedKey: undefined })).node;
    for (const other of [stranger, open]) {
      await expect(other.connectPeer(addressOf(a), 3000)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    }
    expect(a.currentlyConnectedPeers()).toEqual([]);
  });
});

describe('NAT traversal of a libp2p node', () => {
  const off = {
    portMap: false,
    autonat: false,
    holePunching: false,
    relayClient: false,
    relayService: false,
    forceReachability: undefined,
  } as const;

  test.each([
    ['autonat', { ...off, autonat: true }],
    ['relay client and hole punching', { ...off, relayClient: true, holePunching: true }],
    ['relay service', { ...off, relayService: true }],
    ['all but port mapping', { ...off, autonat: true, relayClient: true, holePunching: true, relayService: true }],
  ])('%s starts and stops', async (_what, nat) => {
    const { node } = await nodes.start({ nat });
    const other = (await nodes.start()).node;
    await other.connectPeer(addressOf(node));
    await nodes.stop();
    expect(node.listenAddresses()).toEqual([]);
  });
});

test('a node may be stopped twice, and its port is free afterwards', async () => {
  const { node } = await nodes.start();
  const port = Number(/tcp\/(\d+)/.exec(addressOf(node))?.[1]);
  await Promise.all([node.stop(), node.stop()]);
  const again = (await nodes.start({ port })).node;
  expect(addressOf(again)).toContain(`/tcp/${port}/`);
});

test('a stop does not wait for a disk that does not take the back-off file', async () => {
  const hangs = vi.spyOn(SavedBackoffs.prototype, 'save').mockReturnValue(new Promise(() => {}));
  onTestFinished(() => hangs.mockRestore());
  const { node } = await nodes.start({ graftBackoffFile: join(temporaryFolder('backoffs'), 'backoffs.json') });
  await node.stop();
  expect(node.listenAddresses()).toEqual([]);
  expect(hangs).toHaveBeenCalled();
});
