// Where the admin key comes from: setting, file, or made once; never a weak one.
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadAdminKey, readAdminKey } from '../../src/adapters/grpc/admin-key.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';

const CONFIGURED = 'configured key of the operator';

function load(dataFolder: string, configured?: string) {
  const log = recordingLogger();
  return { log, key: loadAdminKey({ configured, dataFolder, log }) };
}

test('without a key, one of 32 random bytes is generated, stored for its owner only, and its file is logged once', async () => {
  const folder = join(temporaryFolder('admin-key'), 'data');
  expect(await readAdminKey(folder)).toBeUndefined();
  const first = load(folder);
  const key = await first.key;
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  const file = join(folder, 'admin.key');
  expect(readFileSync(file, 'utf8')).toBe(`${key}\n`);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['admin.key']);
  expect(first.log.lines).toEqual([{ level: 'info', event: 'generated admin key', fields: { file } }]);
  const second = load(folder);
  expect(await second.key).toBe(key);
  expect(second.log.lines).toEqual([]);
  expect(await readAdminKey(folder)).toBe(key);
  expect(await load(temporaryFolder('admin-key')).key).not.toBe(key);
});

test('the setting takes precedence over the file and creates none', async () => {
  const folder = temporaryFolder('admin-key');
  expect(await load(folder, CONFIGURED).key).toBe(CONFIGURED);
  expect(readdirSync(folder)).toEqual([]);
  writeFileSync(join(folder, 'admin.key'), 'too weak');
  expect(await load(folder, CONFIGURED).key).toBe(CONFIGURED);
});

test('a placeholder in the settings opens nothing: the key is that of the file, and a warning says what to do', async () => {
  const folder = temporaryFolder('admin-key');
  const { key, log } = load(folder, 'testkey');
  expect(await key).toMatch(/^[0-9a-f]{64}$/);
  const file = join(folder, 'admin.key');
  expect(readFileSync(file, 'utf8')).toBe(`${await key}\n`);
  expect(log.lines[0]).toEqual({
    level: 'warn',
    event: expect.stringMatching(/placeholder.*set grpc_admin_api_key to a secret of at least 16 characters/),
    fields: { file },
  });
  expect(await load(folder, 'CHANGEME').key).toBe(await key);
});

test('a short key in the settings is used: whether it may be is checked with the settings', async () => {
  expect(await load(temporaryFolder('admin-key'), 'short').key).toBe('short');
});

test("an operator's key in the file is used unchanged; a file that others can read is logged as a warning", async () => {
  const folder = temporaryFolder('admin-key');
  const file = join(folder, 'admin.key');
  writeFileSync(file, `  ${CONFIGURED}\r\n`);
  chmodSync(file, 0o644);
  const { key, log } = load(folder);
  expect(await key).toBe(CONFIGURED);
  expect(log.lines).toEqual([
    { level: 'warn', event: 'admin key file is readable by other users', fields: { file, mode: '644' } },
  ]);
});

test.each([
  ['empty', ''],
  ['blank', ' \n'],
  ['short', 'a'.repeat(15)],
  ['well-known', 'changemechangeme'],
  ['what no header can carry', 'schlüssel-schlüssel-schlüssel'],
  ['two lines', `${'a'.repeat(20)}\n${'b'.repeat(20)}`],
  ['a whole book', 'a'.repeat(2000)],
])('an admin key file that is %s is refused, and the error says what to do', async (_what, text) => {
  const folder = temporaryFolder('admin-key');
  writeFileSync(join(folder, 'admin.key'), text);
  const refusal = {
    code: 'ADMIN_KEY_REFUSED',
    message: expect.stringMatching(/admin\.key.*delete the file.*grpc_admin_api_key/),
  };
  await expect(load(folder).key).rejects.toMatchObject(refusal);
  await expect(readAdminKey(folder)).rejects.toMatchObject(refusal);
});

test('a key in the settings that no header can carry is refused', async () => {
  for (const key of ['schlüssel-schlüssel', `${'a'.repeat(20)}\n`, 'a'.repeat(2000)]) {
    await expect(load(temporaryFolder('admin-key'), key).key).rejects.toMatchObject({
      code: 'ADMIN_KEY_REFUSED',
      message: expect.stringContaining('grpc_admin_api_key'),
    });
  }
});

test('an unreadable admin key file and an unwritable data folder are errors with a code', async () => {
  const folder = temporaryFolder('admin-key');
  mkdirSync(join(folder, 'admin.key'));
  await expect(load(folder).key).rejects.toMatchObject({
    code: 'ADMIN_KEY_REFUSED',
    message: expect.stringContaining('cannot read'),
  });
  writeFileSync(join(folder, 'file'), '');
  await expect(load(join(folder, 'file', 'data')).key).rejects.toMatchObject({
    code: expect.stringMatching(/REFUSED|UNUSABLE/),
  });
});
