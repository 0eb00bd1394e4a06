// The settings of a command: from the folder of --settings, else from the current one.
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { P2PError } from '../../lib/errors.ts';
import { type LoadedSettings, loadSettings, type SettingSources } from '../../settings/load.ts';
import type { CommandIo } from './io.ts';
import { visible } from './table.ts';

const FILES = ['settings.conf', 'settings_local.conf'] as const;

export function hasSettingsFiles(folder: string): boolean {
  return FILES.some((name) => existsSync(join(folder, name)));
}

/** Absolute. Throws SETTINGS_INVALID when --settings is not a folder. */
export function settingsFolder(given: string | undefined, cwd: string): string {
  const folder = resolve(cwd, given ?? '');
  if (given === undefined || statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return folder;
  const fault = existsSync(folder) ? 'is not a folder' : 'does not exist';
  throw new P2PError(
    'SETTINGS_INVALID',
    visible(`--settings ${given} ${fault} (expected the folder of settings.conf and settings_local.conf)`),
  );
}

/** Throws SETTINGS_INVALID with all problems. */
export function commandSettings(
  given: string | undefined,
  { cwd, env }: Pick<CommandIo, 'cwd' | 'env'>,
  sources: Omit<SettingSources, 'folder' | 'env'> = {},
): LoadedSettings {
  const folder = settingsFolder(given, cwd);
  try {
    return loadSettings({ folder, env, ...sources });
  } catch (error) {
    if (!(error instanceof P2PError) || hasSettingsFiles(folder)) throw error;
    const expected = 'expected there, or in the folder of --settings; the folder of this package has one to copy';
    const where = visible(`  there is no settings.conf in ${folder} (${expected})`);
    throw new P2PError(error.code, `${error.message}\n${where}`, { details: error.details });
  }
}
