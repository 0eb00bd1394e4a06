import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PeerCache } from '../../../src/adapters/libp2p/peer-cache.ts';
import { FakeClock, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

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
    first.seen('a', ['/ip4/1.2.3.4/tcp/1']);
    await first.save();
    expect(await open().load()).toEqual([
      { id: 'a', addresses: ['/ip4/1.2.3.4/tcp/1'], lastSeenMs: 1_700_000_000_000 },
    ]);
  });

  test('keeps the peers seen last, and none without an address', () => {
    const { open, clock } = setUp();
    const cache = open();
    for (const id of ['a', 'b', 'c', 'd']) {
      clock.advance(1);
      cache.seen(id, ['/ip4/1.2.3.4/tcp/1']);
    }
    cache.seen('e', []);
    expect(cache.size()).toBe(3);
  });

  test('forgets what is older than its TTL', async () => {
    const { open, clock } = setUp();
    const cache = open();
    cache.seen('a', ['/ip4/1.2.3.4/tcp/1']);
    await cache.save();
    clock.advance(1001);
    expect(await open().load()).toEqual([]);
  });

  test.each(['not json', '{"version":2}', '{"version":1,"peers":[{"id":5}]}', ''])(
    'a damaged file (%j) is reported and left out',
    async (text) => {
      const { open, file, log } = setUp();
      const cache = open();
      cache.seen('a', ['x']);
      await cache.save();
      writeFileSync(file, text);
      expect(await open().load()).toEqual([]);
      expect(log.lines.map(({ level }) => level)).toContain('warn');
    },
  );

  test('writes only when something changed', async () => {
    const { open, file } = setUp();
    const cache = open();
    await cache.save();
    expect(() => readFileSync(file)).toThrow();
  });
});
