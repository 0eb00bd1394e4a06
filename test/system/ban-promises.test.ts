// What a started server promises of its bans, the same on SQLite and on PostgreSQL: kept as they were given, across
// restarts, until they end.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { privateNetwork } from '../support/network.ts';
import { PostgresServer } from '../support/postgres.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'a-key-of-this-test-only-43';
const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
const OTHER = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB';
/** What an operator writes, and the one key that it is. */
const WRITTEN: Readonly<Record<string, string>> = {
  '192.0.2.1:9905': '192.0.2.1',
  '::ffff:192.0.2.2': '192.0.2.2',
  '[2001:DB8::1]:9905': '2001:db8::1',
  '198.51.100.77/24': '198.51.100.0/24',
  '2001:db8:1:2:3::4/64': '2001:db8:1:2::/64',
  [PEER]: PEER,
};
const REASONS = [
  ' ',
  'it’s “quoted” \\ \' " ; -- %s $1',
  'two\nlines\tand a tab',
  '</script>',
  '猫 🐈',
  'x'.repeat(200),
];

interface Ban {
  readonly key: string;
  readonly untilMs: number;
  readonly createdAtMs: number;
  readonly reason: string;
  readonly evidence: string;
  readonly source: string;
}

let postgres: PostgresServer;
let databases = 0;
let server: ServerProcess | undefined;

beforeAll(async () => {
  postgres = await PostgresServer.create();
  await postgres.start();
});

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

afterAll(() => postgres?.remove());

type Place = { readonly dataFolder: string; readonly settings: Record<string, string> };

async function start({ dataFolder, settings }: Place, more: Record<string, string> = {}): Promise<void> {
  server = await ServerProcess.start({
    dataFolder,
    settings: { ...privateNetwork('regtest'), grpc_admin_api_key: KEY, ...settings, ...more },
  });
}

async function again(place: Place, more: Record<string, string> = {}): Promise<void> {
  await server?.stop();
  await start(place, more);
}

async function call<T>(method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`http://${server?.ready.httpAddress}/api/v1/${path}`, {
    method,
    headers: { 'x-api-key': KEY, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = (await response.json()) as T;
  expect({ path, status: response.status, answer }).toEqual({ path, status: 200, answer });
  return answer;
}

async function bans(): Promise<readonly Ban[]> {
  const { bans: all } = await call<{ bans: Ban[] }>('GET', 'bans');
  return all.toSorted((a, b) => a.key.localeCompare(b.key));
}

const keys = async () => (await bans()).map(({ key }) => key);
async function ban(subject: string, more: { untilMs?: number; reason?: string } = {}): Promise<Ban> {
  const { isStored, ...given } = await call<Ban & { isStored: boolean }>('POST', 'bans', { subject, ...more });
  expect(isStored).toBe(true);
  return given;
}
const unban = (subject: string) =>
  call<{ lifted: boolean }>('DELETE', `bans?subject=${encodeURIComponent(subject)}`).then(({ lifted }) => lifted);
const addScore = (peer: string, reason: string) => call('POST', `peers/${peer}/score`, { reason });
const explained = (subject: string) =>
  call<{ scores: { role: string; score: number }[]; offences: { reason: string }[] }>('GET', `explain/${subject}`);
const inAnHour = () => Date.now() + 3_600_000;

describe.each(['SQLite', 'PostgreSQL'])('ban guarantees on %s', (kind) => {
  async function place(): Promise<Place> {
    const dataFolder = temporaryFolder('bans');
    if (kind === 'SQLite') return { dataFolder, settings: {} };
    databases += 1;
    await postgres.createDatabase(`promises${databases}`);
    return { dataFolder, settings: { p2p_ban_store: postgres.url(`promises${databases}`) } };
  }

  test('bans survive a restart with every field; a repeated ban is updated, a lifted one is gone', async () => {
    const where = await place();
    await start(where);
    const untilMs = inAnHour();
    for (const [i, written] of Object.keys(WRITTEN).entries())
      expect((await ban(written, { untilMs: untilMs + i, reason: REASONS[i] ?? '' })).key).toBe(WRITTEN[written]);
    const before = await bans();
    expect(before.map(({ key }) => key)).toEqual(Object.values(WRITTEN).toSorted((a, b) => a.localeCompare(b)));
    // Control characters of a reason are shown as spaces.
    const shown = REASONS.map((reason) => reason.replaceAll(/[\n\t]/g, ' '));
    expect(before.map(({ reason }) => reason).toSorted()).toEqual(shown.toSorted());
    await again(where);
    expect(await bans()).toEqual(before);
    const changed = await ban('192.0.2.1', { untilMs: untilMs + 5000, reason: 'another' });
    expect(await unban('198.51.100.0/24')).toBe(true);
    expect(await unban('198.51.100.0/24')).toBe(false);
    await again(where);
    const after = before.filter(({ key }) => key !== '198.51.100.0/24');
    expect(await bans()).toEqual(after.map((each) => (each.key === '192.0.2.1' ? changed : each)));
    expect(changed).toMatchObject({ untilMs: untilMs + 5000, reason: 'another' });
  });

  test('an expired ban is gone, here and after a restart', async () => {
    const where = await place();
    await start(where);
    await ban('192.0.2.9', { untilMs: inAnHour() });
    await ban('192.0.2.8', { untilMs: Date.now() + 3000 });
    await ban('192.0.2.7', { untilMs: Date.now() + 4000 });
    await waitFor(async () => !(await keys()).includes('192.0.2.8'), { what: 'its end' });
    await again(where);
    await waitFor(async () => (await keys()).length === 1, { what: 'the end of the other' });
    expect(await keys()).toEqual(['192.0.2.9']);
  });

  test('scores and offences survive a restart; an unban clears them, and clearing removes every ban', async () => {
    const where = await place();
    await start(where);
    for (const reason of ['invalid_subtree', 'protocol_violation']) await addScore(PEER, reason);
    await addScore(OTHER, 'invalid_subtree');
    const { offences } = await explained(PEER);
    expect(offences.map(({ reason }) => reason)).toEqual(['invalid_subtree', 'protocol_violation']);
    await again(where);
    const { scores, offences: kept } = await explained(PEER);
    expect(kept).toEqual(offences);
    // A point leaves each minute.
    expect(scores).toEqual([{ role: 'author', score: expect.any(Number) }]);
    expect(scores[0]?.score).toBeGreaterThan(20);
    await ban(PEER, { untilMs: inAnHour() });
    await ban('192.0.2.1', { untilMs: inAnHour() });
    await unban(PEER);
    expect(await explained(PEER)).toMatchObject({ scores: [], offences: [] });
    expect((await explained(OTHER)).scores).toHaveLength(1);
    await call('DELETE', 'bans?all=true');
    await again(where);
    expect(await keys()).toEqual([]);
    expect(await explained(PEER)).toMatchObject({ scores: [], offences: [] });
  });

  test('a full ban list evicts the ban that ends first, for good', async () => {
    const where = await place();
    const bound = { p2p_ban_max_entries: '3' };
    await start(where, bound);
    const untilMs = inAnHour();
    const minutes = [50, 10, 30, 20, 40];
    for (const each of minutes) await ban(`192.0.2.${each}`, { untilMs: untilMs + each * 60_000 });
    const expected = ['192.0.2.30', '192.0.2.40', '192.0.2.50'];
    expect(await keys()).toEqual(expected);
    await again(where, bound);
    expect(await keys()).toEqual(expected);
  });
});
