// A settings file that loads, and what is wrong with one that does not.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { P2PError } from '../../src/lib/errors.ts';
import { type LoadedSettings, loadSettings, type SettingProblem } from '../../src/settings/load.ts';
import { temporaryFolder } from './cleanup.ts';

/** All that is required, and nothing else. */
export const MINIMAL_SETTINGS = `
network = regtest
p2p_port = 9905
p2p_block_topic = block
p2p_subtree_topic = subtree
p2p_handshake_topic = handshake
p2p_mining_on_topic = miningon
p2p_rejected_tx_topic = rejected_tx
asset_httpAddress = http://localhost:8090/api/v1
`;

/** A private network of go-p2p. */
export const PRIVATE_NETWORK = { p2p_shared_key: 'ab'.repeat(32), p2p_dht_use_private: 'true' } as const;

/** Loads a text as settings.conf of a folder of its own. */
export function loadText(
  text: string,
  env: Readonly<Record<string, string>> = {},
  options: { readonly checksFiles?: boolean } = {},
): LoadedSettings {
  const folder = temporaryFolder('settings');
  writeFileSync(join(folder, 'settings.conf'), text);
  return loadSettings({ folder, env, ...options });
}

/** The problems for which settings are refused; throws when they are not. */
export function problemsOf(load: () => unknown): readonly SettingProblem[] {
  try {
    load();
  } catch (error) {
    if (error instanceof P2PError && error.code === 'SETTINGS_INVALID')
      return error.details.problems as SettingProblem[];
    throw error;
  }
  throw new Error('not refused');
}
