// Which providers of the answers to a lookup are used.
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PeerInfo } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { afterEach, expect, test, vi } from 'vitest';
import { Rendezvous, type RendezvousDependencies } from '../../../src/adapters/libp2p/discovery/rendezvous.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

type Dht = RendezvousDependencies['dht'];

let rendezvous: Rendezvous | undefined;

afterEach(() => rendezvous?.stop());

async function peers(count: number): Promise<PeerInfo[]> {
  const keys = await Promise.all(Array.from({ length: count }, () => generateKeyPair('Ed25519')));
  return keys.map((key) => ({ id: peerIdFromPrivateKey(key), multiaddrs: [] }));
}

/** Lookups that bring these answers, one after the other, again and again. */
function lookUp(answers: readonly PeerInfo[][]): ReadonlySet<string> {
  const found = new Set<string>();
  const dht = {
    async *provide() {},
    async *findProviders() {
      for (const providers of answers) yield { name: 'PROVIDER', providers };
    },
  } as unknown as Dht;
  rendezvous = new Rendezvous(
    {
      dht,
      log: recordingLogger(),
      rounds: new RecordedMetrics().counter('rounds'),
      nowMs: () => performance.now(),
      connectedCount: () => 1,
      found: ({ id }) => found.add(id.toString()),
      random: Math.random,
    },
    { topicNames: ['topic'] },
  );
  rendezvous.start();
  return found;
}

test('an answer with hundreds of providers does not end the lookup before the next answer', async () => {
  const [honest] = await peers(1);
  const found = lookUp([await peers(500), honest === undefined ? [] : [honest]]);
  await vi.waitFor(() => expect(found).toContain(honest?.id.toString()), 3000);
});

test('the selection from an answer with too many providers changes from round to round', async () => {
  const all = await peers(600);
  const found = lookUp([all]);
  await vi.waitFor(() => expect(found.size).toBeGreaterThan(400), 10_000);
});
