// The limits of libp2p's store, and its listings.
import { Key } from 'interface-datastore';
import { expect, test } from 'vitest';
import { BoundedDatastore } from '../../../src/adapters/libp2p/discovery/bounded-datastore.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

function setUp(maxEntries: number, maxBytes = 1 << 20) {
  const metrics = new RecordedMetrics();
  return { metrics, store: new BoundedDatastore({ metrics }, { maxEntries, maxBytes }) };
}

const value = (size = 1) => new Uint8Array(size);

test('stores, reads, lists and deletes entries', async () => {
  const { store } = setUp(10);
  store.put(new Key('/peers/a'), Uint8Array.of(1));
  store.put(new Key('/dht/provider/b'), Uint8Array.of(2));
  expect(store.get(new Key('/peers/a'))).toEqual(Uint8Array.of(1));
  expect(store.has(new Key('/peers/b'))).toBe(false);
  expect(() => store.get(new Key('/peers/b'))).toThrow(expect.objectContaining({ name: 'NotFoundError' }));
  const found = [];
  for await (const { key } of store.query({ prefix: '/dht' })) found.push(key.toString());
  expect(found).toEqual(['/dht/provider/b']);
  store.delete(new Key('/peers/a'));
  expect(store.size()).toBe(1);
});

test('a flood of one kind evicts neither other kinds nor recently used entries', () => {
  const { store, metrics } = setUp(100);
  store.put(new Key('/peers/honest'), value());
  store.put(new Key('/dht/ours'), value());
  for (let i = 0; i < 1000; i += 1) {
    store.put(new Key(`/dht/provider/${i}`), value());
    store.get(new Key('/dht/ours'));
  }
  expect(store.size()).toBe(101);
  expect(store.has(new Key('/peers/honest'))).toBe(true);
  expect(store.has(new Key('/dht/ours'))).toBe(true);
  expect(metrics.count('teranode_p2p_datastore_evicted_total')).toBe(901);
});

test('the number of bytes and the number of kinds are limited', () => {
  const { store } = setUp(1000, 10_000);
  for (let i = 0; i < 100; i += 1) store.put(new Key(`/a/${i}`), value(800));
  expect(store.size()).toBe(10);
  for (let i = 0; i < 5000; i += 1) store.put(new Key(`/kind${i}/x`), value());
  expect(store.size()).toBeLessThan(16 * 50 + 10);
});

test('lists exactly the entries below a path, after any sequence of writes and deletes', async () => {
  const { store } = setUp(1000);
  const listed = async (prefix: string) => {
    const found: string[] = [];
    for await (const { key } of store.query({ prefix })) found.push(key.toString());
    for await (const key of store.queryKeys({ prefix })) expect(found).toContain(key.toString());
    return found;
  };
  for (let i = 0; i < 900; i += 1) store.put(new Key(`/dht/provider/other${i}/p`), value());
  for (const peer of ['a', 'b', 'b', 'c']) store.put(new Key(`/dht/provider/key/${peer}`), value());
  store.delete(new Key('/dht/provider/key/a'));
  expect(await listed('/dht/provider/key')).toEqual(['/dht/provider/key/c', '/dht/provider/key/b']);
  store.put(new Key('/dht/provider/key/b'), value());
  expect(await listed('/dht/provider/key')).toEqual(['/dht/provider/key/b', '/dht/provider/key/c']);
  store.put(new Key('/dht/ours'), value());
  expect(await listed('/dht')).toHaveLength(903);
  expect(await listed('/dht/provider')).toHaveLength(902);
  for (let i = 0; i < 998; i += 1) store.put(new Key(`/dht/provider/more${i}/p`), value());
  expect(await listed('/dht/provider/key')).toEqual(['/dht/provider/key/b']);
  store.put(new Key('/dht/provider/last/p'), value());
  expect(await listed('/dht/provider/key')).toEqual([]);
});

test('the cost of listing a path does not grow with the size of the store', async () => {
  const { store } = setUp(50_000);
  for (let i = 0; i < 20_000; i += 1) store.put(new Key(`/dht/provider/other${i}/p`), value());
  store.put(new Key('/dht/provider/key/a'), value());
  let looked = 0;
  for (const _pair of store._all({ prefix: '/dht/provider/key' })) looked += 1;
  expect(looked).toBe(1);
});
