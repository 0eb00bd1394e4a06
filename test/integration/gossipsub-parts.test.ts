// A version of gossipsub without one of the private parts that we use: the node starts without what needs the part and
// says so, or refuses to start. Bans hold in any case.
import { expect, type TestContext, test, vi } from 'vitest';
import { GOSSIPSUB_PARTS } from '../../src/adapters/libp2p/gossipsub/parts.ts';
import { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type * as Options from '../../src/adapters/libp2p/libp2p-options.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import { decodersOf } from '../../src/gossip/messages.ts';
import { topicPipeline } from '../../src/gossip/pipeline.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { GO_P2P } from '../../src/wire/format.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { VIEW } from '../fakes/validated.ts';
import { addressOf, nodeOptions } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const TOPIC = 'prefix-best_block';
const WITHOUT = 'without ';
/** Without these a network of Go nodes would lose messages, or messages of banned peers would travel on. */
const REQUIRED: readonly string[] = ['topicValidators', 'msgIdFn'];

/**
 * The node whose process name is `without <part>` gets a gossipsub that has no such part, and works all the same: as if
 * the part had been renamed.
 */
vi.mock('../../src/adapters/libp2p/libp2p-options.ts', async (original) => {
  const actual = await original<typeof Options>();
  const buildLibp2p: typeof actual.buildLibp2p = async (options, ...others) => {
    const libp2p = await actual.buildLibp2p(options, ...others);
    const { services } = libp2p;
    if (options.processName.startsWith(WITHOUT))
      services.pubsub = hide(services.pubsub, options.processName.slice(WITHOUT.length).split('.'));
    return libp2p;
  };
  return { ...actual, buildLibp2p };
});

function hide<T extends object>(target: T, [name, ...inner]: readonly string[]): T {
  return new Proxy(target, {
    get: (_target, key) => {
      if (key === name && inner.length === 0) return undefined;
      const value: unknown = Reflect.get(target, key, target);
      if (key === name) return hide(value as object, inner);
      return typeof value === 'function' && !Object.hasOwn(target, key) ? value.bind(target) : value;
    },
    set: (_target, key, value) => Reflect.set(target, key, value, target),
  });
}

/** Nodes that do not find each other by themselves. */
async function makeNode({ onTestFinished }: TestContext, processName: string) {
  const banned = new Set<PeerId>();
  const [log, metrics] = [recordingLogger(), new RecordedMetrics()];
  const policy = {
    refusesAddress: () => false,
    refusesPeer: (peerId: PeerId) => banned.has(peerId),
    connectionOpened: () => {},
    malformedRpc: () => {},
  };
  const node = new Libp2pNode(
    { log, metrics, clock: systemClock, random: Math.random, policy },
    await nodeOptions({ processName, dht: { mode: 'private', protocol: `/${Math.random()}/kad/1.0.0` } }),
  );
  onTestFinished(() => node.stop());
  const heard: string[] = [];
  const view = { ...VIEW, ownId: node.hostId(), isBanned: (author: PeerId) => banned.has(author) };
  const decode = decodersOf(GO_P2P);
  const deps = { decode, view, execute: () => {}, isShadow: () => false, clock: systemClock, log, metrics };
  const pipeline = topicPipeline('best_block', deps);
  node.setTopicHandler(TOPIC, (message) => {
    const decision = pipeline(message);
    heard.push(`${message.author} ${decision}`);
    return decision;
  });
  const start = () => node.start(new AbortController().signal, undefined, [TOPIC]);
  const publish = () => node.publish(TOPIC, Buffer.from(JSON.stringify({ PeerID: node.hostId() })));
  const complaints = () => log.lines.filter(({ event }) => /^\w+ has no /.test(event));
  return { node, id: node.hostId(), banned, heard, start, publish, complaints };
}

async function startNode(context: TestContext, processName = 'whole') {
  const made = await makeNode(context, processName);
  await made.start();
  return made;
}

test('the installed gossipsub has every part', async (context) => {
  const { complaints } = await startNode(context);
  expect(complaints()).toEqual([]);
});

test.for(REQUIRED)('refuses to start without %s', async (part, context) => {
  const { start } = await makeNode(context, `${WITHOUT}${part}`);
  await expect(start()).rejects.toMatchObject({
    code: 'LIBRARY_INCOMPATIBLE',
    message: expect.stringMatching(`^gossipsub has no '${part}': .*messages.* would be `),
  });
});

test.concurrent.for(GOSSIPSUB_PARTS.filter((part) => !REQUIRED.includes(part)))(
  'without %s the node says what is lost, forwards messages, and bans hold',
  { timeout: 30_000 },
  async (part, context) => {
    const crippled = await startNode(context, `${WITHOUT}${part}`);
    expect(crippled.complaints()).toMatchObject([
      { level: 'warn', fields: { part }, event: expect.stringMatching(`^gossipsub has no '${part}': \\w.{20}`) },
    ]);
    const [author, listener] = [await startNode(context), await startNode(context)];
    for (const other of [author, listener]) {
      // On a busy machine a TLS handshake may time out and need another attempt.
      await waitFor(() => other.node.connectPeer(addressOf(crippled.node)), { what: 'the connection' });
      await waitFor(() => other.node.getTopic(TOPIC)?.mesh().includes(crippled.id), { what: 'the mesh' });
    }
    await author.publish();
    await waitFor(() => listener.heard.includes(`${author.id} accept`), { what: 'the message of the author' });

    crippled.banned.add(author.id);
    await author.publish();
    await waitFor(() => crippled.heard.length === 2, { what: 'the message of the banned author' });
    expect(crippled.heard).toEqual([`${author.id} accept`, `${author.id} ignore`]);
    await crippled.publish();
    await waitFor(() => listener.heard.length === 2, { what: 'the message after the one of the banned author' });
    expect(listener.heard).toEqual([`${author.id} accept`, `${crippled.id} accept`]);

    await crippled.node.disconnectPeer(author.id);
    await expect(crippled.node.connectPeer(addressOf(author.node))).rejects.toMatchObject({ code: 'PEER_UNREACHABLE' });
    await author.node.connectPeer(addressOf(crippled.node)).catch(() => {});
    await waitFor(() => author.node.currentlyConnectedPeers().length === 0, { what: 'the end of the connection' });
    expect(crippled.node.currentlyConnectedPeers().map(({ id }) => id)).toEqual([listener.id]);
  },
);
