// Asks the API again and again for what the feed does not tell. Nothing is asked for while the page is hidden.
import { batch } from '@preact/signals';
import type { Ban, FeedEvent, Health, Network, Peer, Sync } from '../model/api-types.ts';
import { ApiError, adminKey, call } from './api.ts';
import * as store from './store.ts';
import { EventStream } from './stream.ts';

const POLL_MS = 2000;
/** Of slower values: one round in three. */
const SLOW_ROUNDS = 3;
const EARLIER = 200;

const stream = new EventStream({
  onEvent: store.takeEvent,
  onState: (state, problem) => {
    store.stream.value = state;
    if (state === 'refused') store.refusal.value = problem;
    if (state === 'live') {
      void loadEarlier();
      void pollOnce(true);
    }
  },
});

let hasEarlier = false;

/** Begins to read; for the life of the page. */
export function startReading(): void {
  void stream.run();
  void pollForever();
  setInterval(() => {
    store.nowMs.value = Date.now();
  }, 1000);
  window.addEventListener('online', () => stream.retry());
  window.addEventListener('pagehide', () => stream.leave());
  let key = adminKey.value;
  adminKey.subscribe((next) => {
    if (next === key) return;
    key = next;
    store.refusal.value = undefined;
    stream.retry();
    void pollOnce(true);
  });
}

async function pollForever(): Promise<void> {
  for (let round = 0; ; round += 1) {
    if (!document.hidden || round === 0) await pollOnce(round % SLOW_ROUNDS === 0);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** `isFull`: also what changes slowly. */
async function pollOnce(isFull: boolean): Promise<void> {
  const asked = [
    call<Sync>('/api/v1/sync'),
    call<{ peers: Peer[] }>('/api/v1/peers'),
    call<Network>('/api/v1/network'),
    isFull ? call<Health>('/health/ready', { alsoOk: [503] }) : undefined,
    isFull ? call<{ total: number; bans: Ban[] }>('/api/v1/bans?limit=500') : undefined,
  ] as const;
  const [sync, peers, network, health, bans] = await Promise.allSettled(asked);
  batch(() => {
    if (sync.status === 'fulfilled') store.sync.value = sync.value;
    if (peers.status === 'fulfilled') takePeers(peers.value.peers);
    if (network.status === 'fulfilled') takeNetwork(network.value);
    if (health.status === 'fulfilled' && health.value !== undefined) store.health.value = health.value;
    if (bans.status === 'fulfilled' && bans.value !== undefined) store.bans.value = bans.value;
    takeFailures([sync, peers, network, health, bans]);
  });
}

/** Also after a change that the page made. */
export async function refresh(): Promise<void> {
  await pollOnce(true);
}

function takePeers(peers: readonly Peer[]): void {
  store.peers.value = peers;
  store.graph.setPeers(peers);
  store.names.clear();
  for (const { id, clientName } of peers) if (clientName !== undefined) store.names.set(id, clientName);
}

function takeNetwork(network: Network): void {
  store.network.value = network;
  const sum = (pick: (topic: Network['topics'][number]) => number) =>
    network.topics.reduce((total, topic) => total + pick(topic), 0);
  const atMs = Date.now();
  store.results.add(
    atMs,
    sum(({ accepted }) => accepted),
    sum(({ ignored }) => ignored),
    sum(({ rejected }) => rejected),
  );
  store.delays.add(atMs, network.spread.p50Ms, network.spread.p99Ms);
  store.sampleVersion.value += 1;
}

function takeFailures(settled: readonly PromiseSettledResult<unknown>[]): void {
  const errors = settled.flatMap((each) =>
    each.status === 'rejected' && each.reason instanceof ApiError ? [each.reason] : [],
  );
  store.answers.value = !errors.some(({ status }) => status === 0);
  const refused = errors.find(({ needsKey }) => needsKey);
  if (refused !== undefined) store.refusal.value = refused;
  else if (errors.length === 0 && store.stream.value !== 'refused') store.refusal.value = undefined;
}

/** Once: what came before the page was opened. */
async function loadEarlier(): Promise<void> {
  if (hasEarlier) return;
  hasEarlier = true;
  try {
    const { announcements } = await call<{ announcements: FeedEvent[] }>(`/api/v1/announcements?limit=${EARLIER}`);
    store.takeEarlier(announcements);
  } catch {
    hasEarlier = false;
  }
}
