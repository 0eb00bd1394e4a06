// The disk of the ban store is full while bans are ordered: what the answers and readiness say, and what is stored once
// there is room again.
import { afterEach, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { FullDisk } from '../support/full-disk.ts';
import { privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const KEY = 'a-key-of-this-test-only-43';
const BANS = 300;
const address = (i: number) => `10.${i >> 8}.${i & 255}.1`;

const ended: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function startOn(disk: FullDisk, dataFolder: string): Promise<ServerProcess> {
  const server = await ServerProcess.start({
    dataFolder,
    settings: {
      ...privateNetwork('regtest'),
      grpc_admin_api_key: KEY,
      p2p_ban_persist_path: `${disk.folder}/bans.db`,
      p2p_http_rate: '0',
    },
  });
  ended.push(() => server.kill().catch(() => {}));
  return server;
}

async function onDisk(megabytes: number): Promise<{ server: ServerProcess; disk: FullDisk; dataFolder: string }> {
  const disk = FullDisk.mount(megabytes);
  ended.push(() => disk.unmount());
  const dataFolder = temporaryFolder('ban-store-outage');
  return { server: await startOn(disk, dataFolder), disk, dataFolder };
}

interface Answer {
  readonly key: string;
  readonly isStored: boolean;
}

async function call<T>(server: ServerProcess, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(`http://${server.ready.httpAddress}/api/v1/${path}`, {
    method,
    headers: { 'x-api-key': KEY, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

async function banMany(server: ServerProcess, from: number, count: number): Promise<readonly Answer[]> {
  const subjects = Array.from({ length: count }, (_each, i) => address(from + i));
  return await Promise.all(subjects.map((subject) => call<Answer>(server, 'POST', 'bans', { subject })));
}

test('bans ordered on a full disk say that they are not stored, and all are kept by a stop once there is room', async () => {
  // So little that the log of as many single writes would fill it again.
  const { server, disk, dataFolder } = await onDisk(2);
  expect((await server.get('/health/ready')).status).toBe(200);
  disk.fill();
  const answers = await banMany(server, 0, BANS);
  expect(answers.filter(({ isStored }) => isStored).length).toBeLessThan(BANS / 2);
  const missing = answers.find(({ isStored }) => !isStored)?.key ?? '';
  expect(await bannedKeys(server)).toHaveLength(BANS);
  const ready = await server.get('/health/ready');
  expect(ready).toMatchObject({
    status: 503,
    body: expect.stringMatching(/ban_store: FAILED \(unavailable, \d+ changes/),
  });
  expect(await admin(server, 'bans', 'add', '192.0.2.1')).toMatchObject([{ ok: true, isStored: false }]);
  expect(await admin(server, 'bans', 'remove', '192.0.2.1')).toMatchObject([{ ok: true, isStored: false }]);
  expect(await call(server, 'DELETE', `bans?subject=${missing}`)).toEqual({ lifted: true, isStored: false });

  disk.free();
  // At once, in the middle of a pause between two attempts.
  expect((await server.stop()).code).toBe(0);
  const again = await startOn(disk, dataFolder);
  const kept = answers.map(({ key }) => key).filter((key) => key !== missing);
  expect(await bannedKeys(again)).toEqual(kept.toSorted());
});

test('a killed server keeps every ban that it said was stored, and readiness returns with the room on the disk', async () => {
  const { server, disk, dataFolder } = await onDisk(16);
  const before = await banMany(server, 0, 50);
  disk.fill();
  const during = await banMany(server, 50, 50);
  disk.free();
  await waitFor(async () => (await server.get('/health/ready')).status === 200, { what: 'readiness' });
  const after = await banMany(server, 100, 50);
  expect([...before, ...after].every(({ isStored }) => isStored)).toBe(true);
  await server.kill();
  const again = await startOn(disk, dataFolder);
  // Readiness had said that those ordered in between were written, too.
  const all = [...before, ...during, ...after].map(({ key }) => key);
  expect(await bannedKeys(again)).toEqual(all.toSorted());
});
