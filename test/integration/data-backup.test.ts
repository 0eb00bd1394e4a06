// Backups of a data folder: which files are in them, that what was backed up can be restored, and that there is no file
// until the archive is complete.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backUpFolder, restoreFolder } from '../../src/adapters/sql/data-backup.ts';
import { openDatabase } from '../../src/adapters/sql/sqlite.ts';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const BACKUP = join(REPO, 'src/adapters/sql/data-backup.ts');

function folders() {
  const base = temporaryFolder('backup');
  const data = join(base, 'data');
  mkdirSync(data);
  return { base, data, archive: join(base, 'node.tar'), restored: join(base, 'restored') };
}

/** A process that backs a folder up, with limits of `sh`. */
const processOf = (data: string, archive: string, limits = 'true') => {
  const script = `process.on('SIGXFSZ', () => {});
    const { backUpFolder } = await import(${JSON.stringify(BACKUP)});
    backUpFolder(${JSON.stringify(data)}, ${JSON.stringify(archive)});`;
  return ['-c', `${limits} && exec "$0" "$@"`, process.execPath, '--input-type=module', '-e', script];
};

test('restores every file that was backed up, whatever its name, and databases that are links to another disk', () => {
  const { base, data, archive, restored } = folders();
  writeFileSync(join(data, 'notes of März (1).txt'), 'mine');
  const database = openDatabase(join(base, 'elsewhere.db'));
  database.exec('CREATE TABLE bans (key TEXT); INSERT INTO bans VALUES (1)');
  symlinkSync(join(base, 'elsewhere.db'), join(data, 'bans.db'));
  const { files } = backUpFolder(data, archive);
  database.close();
  expect(files).toEqual(['bans.db', 'notes of März (1).txt']);
  expect(restoreFolder(archive, restored, { overwrites: false }).files).toEqual(files);
  expect(readFileSync(join(restored, 'notes of März (1).txt'), 'utf8')).toBe('mine');
  const copy = openDatabase(join(restored, 'bans.db'));
  expect(copy.prepare('SELECT count(*) AS n FROM bans').get()?.n).toBe(1);
  copy.close();
});

test('leaves out files that the node is writing, which may be gone a moment later', () => {
  const { data, archive } = folders();
  writeFileSync(join(data, 'admin.key'), 'key');
  writeFileSync(join(data, 'peers.json.new'), '{"peers":');
  expect(backUpFolder(data, archive).files).toEqual(['admin.key']);
});

test('leaves out the address of the running node, which commands in a restored folder would reach otherwise', () => {
  const { data, archive } = folders();
  writeFileSync(join(data, 'admin.key'), 'key');
  writeFileSync(join(data, 'grpc.json'), '{"address":"127.0.0.1:9904"}');
  expect(backUpFolder(data, archive).files).toEqual(['admin.key']);
});

test('refuses an archive in the data folder, which the next backup would contain', () => {
  const { data } = folders();
  writeFileSync(join(data, 'admin.key'), 'key');
  expect(() => backUpFolder(data, join(data, 'node.tar'))).toThrow(/part of the next backup/);
  expect(readdirSync(data)).toEqual(['admin.key']);
});

test('a disk that has no room for the last bytes of an archive is a failure, and leaves no file', () => {
  const { base, data, archive } = folders();
  writeFileSync(join(data, 'peers.json'), Buffer.alloc(2000, 'x'));
  // 3072 bytes; the archive has 512 + 2048 + 1024.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  const { status, stderr } = spawnSync('sh', processOf(data, archive, 'ulimit -f 6'), { encoding: 'utf8', env });
  expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining('BACKUP_FAILED') });
  expect(readdirSync(base)).toEqual(['data']);
});

test('a backup that is killed leaves no file that looks like one', async () => {
  const { base, data, archive } = folders();
  writeFileSync(join(data, 'peers.json'), '');
  truncateSync(join(data, 'peers.json'), 4_000_000_000);
  const backup = spawn('sh', processOf(data, archive), { stdio: 'ignore' });
  endWithTests(backup);
  await waitFor(() => readdirSync(base).some((name) => name.startsWith('.backup-')), { what: 'the backup' });
  backup.kill('SIGKILL');
  await once(backup, 'exit');
  expect(readdirSync(base)).not.toContain('node.tar');
});
