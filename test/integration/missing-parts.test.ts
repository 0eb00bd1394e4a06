// What is left when a library no longer has a private part that a patch needs: the node runs, says what is missing, and
// its bans hold.
import type { Libp2p } from '@libp2p/interface';
import { afterEach, expect, test, vi } from 'vitest';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { addressOf, Nodes, nodeOptions, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

type Owner = Record<string, unknown>;

/**
 * Set for the node under test only: hides a part from our code while it looks for it, and shows it to the library
 * afterwards.
 */
const hooks = vi.hoisted(() => ({
  built: undefined as ((libp2p: unknown) => void) | undefined,
  muxer: undefined as ((muxer: unknown) => void) | undefined,
}));

vi.mock('libp2p', async (original) => {
  const library = await original<typeof import('libp2p')>();
  const createLibp2p = async (options: Parameters<typeof library.createLibp2p>[0]) => {
    const libp2p = await library.createLibp2p(options);
    hooks.built?.(libp2p);
    return libp2p;
  };
  return { ...library, createLibp2p };
});

vi.mock('@libp2p/yamux', async (original) => {
  const library = await original<typeof import('@libp2p/yamux')>();
  const yamux: typeof library.yamux = (init) => () => {
    const factory = library.yamux(init)();
    const create = factory.createStreamMuxer.bind(factory);
    const onMuxer = hooks.muxer;
    factory.createStreamMuxer = (connection) => {
      const muxer = create(connection);
      onMuxer?.(muxer);
      return muxer;
    };
    return factory;
  };
  return { ...library, yamux };
});

const nodes = new Nodes();
const [TOPIC = ''] = TOPICS;
let tested: Libp2pNode | undefined;

afterEach(async () => {
  hooks.built = undefined;
  hooks.muxer = undefined;
  await tested?.stop();
  await nodes.stop();
});

function hide(owner: unknown, part: string): () => void {
  const holder = owner as Owner;
  const before = Object.getOwnPropertyDescriptor(holder, part);
  Object.defineProperty(holder, part, { configurable: true, writable: true, value: undefined });
  return () => {
    if (before === undefined) delete holder[part];
    else Object.defineProperty(holder, part, before);
  };
}

/** The object that has the last part of a path, and that part. */
function find(root: unknown, path: string): [owner: unknown, part: string] {
  const parts = path.split('.');
  const last = parts.pop() ?? '';
  return [parts.reduce((owner: unknown, part) => (owner as Owner)[part], root), last];
}

/** Hidden until libp2p starts, which is after the patches are applied. */
function hideAtStart(path: string): void {
  hooks.built = (built) => {
    const libp2p = built as Libp2p;
    const show = hide(...find(libp2p, path));
    const { start } = libp2p;
    libp2p.start = () => {
      show();
      return start.call(libp2p);
    };
  };
}

/** Hidden while those who listen for new connections are called. */
function hideAtConnection(path: string): void {
  hooks.built = (built) =>
    (built as Libp2p).addEventListener('connection:open', ({ detail }) => queueMicrotask(hide(...find(detail, path))));
}

function hideInMuxer(): void {
  hooks.muxer = (muxer) => queueMicrotask(hide(muxer, '_newStream'));
}

/** Each stream lacks the part while our wrapper looks at it; the library gets it back whole. */
function hideInStreams(part: string): void {
  hooks.muxer = (muxer) => {
    const parts = muxer as { _newStream(...args: unknown[]): unknown };
    const whole = parts._newStream;
    let show = () => {};
    parts._newStream = (...args) => {
      const stream = whole.apply(muxer, args);
      show = hide(stream, part);
      return stream;
    };
    queueMicrotask(() => {
      const wrapped = parts._newStream;
      parts._newStream = (...args) => {
        const stream = wrapped(...args);
        show();
        return stream;
      };
    });
  };
}

const PARTS: [part: string, hideIt: () => void][] = [
  ['peerStore.save', () => hideAtStart('peerStore.save')],
  ['peerStore.patch', () => hideAtStart('peerStore.patch')],
  ['peerStore.merge', () => hideAtStart('peerStore.merge')],
  ['dht.rpc', () => hideAtStart('services.dht.rpc')],
  ['dht.rpc.onIncomingStream', () => hideAtStart('services.dht.rpc.onIncomingStream')],
  ['dht.rpc.handleMessage', () => hideAtStart('services.dht.rpc.handleMessage')],
  ['dht.network', () => hideAtStart('services.dht.network')],
  ['dht.network._writeReadMessage', () => hideAtStart('services.dht.network._writeReadMessage')],
  ['identify.host', () => hideAtStart('services.identify.host')],
  ['connection.maConn', () => hideAtConnection('maConn')],
  ['connection.maConn.send', () => hideAtConnection('maConn.send')],
  ['connection.maConn.onData', () => hideAtConnection('maConn.onData')],
  ['connection.maConn.socket', () => hideAtConnection('maConn.socket')],
  ['muxer._newStream', hideInMuxer],
  ['stream.sendWindowUpdate', () => hideInStreams('sendWindowUpdate')],
  ['stream.recvWindowCapacity', () => hideInStreams('recvWindowCapacity')],
];
/** Costs a column of the peers that are shown, which is no line in the log. */
const SILENT: ReadonlySet<string> = new Set(['connection.maConn.socket']);

async function startTested(refused: ReadonlySet<string>) {
  const log = recordingLogger();
  const opened: (string | undefined)[] = [];
  tested = new Libp2pNode(
    {
      log,
      metrics: new RecordedMetrics(),
      clock: systemClock,
      random: Math.random,
      policy: {
        refusesAddress: (ip) => refused.has(ip),
        refusesPeer: () => false,
        connectionOpened: (_peerId, ip) => opened.push(ip),
        malformedRpc: () => {},
      },
    },
    await nodeOptions({ protocolVersion: '/test/1.0.0' }),
  );
  await tested.start(new AbortController().signal, undefined, TOPICS);
  return { node: tested, log, opened };
}

test.each(PARTS)('without %s the node starts and gossips, and bans of addresses hold', async (part, hideIt) => {
  const other = (await nodes.start()).node;
  const byName = addressOf(other).replace('/ip4/127.0.0.1/', '/dns4/localhost/');
  const refused = new Set<string>();
  hideIt();
  const { node, log, opened } = await startTested(refused);

  expect(await node.connectPeer(byName)).toBe(other.hostId());
  expect(opened).toEqual(['127.0.0.1']);
  let received = 0;
  node.setTopicHandler(TOPIC, () => {
    received += 1;
    return 'accept';
  });
  await waitFor(() => (other.getTopic(TOPIC)?.mesh().length ?? 0) > 0, { what: 'the mesh' });
  await other.publish(TOPIC, Buffer.from('message'));
  await waitFor(() => received === 1, { what: 'the message' });
  const lines = log.lines.filter(({ event }) => event === 'libp2p patch not applied');
  expect(lines).toHaveLength(SILENT.has(part) ? 0 : 1);
  if (!SILENT.has(part)) expect(`${lines[0]?.fields.missing}`).toContain(part.split('.').at(-1));

  refused.add('127.0.0.1');
  await node.disconnectPeer(other.hostId());
  await waitFor(() => node.currentlyConnectedPeers().length === 0, { what: 'the end of the connection' });
  await expect(node.connectPeer(byName)).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
  await expect(node.connectPeer(addressOf(other))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
  await other.connectPeer(addressOf(node)).catch(() => {});
  expect(node.currentlyConnectedPeers()).toEqual([]);
});
