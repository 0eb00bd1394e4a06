// The store of histories in this process: its bounds, and the file that survives a restart.
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { MAX_FILE_BYTES } from '../../../src/peers/histories/history-file.ts';
import { OwnHistories, type OwnHistoriesOptions } from '../../../src/peers/histories/own-histories.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FIRST = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const SECOND = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
const HASH = 'ab'.repeat(32) as BlockHash;

interface Given extends Partial<OwnHistoriesOptions> {
  readonly folder?: string;
  readonly clock?: FakeClock;
  readonly kept?: ReadonlySet<string>;
}

async function started(given: Given = {}) {
  const {
    folder = temporaryFolder('histories'),
    clock = new FakeClock(),
    kept = new Set<string>(),
    ...options
  } = given;
  const file = join(folder, 'peer-histories.json');
  const [metrics, log] = [new RecordedMetrics(), recordingLogger()];
  const histories = new OwnHistories(
    { clock, metrics, log, isKept: (peerId) => kept.has(peerId) },
    { file, maxPeers: 3, ttlMs: DAY_MS, cleanupIntervalMs: HOUR_MS, fullStoragePenaltyMs: HOUR_MS, ...options },
  );
  await histories.start();
  onTestFinished(() => histories.stop());
  const fail = async (...ids: readonly string[]) => {
    for (const id of ids) await histories.record(id as PeerId, { type: 'failure' });
  };
  const ids = () => histories.histories().map(({ id }) => id);
  return { histories, folder, file, clock, metrics, log, fail, ids };
}

describe('bounds', () => {
  test('the peer without an experience for longest is evicted when there are too many', async () => {
    const { fail, ids, metrics } = await started();
    await fail('a', 'b', 'c', 'a', 'd');
    expect(ids()).toEqual(['c', 'a', 'd']);
    expect(metrics.count('teranode_p2p_peer_histories_evicted_total', { reason: 'full' })).toBe(1);
    expect(metrics.gaugeValue('teranode_p2p_peer_histories')).toBe(3);
    expect(metrics.gaugeValue('teranode_p2p_peer_histories_bound')).toBe(3);
  });

  test('connected and banned peers stay as long as others can be evicted', async () => {
    const kept = new Set(['a', 'b']);
    const { fail, ids } = await started({ kept });
    await fail('a', 'b', 'c', 'd');
    expect(ids()).toEqual(['a', 'b', 'd']);
    kept.add('d');
    kept.add('e');
    await fail('e');
    expect(ids()).toEqual(['b', 'd', 'e']);
  });

  test('a history expires a day after the last experience, or after the peer was connected or banned', async () => {
    const kept = new Set(['connected']);
    const { fail, ids, histories, clock, metrics } = await started({ kept });
    await fail('connected', 'gone');
    clock.advance(DAY_MS);
    histories.purge();
    expect(ids()).toEqual(['connected', 'gone']);
    clock.advance(1);
    histories.purge();
    expect(ids()).toEqual(['connected']);
    expect(metrics.count('teranode_p2p_peer_histories_evicted_total', { reason: 'expired' })).toBe(1);
    kept.clear();
    clock.advance(DAY_MS);
    histories.purge();
    expect(ids()).toEqual(['connected']);
    clock.advance(1);
    histories.purge();
    expect(ids()).toEqual([]);
  });
});

describe('the file', () => {
  async function filled() {
    const node = await started();
    const { histories } = node;
    await histories.record(FIRST, { type: 'catchup_attempt' });
    await histories.record(FIRST, { type: 'valid_block', responseMs: 1234 });
    await histories.record(FIRST, { type: 'catchup_error', message: 'größer "als" erlaubt 😀' });
    await histories.record(FIRST, { type: 'bytes_downloaded', bytes: 2n ** 63n });
    await histories.record(FIRST, { type: 'validated_progress', height: 7, hash: HASH, chainWork: 2n ** 200n });
    await histories.record(SECOND, { type: 'catchup_failure', kind: 'block_incomplete' });
    await histories.record(SECOND, { type: 'catchup_malicious' });
    return node;
  }

  test('a restart keeps every field and the order of use, in a file that only this user reads', async () => {
    const { histories, folder, file, clock } = await filled();
    await histories.stop();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['peer-histories.json']);
    const again = await started({ folder, clock });
    expect(again.histories.histories()).toEqual(histories.histories());
    expect(again.log.lines).toEqual([]);
  });

  test('it is written only when something changed', async () => {
    const { histories, file } = await filled();
    await histories.save();
    await writeFile(file, 'untouched');
    await histories.save();
    await histories.stop();
    expect(await readFile(file, 'utf8')).toBe('untouched');
  });

  test('there is none before the first experience', async () => {
    const { histories, folder } = await started();
    await histories.stop();
    expect(await readdir(folder)).toEqual([]);
  });

  test.each([
    ['is not JSON', () => '{"version":1,"peers":['],
    ['is empty', () => ''],
    ['has another version', () => '{"version":2,"peers":[]}'],
    ['is not an object', () => '[]'],
    ['has no list of peers', () => '{"version":1,"peers":{}}'],
    ['is too large', () => ' '.repeat(MAX_FILE_BYTES + 1)],
  ])('a file that %s is renamed aside and logged, and the store starts empty', async (_case, text) => {
    const folder = temporaryFolder('histories');
    const file = join(folder, 'peer-histories.json');
    await writeFile(file, text());
    const { histories, log, fail } = await started({ folder });
    expect(histories.histories()).toEqual([]);
    expect(log.lines).toMatchObject([
      { level: 'warn', event: 'failed to read peer histories', fields: { file, movedTo: `${file}.damaged` } },
    ]);
    expect((await stat(`${file}.damaged`)).size).toBe(text().length);
    await fail(FIRST);
    await histories.stop();
    expect((await started({ folder })).ids()).toEqual([FIRST]);
  });

  test.each<[string, object | null | string]>([
    ['a peer ID', { id: 'nobody' }],
    ['a count', { attempts: -1 }],
    ['a fraction', { failures: 0.5 }],
    ['a time', { lastFailureMs: 'yesterday' }],
    ['a reputation', { reputation: '5' }],
    ['bytes', { bytesReceived: '-1' }],
    ['a hash', { validated: { height: 1, hash: 'x', chainWork: '1', atMs: 1 } }],
    ['a height', { validated: { height: 2 ** 32, hash: HASH, chainWork: '1', atMs: 1 } }],
    ['work', { validated: { height: 1, hash: HASH, chainWork: 'f'.repeat(257), atMs: 1 } }],
    ['an entry', null],
    ['an entry as text', 'text'],
  ])('%s that is invalid costs only its entry', async (_case, change) => {
    const { histories, folder, file, clock } = await filled();
    await histories.stop();
    const { version, peers } = JSON.parse(await readFile(file, 'utf8')) as { version: 1; peers: { id: string }[] };
    const spoilt = change instanceof Object ? { ...peers.find(({ id }) => id === FIRST), ...change } : change;
    await writeFile(file, JSON.stringify({ version, peers: [spoilt, ...peers.filter(({ id }) => id === SECOND)] }));
    const again = await started({ folder, clock });
    expect(again.ids()).toEqual([SECOND]);
    expect(again.log.lines).toMatchObject([{ event: 'ignored entries of peer histories', fields: { dropped: 1 } }]);
  });

  test('times of a clock that was ahead are times of now, and a penalty is not longer than it can be', async () => {
    const clock = new FakeClock();
    clock.advance(30 * DAY_MS);
    const { histories, folder } = await started({ clock });
    await histories.record(FIRST, { type: 'catchup_failure', kind: 'block_incomplete' });
    await histories.stop();
    const present = new FakeClock();
    const again = await started({ folder, clock: present });
    expect(again.histories.historyOf(FIRST)).toMatchObject({
      lastFailureMs: present.now(),
      fullStoragePenaltyUntilMs: present.now() + HOUR_MS,
    });
    present.advance(DAY_MS + 1);
    again.histories.purge();
    expect(again.ids()).toEqual([]);
  });

  test('histories that expired while the node was off are not read', async () => {
    const { histories, folder, clock } = await filled();
    await histories.stop();
    clock.advance(DAY_MS + 1);
    expect((await started({ folder, clock })).ids()).toEqual([]);
  });

  test('a smaller bound after a restart keeps the peers used last', async () => {
    const { histories, folder, clock } = await filled();
    await histories.stop();
    expect((await started({ folder, clock, maxPeers: 1 })).ids()).toEqual([SECOND]);
  });

  test('a write that fails is logged, and tried again later', async () => {
    const { histories, file, fail, log } = await started();
    await fail(FIRST);
    await mkdir(`${file}.new`);
    await histories.save();
    expect(log.lines).toMatchObject([{ level: 'warn', event: 'failed to write peer histories', fields: { file } }]);
    await rmdir(`${file}.new`);
    await histories.save();
    expect(await readFile(file, 'utf8')).toContain(FIRST);
  });
});
