// Teranode's own settings files, started as they are under their contexts: what the server says about its wire and
// about settings that do nothing here. Their services do not run, so it waits for the blockchain service.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { begin } from '../support/begun-server.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';
import { ServerProcess } from '../support/server-process.ts';

const keysOf = (settings: unknown) => (settings as { readonly key: string }[]).map(({ key }) => key);

test.each([
  ['teranode-2025-09-settings.conf', 'dev', 'go-p2p'],
  ['teranode-2025-09-settings.conf', 'docker.m', 'go-p2p'],
  ['teranode-2025-11-settings.conf', 'dev', 'message-bus'],
  ['teranode-2025-11-settings.conf', 'docker.m', 'message-bus'],
])('%s starts in context %s, on %s, and names its settings without effect', async (file, context, wire) => {
  const folder = temporaryFolder('settings-files');
  copyFileSync(join(REPO, 'test/data/settings', file), join(folder, 'settings.conf'));
  const server = begin({ SETTINGS_CONTEXT: context, logLevel: 'INFO' }, { folder, isolated: true });
  try {
    expect((await server.awaitLine('wire chosen')).wires).toEqual([wire]);
    const { settings } = await server.awaitLine('settings without effect');
    expect(settings).toContainEqual({ key: expect.any(String), reason: expect.any(String) });
    const ofWire = ['p2p_bootstrap_peers', 'p2p_dht_mode', 'p2p_enable_nat'];
    if (wire === 'message-bus') expect(ofWire.filter((key) => keysOf(settings).includes(key))).toEqual([]);
    await server.awaitLine('waiting for blockchain service');
    expect(server.hasLogged('unknown setting')).toBe(false);
  } finally {
    expect(await server.stop()).toBe(0);
  }
});

test('misspelled settings are named in the log with the setting that was likely meant, whatever their prefix', async () => {
  const misspelled = {
    p2p_static_peer: '/ip4/127.0.0.1/tcp/1',
    datafolder: './elsewhere',
    kafka_blockConfig: 'kafka://127.0.0.1:1/blocks',
    grpc_admin_api_kye: 'not-the-admin-key',
    KAFKA_ENABLE_TSL: 'true',
  };
  const server = begin(misspelled, { isolated: true });
  try {
    for (const [key, nearest] of [
      ['p2p_static_peer', 'p2p_static_peers'],
      ['datafolder', 'dataFolder'],
      ['kafka_blockConfig', 'kafka_blocksConfig'],
      ['grpc_admin_api_kye', 'grpc_admin_api_key'],
      ['KAFKA_ENABLE_TSL', 'KAFKA_ENABLE_TLS'],
    ] as const) {
      const line = await server.awaitLine('unknown setting', new RegExp(`"${key}"`));
      expect(line).toMatchObject({ level: 'warn', key, nearest });
    }
  } finally {
    await server.stop();
  }
});

test('a context that no key of the settings files names refuses the start, and the refusal names the nearest one', async () => {
  const settings = (SETTINGS_CONTEXT: string) => ({ settings: { SETTINGS_CONTEXT } });
  const [typo, nonsense] = await Promise.all([
    ServerProcess.runToEnd(settings('mainet')),
    ServerProcess.runToEnd(settings('nonsense')),
  ]);
  expect([typo.code, nonsense.code]).toEqual([2, 2]);
  expect(typo.errors).toContain('SETTINGS_CONTEXT = mainet   [environment SETTINGS_CONTEXT]');
  expect(typo.errors).toMatch(/expected: context .*did you mean mainnet\?/);
  expect(nonsense.errors).toMatch(/expected: context .*\(.*mainnet, testnet.*\)/);
});
