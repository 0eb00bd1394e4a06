// Teranode's own settings files, started as they are under their contexts: what the server says about its wire and
// about settings that do nothing here. Their services do not run, so it waits for the blockchain service.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { begin } from '../support/begun-server.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

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
    await server.awaitLine('waiting for blockchain service');
  } finally {
    expect(await server.stop()).toBe(0);
  }
});
