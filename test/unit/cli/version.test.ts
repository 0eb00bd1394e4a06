// What `version` says of the program and the machine.
import { expect, test } from 'vitest';
import { buildVersion } from '../../../src/lib/version.ts';
import { runInProcess } from '../../support/command-line.ts';

test('version names the version, Node.js, the platform and the verifier, for people and programs', async () => {
  const { version, commit } = buildVersion();
  const { status, stdout, stderr } = await runInProcess(['version']);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain(`teranode-p2p  ${version}\n`);
  expect(stdout).toMatch(new RegExp(`^Node\\.js +${process.version}$`, 'm'));
  expect(stdout).toMatch(new RegExp(`^platform +${process.platform} ${process.arch} `, 'm'));
  expect(stdout).toMatch(/^verifier +(?:native|libsodium|node:crypto)/m);
  const json = JSON.parse((await runInProcess(['version', '--json'])).stdout);
  expect(json).toMatchObject({ version, commit, node: process.version, platform: process.platform });
  expect(json.verifier).toMatch(/^(?:native|libsodium|node:crypto)$/);
});

test('-V and --version print the version alone', async () => {
  for (const flag of ['-V', '--version'])
    expect(await runInProcess([flag])).toEqual({ status: 0, stdout: `${buildVersion().version}\n`, stderr: '' });
});
