// A backup of a running node: the same identity and the same bans after it is restored elsewhere. A plain copy of its
// databases has neither, and the node that starts from it says so.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { admin, bannedKeys } from '../support/admin.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { runCli } from '../support/cli.ts';
import { privateNetwork } from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const settings = privateNetwork('regtest');
const BANNED = ['192.0.2.1', '192.0.2.2', '2001:db8::/32'];

const folder = temporaryFolder('backup');
const archive = join(folder, 'node.tar');
let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start({ settings });
  for (const subject of BANNED) await admin(server, 'bans', 'add', subject);
});

afterAll(() => server?.stop());

const run = (args: readonly string[], dataFolder: string) => runCli(args, { ...settings, dataFolder });
const warning = (of: ServerProcess) =>
  of.output.json.find(({ event }) => String(event).startsWith('databases are empty'));

test('backup copies the data folder of a running node into a private tar archive and never overwrites', async () => {
  const made = await run(['backup', archive], server.dataFolder);
  expect(made).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^backed up \d+ files of /) });
  expect(statSync(archive).mode & 0o777).toBe(0o600);
  const listed = execFileSync('tar', ['--list', '--file', archive], { encoding: 'utf8' }).trim().split('\n');
  expect(listed).toEqual(expect.arrayContaining(['admin.key', 'bans.db', 'blockchain.db']));
  expect(listed.filter((name) => /^lock|-wal$|-shm$/.test(name))).toEqual([]);
  expect(readdirSync(folder)).toEqual(['node.tar']);

  const before = readFileSync(archive);
  const again = await run(['backup', archive], server.dataFolder);
  expect(again).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('BACKUP_FAILED') });
  expect(readFileSync(archive).equals(before)).toBe(true);
  const nothing = await run(['backup', join(folder, 'none.tar')], join(folder, 'no-such-folder'));
  expect(nothing).toMatchObject({ status: 1, stderr: expect.stringContaining('cannot read the data folder') });
  expect(existsSync(join(folder, 'none.tar'))).toBe(false);
});

test('restore refuses a folder with files or a running node, and damaged archives, and then changes nothing', async () => {
  const used = temporaryFolder('used');
  writeFileSync(join(used, 'notes.txt'), 'mine');
  const refused = await run(['restore', archive], used);
  expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('is not empty (expected --overwrite)') });
  const running = await run(['restore', archive, '--overwrite'], server.dataFolder);
  expect(running).toMatchObject({ status: 1, stderr: expect.stringContaining('DATA_FOLDER_LOCKED') });

  const whole = readFileSync(archive);
  const damaged: readonly (readonly [string, Buffer])[] = [
    ['half', whole.subarray(0, whole.length / 2)],
    ['empty', Buffer.alloc(0)],
    ['other', Buffer.alloc(2048, 'x')],
    ['changed', Buffer.concat([Buffer.from('b'), whole.subarray(1)])],
  ];
  const outside = temporaryFolder('outside');
  writeFileSync(join(outside, 'evil'), 'x');
  execFileSync('tar', ['-cf', join(folder, 'climbs.tar'), '-P', '--format=ustar', join(outside, 'evil')]);
  for (const [name, bytes] of damaged) writeFileSync(join(folder, `${name}.tar`), bytes);
  for (const name of ['climbs', ...damaged.map(([each]) => each)]) {
    const { status, stderr } = await run(['restore', join(folder, `${name}.tar`), '--overwrite'], used);
    expect({ name, status, stderr }).toEqual({ name, status: 1, stderr: expect.stringContaining('BACKUP_FAILED') });
  }
  expect(readdirSync(used).filter((name) => !name.startsWith('lock.db'))).toEqual(['notes.txt']);
});

test('a node started from a restored backup has the identity, the bans and the admin key of the other', async () => {
  const dataFolder = join(temporaryFolder('restored'), 'data');
  const restored = await run(['restore', archive], dataFolder);
  expect(restored).toMatchObject({ status: 0, stderr: '' });
  for (const name of readdirSync(dataFolder).filter((each) => !each.startsWith('lock.db')))
    expect({ name, mode: statSync(join(dataFolder, name)).mode & 0o777 }).toEqual({ name, mode: 0o600 });
  const copy = await ServerProcess.start({ settings, dataFolder });
  try {
    expect(copy.peerId).toBe(server.peerId);
    expect(await bannedKeys(copy)).toEqual(BANNED);
    expect(readFileSync(join(dataFolder, 'admin.key'))).toEqual(readFileSync(join(server.dataFolder, 'admin.key')));
    expect(warning(copy)).toBeUndefined();
    await admin(copy, 'bans', 'remove', '192.0.2.1');
  } finally {
    await copy.kill();
  }
  // The killed node left a log behind, which must not be applied to what takes the place of its database.
  // The system may need a moment to release what the killed process had locked.
  const overwritten = async () => (await run(['restore', archive, '--overwrite'], dataFolder)).status === 0;
  await waitFor(overwritten, { what: 'a folder that no process uses' });
  const again = await ServerProcess.start({ settings, dataFolder });
  try {
    expect(await bannedKeys(again)).toEqual(BANNED);
  } finally {
    await again.stop();
  }
});

test('a node started from a plain copy of the databases warns that they are empty', async () => {
  const dataFolder = join(temporaryFolder('copied'), 'data');
  mkdirSync(dataFolder);
  for (const name of readdirSync(server.dataFolder).filter((each) => each.endsWith('.db')))
    copyFileSync(join(server.dataFolder, name), join(dataFolder, name));
  const copy = await ServerProcess.start({ settings, dataFolder });
  try {
    expect(copy.peerId).not.toBe(server.peerId);
    expect(warning(copy)).toMatchObject({ level: 'warn', files: expect.arrayContaining(['blockchain.db']) });
  } finally {
    await copy.stop();
  }
  expect(warning(server)).toBeUndefined();
});
