// Orders about bans at a started server over gRPC, HTTP and the command line: what each door says of a ban that still
// covers the subject, of a time in another unit, of a reason, and of an order that cannot be undone.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { admin, bannedKeys, command } from '../support/admin.ts';
import { rawCall, rawClient, stopGrpcAfterEach } from '../support/grpc.ts';
import { privateNetwork } from '../support/network.ts';
import { COMPILE_CACHE, REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';

stopGrpcAfterEach();

const KEY = 'a-key-of-this-test-only-43';
const { banPeer, unbanPeer } = PeerService.method;
const YEAR_MS = 365 * 24 * 3_600_000;

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ settings: { ...privateNetwork('regtest'), grpc_admin_api_key: KEY } });
});

afterAll(() => server?.stop());

const grpc = (): Client => rawClient(server.ready.grpcAddress);
const keyed = { keys: [KEY] };

async function http(method: string, path: string, body?: object): Promise<{ status: number; answer: unknown }> {
  const response = await fetch(`http://${server.ready.httpAddress}/api/v1/${path}`, {
    method,
    headers: { 'x-api-key': KEY, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  return { status: response.status, answer: await response.json() };
}

const unbanOverHttp = (subject: string) => http('DELETE', `bans?subject=${encodeURIComponent(subject)}`);

test.each([
  ['198.51.100.0/24', '198.51.100.7'],
  ['198.51.0.0/16', '198.51.100.0/24'],
  ['2001:db8::/32', '2001:db8::7'],
])('lifting the ban of a part of %s names the ban that still covers %s', async (wide, part) => {
  await admin(server, 'bans', 'add', wide);
  const covered = await rawCall(grpc(), unbanPeer, { addr: part }, keyed);
  expect(covered).toMatchObject({ code: 'OK', response: { ok: false, coveredBy: wide } });
  const said = `the ban of ${wide} until 20`;
  expect(await unbanOverHttp(part)).toMatchObject({
    status: 409,
    answer: { code: 'STILL_BANNED', message: expect.stringContaining(said) },
  });
  const told = await command(server, 'bans', 'remove', part);
  expect(told).toMatchObject({ code: 1, errors: expect.stringContaining(`the ban of ${wide} still covers it`) });

  // With a ban of its own, too: that one is lifted, and the answer does not hide the other.
  await admin(server, 'bans', 'add', part);
  expect((await rawCall(grpc(), unbanPeer, { addr: part }, keyed)).response).toMatchObject({
    ok: true,
    coveredBy: wide,
  });
  await admin(server, 'bans', 'add', part);
  const { status, answer } = await unbanOverHttp(part);
  expect({ status, answer }).toMatchObject({ status: 200, answer: { lifted: true, coveredBy: { key: wide } } });
  await admin(server, 'bans', 'add', part);
  expect(await admin(server, 'bans', 'remove', part)).toMatchObject([{ ok: true, isBanned: true, coveredBy: wide }]);

  expect((await rawCall(grpc(), unbanPeer, { addr: wide }, keyed)).response).toMatchObject({ ok: true, coveredBy: '' });
  expect(await unbanOverHttp(part)).toMatchObject({ status: 200, answer: { lifted: false } });
});

test('a ban beyond ten years, or in the past, is refused with the unit that is expected, and bans nobody', async () => {
  const nowMs = Date.now();
  const seconds = (ms: number) => BigInt(Math.floor(ms / 1000));
  const untils = [BigInt(nowMs + YEAR_MS), 2n ** 62n, 2n ** 63n - 1n, -1n, 1n, seconds(nowMs + 11 * YEAR_MS)];
  for (const until of untils) {
    expect(await rawCall(grpc(), banPeer, { addr: '192.0.2.1', until }, keyed)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: expect.stringMatching(new RegExp(`invalid until ${until} \\(expected Unix seconds`)),
    });
  }
  const micros = (nowMs + YEAR_MS) * 1000;
  for (const untilMs of [micros, Number.MAX_SAFE_INTEGER, -1, Math.floor(nowMs / 1000), nowMs + 11 * YEAR_MS]) {
    expect(await http('POST', 'bans', { subject: '192.0.2.1', untilMs })).toMatchObject({
      status: 400,
      answer: { code: 'INPUT_INVALID', message: expect.stringContaining('expected Unix milliseconds') },
    });
  }
  for (const flags of [
    ['--until', '2999-01-01'],
    ['--for', '90000h'],
  ]) {
    const told = await command(server, 'bans', 'add', '192.0.2.1', ...flags);
    expect(told).toMatchObject({ code: 2, errors: expect.stringContaining('at most ten years') });
  }
  expect(await bannedKeys(server)).toEqual([]);
  const nineYears = seconds(nowMs + 9 * YEAR_MS);
  expect(await rawCall(grpc(), banPeer, { addr: '192.0.2.1', until: nineYears }, keyed)).toMatchObject({ code: 'OK' });
  expect(await admin(server, 'bans', 'remove', '192.0.2.1')).toMatchObject([{ ok: true }]);
});

test('a reason given on the command line is shown in lists; a longer one than HTTP takes is refused', async () => {
  await admin(server, 'bans', 'add', '192.0.2.1', '--reason', 'port scans, “ticket 7”');
  expect(await admin(server, 'bans', 'list')).toMatchObject([{ key: '192.0.2.1', reason: 'port scans, “ticket 7”' }]);
  const told = await command(server, 'bans', 'add', '192.0.2.2', '--reason', 'x'.repeat(201));
  expect(told).toMatchObject({ code: 2, errors: expect.stringContaining('at most 200') });
  expect(await bannedKeys(server)).toEqual(['192.0.2.1']);
  await admin(server, 'bans', 'remove', '192.0.2.1');
});

/** Runs `bans clear` in a terminal of its own and types `answer`; resolves with what the terminal showed. */
async function clearInTerminal(answer: string): Promise<{ shown: string; code: number | null }> {
  const run = `node ${join(REPO, 'src/cli/main.ts')} bans clear --address ${server.ready.grpcAddress} --key ${KEY}`;
  const terminal = spawn('script', ['--quiet', '--return', '--command', run, '/dev/null'], {
    cwd: REPO,
    env: { PATH: process.env.PATH ?? '', ...COMPILE_CACHE, ...server.settings, dataFolder: server.dataFolder },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  terminal.stdout.on('data', (chunk: Buffer) => {
    const wasAsked = shown.includes('[y/N]');
    shown += chunk.toString();
    if (!wasAsked && shown.includes('[y/N]')) terminal.stdin.write(answer);
  });
  const code = await new Promise<number | null>((resolve) => terminal.once('close', resolve));
  return { shown, code };
}

test('lifting all bans asks first, and refuses where nobody can answer, unless --yes is given', async () => {
  await admin(server, 'bans', 'add', '192.0.2.1');
  await admin(server, 'bans', 'add', '192.0.2.2');
  const unasked = await command(server, 'bans', 'clear');
  expect(unasked).toMatchObject({ code: 2, lines: [], errors: expect.stringContaining('--yes') });
  for (const answer of ['n\n', '\n', '\u0004']) {
    const { shown, code } = await clearInTerminal(answer);
    expect({ answer, shown, code }).toMatchObject({ code: 1, shown: expect.stringContaining('Lift all 2 bans?') });
  }
  expect(await bannedKeys(server)).toEqual(['192.0.2.1', '192.0.2.2']);
  expect(await clearInTerminal('yes\n')).toMatchObject({ code: 0, shown: expect.stringContaining('lifted all bans') });
  expect(await bannedKeys(server)).toEqual([]);
  await admin(server, 'bans', 'add', '192.0.2.1');
  expect(await admin(server, 'bans', 'clear', '--yes')).toEqual([{ ok: true, isStored: true }]);
  expect(await bannedKeys(server)).toEqual([]);
});
