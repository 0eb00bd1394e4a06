// Liveness as a prober sees it, over HTTP: with an event loop that is really blocked, and with gossip whose messages
// never come out.
import { Worker } from 'node:worker_threads';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { afterEach, expect, test } from 'vitest';
import { HttpServer } from '../../src/adapters/http/server/http-server.ts';
import type { Libp2pNode } from '../../src/adapters/libp2p/libp2p-node.ts';
import type { TeranodeLibp2p } from '../../src/adapters/libp2p/libp2p-options.ts';
import { Liveness, type LivenessOptions } from '../../src/app/health/liveness.ts';
import { systemClock } from '../../src/ports/clock.ts';
import type { Progress } from '../../src/ports/progress.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { addressOf, Nodes, TOPICS } from '../support/nodes.ts';
import { waitFor } from '../support/wait.ts';

const PATHS = [
  ['full', '/health/live'],
  ['probes', '/health/liveness'],
] as const;
const [TOPIC = ''] = TOPICS;
/** More than a busy machine lets the loop wait. */
const LOOP_STUCK_MS = 2000;
/** The beat that comes late is due within a second. */
const BLOCK_MS = LOOP_STUCK_MS + 1500;

const undo: (() => unknown)[] = [];
const nodes = new Nodes();

afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
  await nodes.stop();
});

/** URLs of the liveness probe. */
async function serve(pipelines: () => Progress[], options: LivenessOptions): Promise<string[]> {
  const liveness = new Liveness({ clock: systemClock, metrics: new RecordedMetrics(), pipelines }, options);
  liveness.start();
  undo.push(() => liveness.stop());
  const sources = {
    health: async () => liveness.report(),
    scrape: async () => ({ contentType: 'text/plain', body: '' }),
  };
  const urls: string[] = [];
  for (const [routes, path] of PATHS) {
    const server = new HttpServer(
      { log: recordingLogger(), sources },
      { listenAddress: '127.0.0.1:0', tls: undefined, routes },
    );
    await server.start();
    undo.push(() => server.stop());
    urls.push(`http://${server.address()}${path}`);
  }
  return urls;
}

async function ask(urls: readonly string[]): Promise<{ status: number; text: string }[]> {
  return await Promise.all(
    urls.map(async (url) => {
      const response = await fetch(url);
      return { status: response.status, text: await response.text() };
    }),
  );
}

const WELL = { status: 200, text: 'OK' };

test('liveness fails for a probe that came while the event loop was blocked, but not for later ones', async () => {
  const urls = await serve(() => [], { loopStuckMs: LOOP_STUCK_MS, pipelineStuckMs: 60_000 });
  await waitFor(async () => expect(await ask(urls)).toEqual([WELL, WELL]), { what: 'the first answers' });
  // Asks from a thread of its own while this one does nothing else.
  const asked = new Int32Array(new SharedArrayBuffer(4));
  const prober = new Worker(
    `const { parentPort, workerData: { urls, asked } } = require('node:worker_threads');
    const ask = async (url) => {
      const answer = fetch(url);
      Atomics.add(asked, 0, 1);
      const response = await answer;
      return { status: response.status, text: await response.text() };
    };
    Promise.all(urls.map(ask)).then((answers) => parentPort.postMessage(answers));`,
    { eval: true, workerData: { urls, asked } },
  );
  undo.push(() => prober.terminate());
  const answers = new Promise((resolve) => prober.once('message', resolve));
  await new Promise((resolve) => prober.once('online', resolve));
  while (Atomics.load(asked, 0) < urls.length);
  const endMs = performance.now() + BLOCK_MS;
  while (performance.now() < endMs);
  const failed = { status: 503, text: expect.stringMatching(/^event_loop: FAILED \(stood still for \d+ ms\)\n$/) };
  expect(await answers).toEqual([failed, failed]);
  await waitFor(async () => expect(await ask(urls)).toEqual([WELL, WELL]), { what: 'the next beat' });
});

test('liveness fails while gossip messages do not come out of their validation', async () => {
  // Messages of other keys than Ed25519 are validated by gossipsub, asynchronously.
  const privateKey = (await generateKeyPair('secp256k1')) as unknown as Ed25519PrivateKey;
  const [{ node: author }, { node }] = [await nodes.start({ privateKey }), await nodes.start()];
  const heard: string[] = [];
  node.setTopicHandler(TOPIC, ({ bytes }) => {
    heard.push(Buffer.from(bytes).toString());
    return 'accept';
  });
  await author.connectPeer(addressOf(node));
  await waitFor(() => author.getTopic(TOPIC)?.mesh().includes(node.hostId()), { what: 'the mesh' });
  const urls = await serve(() => [node.gossipProgress() ?? []].flat(), { loopStuckMs: 60_000, pipelineStuckMs: 2000 });
  await author.publish(TOPIC, Buffer.from('before'));
  await waitFor(() => heard.length === 1, { what: 'a message' });
  expect(node.gossipProgress()).toEqual({ begun: 1, ended: 1 });

  const release = holdValidation(node);
  undo.push(release);
  await author.publish(TOPIC, Buffer.from('held'));
  const failed = {
    status: 503,
    text: expect.stringMatching(/^pipeline: FAILED \(1 messages under way, none came out for \d+ ms\)\n$/),
  };
  await waitFor(async () => expect(await ask(urls)).toEqual([failed, failed]), { what: 'both probes' });
  expect(heard).toEqual(['before']);
  release();
  await waitFor(async () => expect(await ask(urls)).toEqual([WELL, WELL]), { what: 'both probes' });
  expect(heard).toEqual(['before', 'held']);
});

/** Validation of messages does not end until the returned function is called. */
function holdValidation(node: Libp2pNode): () => void {
  const { topicValidators } = (node as unknown as { readonly libp2p: TeranodeLibp2p }).libp2p.services.pubsub;
  const validate = topicValidators.get(TOPIC);
  if (validate === undefined) throw new Error('no validator to hold');
  const gate = Promise.withResolvers<void>();
  topicValidators.set(TOPIC, async (...args) => {
    await gate.promise;
    return validate(...args);
  });
  return gate.resolve;
}
