// What the peer cache keeps, what it reads back, and when it writes its file.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  const open = (format: 'own' | 'message-bus' = 'own') =>
    new PeerCache({ log, nowMs: () => clock.now() }, { file, maxPeers: 3, ttlMs: 1000, format });
  return { clock, log, file, open };
}

describe('peer cache', () => {
  test('is read back after a restart', async () => {
    const { open } = setUp();
    const first = open();
    first.seen(A, [ADDRESS]);
    await first.save();
    expect(await open().load()).toEqual([{ id: A, addresses: [ADDRESS], lastSeenMs: 1_700_000_000_000 }]);
  });

  test('keeps the peers seen last, and no peer without an address', () => {
    const { open, clock } = setUp();
    const cache = open();
    for (const id of [A, B, C, D]) {
      clock.advance(1);
      cache.seen(id, [ADDRESS]);
    }
    cache.seen(A, []);
    expect(cache.size()).toBe(3);
  });

  test('forgets peers that were last seen longer ago than its TTL', async () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen(A, [ADDRESS]);
    await cache.save();
    clock.advance(1001);
    expect(await open().load()).toEqual([]);
  });

  describe('in the form of go-p2p-message-bus', () => {
    const GO_FILE = [
      { id: A, name: 'miner', addrs: [ADDRESS, 5], last_seen: '2023-11-14T23:13:19.999999999+01:00' },
      { id: B, addrs: [ADDRESS] },
      { id: C, name: '', addrs: [ADDRESS], last_seen: '0001-01-01T00:00:00Z' },
      { id: D, addrs: [ADDRESS], last_seen: '2023-11-13T00:00:00Z' },
      { id: 'nobody', addrs: [ADDRESS], last_seen: 'yesterday' },
    ];

    test('a file is read whatever the form that is written', async () => {
      const { open, file, log } = setUp();
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(GO_FILE, undefined, 2));
      expect(await open().load()).toEqual([
        { id: A, name: 'miner', addresses: [ADDRESS], lastSeenMs: 1_699_999_999_999 },
        { id: B, addresses: [ADDRESS], lastSeenMs: 1_700_000_000_000 },
        { id: C, addresses: [ADDRESS], lastSeenMs: 1_700_000_000_000 },
      ]);
      expect(log.lines).toMatchObject([{ level: 'warn', fields: { dropped: 1 } }]);
    });

    test('the file is written with the fields and times of Go, and names that were read are kept', async () => {
      const { open, file } = setUp();
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(GO_FILE.slice(0, 1)));
      const cache = open('message-bus');
      await cache.load();
      cache.seen(A, [ADDRESS, '/ip4/5.6.7.8/tcp/1']);
      cache.seen(B, [ADDRESS]);
      await cache.save();
      expect(readFileSync(file, 'utf8')).toBe(
        `[{"id":"${A}","name":"miner","addrs":["${ADDRESS}","/ip4/5.6.7.8/tcp/1"],"last_seen":"2023-11-14T22:13:20.000Z"},` +
          `{"id":"${B}","addrs":["${ADDRESS}"],"last_seen":"2023-11-14T22:13:20.000Z"}]\n`,
      );
      expect(await open('message-bus').load()).toHaveLength(2);
    });

    test('a file of our own form is read, too', async () => {
      const { open } = setUp();
      const before = open('own');
      before.seen(A, [ADDRESS]);
      await before.save();
      expect(await open('message-bus').load()).toHaveLength(1);
    });
  });

  test.each(['not json', '{"version":2}', '{"version":1,"peers":[{"id":5}]}', '{"version":1,"peers":5}', ''])(
    'a damaged file (%j) is logged and ignored',
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

  test('checks the addresses of a peer when it learns them: length, number, format, and whose they are', async () => {
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

  test('ignores a bad entry of the file alone, and a bad address alone', async () => {
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

  test('never writes a file that is too large to read', async () => {
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

  test('writes nothing before it has a peer', async () => {
    const { open, file } = setUp();
    await open().save();
    expect(() => readFileSync(file)).toThrow();
  });

  test('writes the file again only when a peer or its addresses changed', async () => {
    const { open, file, clock } = setUp();
    const cache = open();
    // Each write makes a new file and swaps it in.
    const isWritten = async () => {
      const before = statSync(file, { throwIfNoEntry: false })?.ino;
      await cache.save();
      return statSync(file, { throwIfNoEntry: false })?.ino !== before;
    };
    cache.seen(A, [ADDRESS]);
    expect(await isWritten()).toBe(true);
    clock.advance(5);
    cache.seen(A, [ADDRESS]);
    expect(await isWritten()).toBe(false);
    cache.seen(A, [ADDRESS, '/ip4/5.6.7.8/tcp/2']);
    expect(await isWritten()).toBe(true);
    cache.seen(B, [ADDRESS]);
    expect(await isWritten()).toBe(true);
    expect(await isWritten()).toBe(false);
  });

  test('a peer that is connected longer than the TTL is written now and then, and does not expire', async () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen(A, [ADDRESS]);
    for (let i = 0; i < 30; i += 1) {
      clock.advance(100);
      await cache.save();
    }
    expect(await open().load()).toEqual([{ id: A, addresses: [ADDRESS], lastSeenMs: clock.now() }]);
  });

  test('a peer that disconnected was last seen then, one that is connected at a stop is seen now', async () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen(A, [ADDRESS]);
    cache.seen(B, [ADDRESS]);
    clock.advance(10);
    cache.disconnected(A);
    const leftMs = clock.now();
    clock.advance(10);
    await cache.saveLast();
    expect(await open().load()).toEqual([
      { id: B, addresses: [ADDRESS], lastSeenMs: clock.now() },
      { id: A, addresses: [ADDRESS], lastSeenMs: leftMs },
    ]);
  });

  test('a connected peer stays when the cache is full of peers that were seen after it connected', () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen(A, [ADDRESS]);
    for (const id of [B, C, D]) {
      clock.advance(1);
      cache.seen(id, [ADDRESS]);
      cache.disconnected(id);
    }
    expect(cache.size()).toBe(3);
    clock.advance(2000);
    cache.seen(A, [ADDRESS]);
    expect(cache.size()).toBe(1);
  });

  test('a file that could not be written is written at the next save', async () => {
    const { open, file, log } = setUp();
    const cache = open();
    writeFileSync(dirname(dirname(file)).concat('/deep'), 'a file where the folder should be');
    cache.seen(A, [ADDRESS]);
    await cache.save();
    expect(log.lines.map(({ event }) => event)).toEqual(['failed to write the peer cache']);
    rmSync(dirname(file));
    await cache.save();
    expect(await open().load()).toHaveLength(1);
  });
});
