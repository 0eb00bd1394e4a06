// The handshake over real nodes on loopback: both ways by stream, the topic where streams are refused, other networks,
// and hostile streams.
import { afterEach, describe, expect, test } from 'vitest';
import { parseMultiaddr } from '../../src/adapters/libp2p/addresses.ts';
import { DIRECT_PROTOCOL } from '../../src/adapters/libp2p/direct-stream.ts';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import type { Libp2pNodeOptions } from '../../src/adapters/libp2p/node-options.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import { Handshake } from '../../src/handshake/handshake.ts';
import { PeerRegistry } from '../../src/peers/registry.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { GO_P2P } from '../../src/wire/format.ts';
import { decodeHandshake, encodeHandshake } from '../../src/wire/handshake.ts';
import { addressOf, bareLibp2p, makeNode, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const TOTAL = 'teranode_p2p_handshakes_total';
const TOPIC = TOPICS[1] ?? '';
const HASH = '00'.repeat(31).concat('07') as BlockHash;
const undo: (() => Promise<unknown> | unknown)[] = [];

afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

interface MemberOptions {
  readonly height: number;
  readonly topicPrefix?: string;
  readonly servesStreams?: boolean;
  readonly node?: Partial<Libp2pNodeOptions>;
}

/** A node with its registry and handshake, put together as the server does. */
async function member({ height, topicPrefix = 'prefix', servesStreams = true, node: changes }: MemberOptions) {
  const { node, metrics, log } = await makeNode(changes);
  const registry = new PeerRegistry({ clock: systemClock, metrics });
  const charged: string[] = [];
  const handshake = new Handshake(
    {
      node,
      ownId: node.hostId(),
      chain: { latestTip: async () => ({ height, hash: HASH }) },
      registry,
      isConnected: (peerId) => node.currentlyConnectedPeers().some(({ id }) => id === peerId),
      isBanned: () => false,
      penalize: (peerId, rule) => charged.push(`${peerId} ${rule}`),
      clock: systemClock,
      log,
      metrics,
    },
    {
      networks: [{ topicPrefix, topic: TOPIC, wire: GO_P2P, node, isConnected: () => true }],
      userAgent: 'teranode/bitcoin/v0.0.0-test',
      dataHubUrl: `http://127.0.0.1:${height}`,
      services: 1n,
      topicSize: 1,
      topicTimeoutMs: 60_000,
      mayUseUrl: () => true,
    },
  );
  node.setPeerConnectedCallback((peerId) => {
    registry.connected(peerId);
    handshake.peerConnected(peerId);
  });
  node.setTopicHandler(TOPIC, ({ bytes, author }) => {
    const decoded = decodeHandshake(bytes);
    if (decoded.ok) handshake.topicMessage(decoded.message, author);
    return 'accept';
  });
  await node.start(new AbortController().signal, servesStreams ? handshake.streamHandler : undefined, TOPICS);
  undo.push(
    () => node.stop(),
    () => handshake.stop(),
  );
  const count = (labels: Record<string, string>) => metrics.count(TOTAL, labels);
  return { node, registry, handshake, count, charged, log };
}

/** A peer of which nothing but libp2p is ours. */
async function stranger(): Promise<TeranodeLibp2p> {
  const libp2p = await bareLibp2p();
  await libp2p.start();
  undo.push(() => libp2p.stop());
  return libp2p;
}

const open = (from: TeranodeLibp2p, to: Libp2pNode) =>
  from.dialProtocol(parseMultiaddr(addressOf(to)), DIRECT_PROTOCOL, { signal: AbortSignal.timeout(10_000) });

describe('two nodes of one network', () => {
  test('exchange version and verack on streams, whichever of them dialled', async () => {
    const a = await member({ height: 5 });
    const b = await member({ height: 6 });
    await a.node.connectPeer(addressOf(b.node));
    for (const each of [a, b]) {
      for (const type of ['version', 'verack'])
        await waitFor(() => each.count({ direction: 'in', type, way: 'stream', outcome: 'accepted' }) === 1, {
          what: type,
        });
    }
    expect(a.registry.get(b.node.hostId())).toMatchObject({
      isConnected: true,
      claimed: { height: 6, hash: HASH },
      startingHeight: 6,
      dataHubUrl: 'http://127.0.0.1:6',
      userAgent: 'teranode/bitcoin/v0.0.0-test',
    });
    expect(b.registry.get(a.node.hostId())).toMatchObject({ claimed: { height: 5 } });
    expect(b.node.currentlyConnectedPeers()[0]).toMatchObject({ height: 5, startingHeight: 5 });
  });

  test('answer a version from the topic on a stream to its author', async () => {
    const a = await member({ height: 5, servesStreams: false });
    const b = await member({ height: 6 });
    await a.node.connectPeer(addressOf(b.node));
    await waitFor(() => a.node.getTopic(TOPIC)?.mesh().includes(b.node.hostId()), { what: 'the mesh' });
    b.handshake.start();
    await waitFor(() => a.count({ direction: 'in', type: 'version', way: 'topic', outcome: 'accepted' }) === 1, {
      what: 'the version on the topic',
    });
    await waitFor(() => b.count({ direction: 'in', type: 'verack', way: 'stream', outcome: 'accepted' }) >= 1, {
      what: 'the verack',
    });
  });

  test('exchange both in listen_only mode too', async () => {
    const quiet = await member({ height: 5, node: { mayPublish: (topic) => topic === TOPIC } });
    const other = await member({ height: 6 });
    quiet.handshake.start();
    await quiet.node.connectPeer(addressOf(other.node));
    const came = (type: string, way: string) => other.count({ direction: 'in', type, way, outcome: 'accepted' }) >= 1;
    await waitFor(() => came('version', 'stream') && came('verack', 'stream') && came('version', 'topic'), {
      what: 'version and verack',
    });
  });
});

describe('a peer without the stream protocol', () => {
  test('gets our version on the topic after two seconds, and stays connected', async () => {
    const a = await member({ height: 5 });
    const b = await member({ height: 6, servesStreams: false });
    await a.node.connectPeer(addressOf(b.node));
    await waitFor(() => b.registry.get(a.node.hostId())?.claimed?.height === 5, { what: 'the version on the topic' });
    expect(b.count({ direction: 'in', way: 'topic', outcome: 'accepted' })).toBe(1);
    expect(a.count({ direction: 'out', way: 'stream', type: 'version', outcome: 'failed' })).toBeGreaterThanOrEqual(1);
    expect(a.node.currentlyConnectedPeers()).toHaveLength(1);
  });

  test('gets our version once it serves the protocol', async () => {
    const a = await member({ height: 5 });
    const late = await stranger();
    await late.dial(parseMultiaddr(addressOf(a.node)));
    await waitFor(() => a.count({ direction: 'out', type: 'version', outcome: 'failed' }) === 1, { what: 'a refusal' });
    const got: string[] = [];
    await late.handle(DIRECT_PROTOCOL, (stream) => {
      stream.addEventListener('message', ({ data }) => got.push(Buffer.from(data.subarray()).toString()));
    });
    await waitFor(() => got.length > 0, { what: 'the version' });
    expect(JSON.parse(got[0] ?? '{}')).toMatchObject({ type: 'version', peerID: a.node.hostId(), bestHeight: 5 });
  });
});

test('a node of another network is refused and disconnected', async () => {
  const a = await member({ height: 5 });
  const b = await member({ height: 6, topicPrefix: 'other' });
  await a.node.connectPeer(addressOf(b.node));
  await waitFor(() => a.count({ outcome: 'other_prefix' }) + b.count({ outcome: 'other_prefix' }) > 0, {
    what: 'the refusal',
  });
  await waitFor(() => [a, b].every(({ node }) => node.currentlyConnectedPeers().length === 0), { what: 'the end' });
  expect([...a.charged, ...b.charged]).toEqual([]);
  expect(a.registry.get(b.node.hostId())?.claimed).toBeUndefined();
});

describe('a hostile direct stream', () => {
  test('that is silent or slow ends within seconds, and its peer is still served', async () => {
    const a = await member({ height: 5 });
    const from = await stranger();
    const silent = await open(from, a.node);
    const slow = await open(from, a.node);
    slow.send(Buffer.from('{'));
    const drip = setInterval(() => {
      if (slow.status === 'open') slow.send(Buffer.from(' '));
    }, 500);
    try {
      await waitFor(() => a.count({ direction: 'in', outcome: 'timeout' }) === 2, { what: 'both ends' });
      await waitFor(() => [silent, slow].every(({ status }) => status !== 'open'), { what: 'both resets' });
    } finally {
      clearInterval(drip);
    }
    const fine = await open(from, a.node);
    fine.send(
      encodeHandshake({
        type: 'verack',
        peerId: from.peerId.toString(),
        bestHeight: 9,
        bestHash: HASH,
        dataHubUrl: '',
        userAgent: '',
        services: 0n,
        topicPrefix: 'prefix',
      }),
    );
    await fine.close();
    await waitFor(() => a.count({ type: 'verack', outcome: 'accepted' }) === 1, { what: 'the verack' });
  });

  test('of 10 MB is ended after a few bytes', async () => {
    const a = await member({ height: 5 });
    const from = await stranger();
    const stream = await open(from, a.node);
    const chunk = Buffer.alloc(64 * 1024, 'x');
    let written = 0;
    try {
      while (written < 10_000_000) {
        const goesOn = stream.send(chunk);
        written += chunk.length;
        if (!goesOn) await stream.onDrain({ signal: AbortSignal.timeout(10_000) });
      }
    } catch {
      // Cut by the other side.
    }
    await waitFor(() => a.count({ outcome: 'too_large' }) === 1, { what: 'the end' });
    expect(a.node.bytesReceived()).toBeLessThan(1_000_000n);
    expect(a.node.currentlyConnectedPeers()).toHaveLength(1);
  });

  test('with a version in another peer’s name penalizes only its sender', async () => {
    const a = await member({ height: 5 });
    const b = await member({ height: 6 });
    const liar = await stranger();
    const stream = await open(liar, a.node);
    const lie = { type: 'version', peerID: b.node.hostId(), bestHeight: 999, topicPrefix: 'prefix' };
    stream.send(Buffer.from(JSON.stringify(lie)));
    await stream.close();
    await waitFor(() => a.charged.length === 1, { what: 'the charge' });
    expect(a.charged).toEqual([`${liar.peerId} author_mismatch`]);
    expect(a.registry.get(b.node.hostId())).toBeUndefined();
  });
});
