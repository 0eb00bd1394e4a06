// Our node among Go peers that score their neighbours as nodes of today do: nothing that it does in normal work costs
// it anything, whoever restarts and however often it is pruned.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busSubtree, messageBus } from '../support/bus-network.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoScored } from '../support/go-scored.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const WORK_MS = 5 * 60_000;
/** One step of the work: who is pruned or restarted changes with each. */
const STEP_MS = 15_000;
const topics = busTopics('regtest');
const dataFolder = temporaryFolder('bus-scoring');

let server: ServerProcess;
let peers: GoScored[];

const startServer = (port = '0') =>
  ServerProcess.start({
    dataFolder,
    settings: { ...messageBus('regtest'), p2p_port: port, embedded_chain_mine_interval: '2s' },
  });
const startPeer = () => GoScored.start({ network: 'regtest' });

/** Connects the peer again and again, as Go's nodes do with their bootstrap peers, until our node hears it. */
async function join(peer: GoScored): Promise<void> {
  const isJoined = async () => {
    await peer.connect(server.address).catch(() => undefined);
    return (await peer.mesh()).subscribers[topics.block]?.includes(server.peerId);
  };
  await waitFor(isJoined, { timeoutMs: 60_000, what: 'our node at the peer' });
}

beforeAll(async () => {
  server = await startServer();
  peers = await Promise.all([startPeer(), startPeer(), startPeer()]);
  for (const peer of peers) await join(peer);
});

afterAll(async () => {
  await Promise.all([...(peers ?? []).map((peer) => peer.stop()), server?.stop()]);
});

async function restartServer(): Promise<void> {
  const port = /\/tcp\/(\d+)\//.exec(server.address)?.[1] ?? '0';
  await server.stop();
  server = await startServer(port);
  for (const peer of peers) await join(peer);
}

async function replacePeer(index: number): Promise<void> {
  await peers[index]?.stop();
  const peer = await startPeer();
  peers[index] = peer;
  await join(peer);
}

/** Prunes our node from all topics: it must not graft for a minute. */
const pruneUs = (index: number) => peers[index]?.control({ peerId: server.peerId, prune: Object.values(topics) });

/** Leaves a topic, which prunes us with Go's shorter back-off, and joins it again. */
async function leaveAndJoin(index: number): Promise<void> {
  await peers[index]?.leave(topics.subtree);
  await peers[index]?.join(topics.subtree);
}

const STEPS: readonly (() => Promise<unknown> | undefined)[] = [
  () => pruneUs(0),
  () => leaveAndJoin(1),
  restartServer,
  () => pruneUs(1),
  () => peers[2]?.disconnect(server.peerId).then(() => peers[2] && join(peers[2])),
  () => replacePeer(2),
  () => pruneUs(2),
  restartServer,
];

/** The lowest score that the peer ever saw of us, and the highest penalty counter. */
async function scoreAt(peer: GoScored) {
  const { inspections, peers: scores } = await peer.scores();
  const { lowest = 0, highestPenalty = 0 } = scores[server.peerId] ?? {};
  return { inspections, lowest, highestPenalty };
}

test('five minutes of normal work, restarts and PRUNEs in turn: our score is never below 0 at any Go peer', {
  timeout: WORK_MS + 240_000,
}, async () => {
  const until = performance.now() + WORK_MS;
  let steps = 0;
  let published = 0;
  for (let nextStepMs = performance.now(); performance.now() < until; ) {
    for (const peer of peers) {
      await peer.publish(topics.subtree, busSubtree(peer.peerId));
      published += 1;
    }
    if (performance.now() >= nextStepMs) {
      await STEPS[steps % STEPS.length]?.();
      steps += 1;
      nextStepMs = performance.now() + STEP_MS;
    }
    for (const peer of peers) expect(await scoreAt(peer)).toMatchObject({ lowest: 0 });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const results = await Promise.all(peers.map(scoreAt));
  console.log('steps', steps, 'published', published, 'scores', JSON.stringify(results));
  expect(steps).toBeGreaterThanOrEqual(STEPS.length);
  // The behaviour counter itself stays at 0: no broken promise, no GRAFT inside a back-off.
  for (const result of results) expect(result).toMatchObject({ lowest: 0, highestPenalty: 0 });
  for (const peer of peers) expect((await scoreAt(peer)).inspections).toBeGreaterThan(0);
});
