import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PeerCache } from '../../../src/adapters/libp2p/discovery/peer-cache.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const [A, B, C, D] = [1, 2, 3, 4].map((i) => peerIdFromPublicKey(publicKey(i)) ?? '') as [
  string,
  string,
  string,
  string,
];
const ADDRESS = '/ip4/1.2.3.4/tcp/1';

/** An Ed25519 key in libp2p's protobuf form. */
function publicKey(filledWith: number): Uint8Array {
  return Buffer.concat([Buffer.from('08011220', 'hex'), Buffer.alloc(32, filledWith)]);
}

function setUp() {
  const clock = new FakeClock();
  const log = recordingLogger();
  const file = join(temporaryFolder('cache'), 'deep', 'teranode_peers.json');
  const open = () => new PeerCache({ log, nowMs: () => clock.now() }, { file, maxPeers: 3, ttlMs: 1000 });
  return { clock, log, file, open };
}

describe('peer cache', () => {
  test('comes back after a restart', async () => {
    const { open } = setUp();
    const first = open();
    first.seen(A, [ADDRESS]);
    await first.save();
    expect(await open().load()).toEqual([{ id: A, addresses: [ADDRESS], lastSeenMs: 1_700_000_000_000 }]);
  });

  test('keeps the peers seen last, and none without an address', () => {
    const { open, clock } = setUp();
    const cache = open();
    for (const id of [A, B, C, D]) {
      clock.advance(1);
      cache.seen(id, [ADDRESS]);
    }
    cache.seen(A, []);
    expect(cache.size()).toBe(3);
  });

  test('forgets what is older than its TTL', async () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen(A, [ADDRESS]);
    await cache.save();
    clock.advance(1001);
    expect(await open().load()).toEqual([]);
  });

  test.each(['not json', '{"version":2}', '{"version":1,"peers":[{"id":5}]}', '{"version":1,"peers":5}', ''])(
    'a damaged file (%j) is reported and left out',
    async (text) => {
      const { open, file, log } = setUp();
      const cache = open();
      cache.seen(A, [ADDRESS]);
      await cache.save();
      writeFileSync(file, text);
      expect(await open().load()).toEqual([]);
      expect(log.lines.map(({ level }) => level)).toContain('warn');
    },
  );

  test('what a peer says of itself is judged when it comes: length, number, form, whose address it is', async () => {
    const { open } = setUp();
    const cache = open();
    const long = `/dns4/${'a'.repeat(600)}/tcp/1`;
    cache.seen(A, [
      long,
      'nonsense',
      `${ADDRESS}/p2p/${B}`,
      ...Array.from({ length: 50 }, (_e, i) => `${ADDRESS}${i}`),
    ]);
    cache.seen(B, [long]);
    cache.seen('nobody', [ADDRESS]);
    cache.seen(C, [`${ADDRESS}/p2p/${C}`]);
    await cache.save();
    const peers = await open().load();
    expect(peers.map(({ id, addresses }) => [id, addresses])).toEqual(
      expect.arrayContaining([
        [A, Array.from({ length: 8 }, (_e, i) => `${ADDRESS}${i}`)],
        [C, [`${ADDRESS}/p2p/${C}`]],
      ]),
    );
    expect(peers).toHaveLength(2);
  });

  test('one bad entry of the file costs itself only, one bad address too', async () => {
    const { open, file, log, clock } = setUp();
    const lastSeenMs = clock.now();
    const bad = [
      { id: B, addresses: [`/dns4/${'a'.repeat(600)}/tcp/1`], lastSeenMs },
      { id: B, addresses: 'none', lastSeenMs },
      { id: 'nobody', addresses: [ADDRESS], lastSeenMs },
      null,
    ];
    const peers = [...bad, { id: A, addresses: [5, 'nonsense', ADDRESS], lastSeenMs }];
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify({ version: 1, peers }));
    expect(await open().load()).toEqual([{ id: A, addresses: [ADDRESS], lastSeenMs }]);
    expect(log.lines).toEqual([expect.objectContaining({ level: 'warn', fields: { file, dropped: 4 } })]);
  });

  test('never writes more than it reads again', async () => {
    const { file, log, clock } = setUp();
    const open = () => new PeerCache({ log, nowMs: () => clock.now() }, { file, maxPeers: 10_000, ttlMs: 1_000_000 });
    const cache = open();
    // Written as six characters each.
    const addresses = Array.from({ length: 8 }, (_e, i) => `/dns4/${'\u0001'.repeat(490)}/tcp/${i + 1}`);
    const ids = Array.from({ length: 400 }, (_e, i) => {
      const key = Buffer.concat([Buffer.from('08011220', 'hex'), Buffer.alloc(32)]);
      key.writeUInt32BE(i, 4);
      return peerIdFromPublicKey(key) ?? '';
    });
    for (const id of ids) {
      clock.advance(1);
      cache.seen(id, addresses);
    }
    await cache.save();
    const again = await open().load();
    expect(again.length).toBeGreaterThan(100);
    expect(again[0]?.id).toBe(ids.at(-1));
  });

  test('writes only when something changed', async () => {
    const { open, file } = setUp();
    const cache = open();
    await cache.save();
    expect(() => readFileSync(file)).toThrow();
  });
});
