// The heartbeat of the real gossipsub over a mesh that a test fills in: who is kept when it is too large.
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { KEPT_BY_SCORE, MESH_SIZE } from '../../../src/adapters/libp2p/gossipsub/options.ts';
import { bareLibp2p, TOPICS } from '../../support/nodes.ts';

const [TOPIC] = TOPICS as [string];
/** Go's bound; one more, and the mesh is cut. */
const TOO_MANY = 13;
const RUNS = 60;

/** Private parts of gossipsub. */
interface Router {
  readonly mesh: Map<string, Set<string>>;
  readonly topics: Map<string, Set<string>>;
  readonly outbound: Map<string, boolean>;
  readonly streamsOutbound: Map<string, { readonly protocol: string }>;
  readonly backoff: Map<string, Map<string, number>>;
  readonly protocols: readonly string[];
  readonly score: { addPeer(id: string): void };
  heartbeatTicks: number;
  heartbeat(): Promise<void>;
  sendRpc(id: string, rpc: object): boolean;
}

let ids: string[] = [];

beforeAll(async () => {
  const keys = await Promise.all(Array.from({ length: 40 }, () => generateKeyPair('Ed25519')));
  ids = keys.map((key) => peerIdFromPrivateKey(key).toString());
});

afterEach(() => void vi.restoreAllMocks());

/** The mesh after one heartbeat. All peers are connected and subscribe. */
async function beat(
  inMesh: readonly string[],
  preferenceOf: (id: string) => number,
  {
    prefers = true,
    outside = [],
    outbound = inMesh,
    tick = 1,
  }: { prefers?: boolean; outside?: readonly string[]; outbound?: readonly string[]; tick?: number } = {},
): Promise<string[]> {
  const options = { prefersFirstDeliverers: prefers };
  const libp2p = await bareLibp2p(TOPICS, options, { deliveries: { preferenceOf } });
  const router = libp2p.services.pubsub as unknown as Router;
  const all = [...inMesh, ...outside];
  router.sendRpc = () => true;
  router.mesh.set(TOPIC, new Set(inMesh));
  router.topics.set(TOPIC, new Set(all));
  for (const id of all) {
    router.score.addPeer(id);
    router.outbound.set(id, outbound.includes(id));
    router.streamsOutbound.set(id, { protocol: router.protocols[0] ?? '' });
  }
  router.heartbeatTicks = tick - 1;
  await router.heartbeat();
  return [...(router.mesh.get(TOPIC) ?? [])];
}

/** The same drawings in each run of the tests. */
function seedRandom(seed: number): void {
  let state = seed;
  vi.spyOn(Math, 'random').mockImplementation(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  });
}

test('a mesh that is too large keeps its best first deliverers, wherever they stand in it', async () => {
  const inMesh = ids.slice(0, TOO_MANY);
  const best = [inMesh[5], inMesh[9], inMesh[12]] as string[];
  for (let run = 0; run < RUNS; run += 1) {
    seedRandom(run);
    const kept = await beat(inMesh, (id) => (best.includes(id) ? 0.3 : 0));
    expect(kept).toHaveLength(MESH_SIZE);
    expect(kept).toEqual(expect.arrayContaining(best));
  }
});

test('the other half of the mesh is drawn at random: every other peer has a chance', async () => {
  const inMesh = ids.slice(0, TOO_MANY);
  const best = inMesh.slice(0, KEPT_BY_SCORE);
  const seen = new Set<string>();
  for (let run = 0; run < RUNS; run += 1) {
    seedRandom(run);
    for (const id of await beat(inMesh, (each) => (best.includes(each) ? 0.3 : 0.01))) seen.add(id);
  }
  expect(seen.size).toBe(TOO_MANY);
});

test('neighbours of one attacker that deliver everything first get no more than half of the mesh by it', async () => {
  const [attackers, honest] = [ids.slice(0, KEPT_BY_SCORE + 1), ids.slice(20, 20 + TOO_MANY)];
  const runs: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    seedRandom(run);
    const kept = await beat([...attackers, ...honest], (id) => (attackers.includes(id) ? 1 : 0));
    runs.push(kept.filter((id) => honest.includes(id)).length);
  }
  expect(Math.min(...runs)).toBe(MESH_SIZE - attackers.length);
  // One more attacker than are kept by score, among 14 that are drawn from: mostly three honest peers stay.
  expect(runs.filter((count) => count === MESH_SIZE - KEPT_BY_SCORE).length).toBeGreaterThan(RUNS / 2);
});

test('peers that we dialled keep their places against inbound peers that deliver first', async () => {
  const inMesh = ids.slice(0, TOO_MANY);
  const dialled = inMesh.slice(-2);
  seedRandom(1);
  const kept = await beat(inMesh, (id) => (dialled.includes(id) ? 0 : 0.5), { outbound: dialled });
  expect(kept).toEqual(expect.arrayContaining(dialled));
});

test('a first deliverer outside a mesh that has few is added, one a minute', async () => {
  const inMesh = ids.slice(0, MESH_SIZE);
  const outside = ids.slice(20, 24);
  const after = await beat(inMesh, (id) => (outside.includes(id) ? 0.2 : 0), { outside, tick: 60 });
  expect(after).toHaveLength(MESH_SIZE + 1);
  expect(await beat(inMesh, (id) => (outside.includes(id) ? 0.2 : 0), { outside, tick: 59 })).toHaveLength(MESH_SIZE);
});

test('a mesh with enough first deliverers is left alone', async () => {
  const inMesh = ids.slice(0, MESH_SIZE);
  const outside = ids.slice(20, 24);
  const good = inMesh.slice(0, KEPT_BY_SCORE);
  const preferenceOf = (id: string) => (outside.includes(id) ? 0.9 : good.includes(id) ? 0.05 : 0);
  expect(await beat(inMesh, preferenceOf, { outside, tick: 60 })).toEqual(inMesh);
});

test('without the preference nobody is added for first deliveries', async () => {
  const inMesh = ids.slice(0, MESH_SIZE);
  const outside = ids.slice(20, 24);
  const preferenceOf = (id: string) => (outside.includes(id) ? 0.9 : 0);
  expect(await beat(inMesh, preferenceOf, { outside, tick: 60, prefers: false })).toEqual(inMesh);
});
