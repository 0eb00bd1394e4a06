// `teranode-p2p backup` and `restore`: copy the data folder of the settings into one file while its node runs, and back.
import { dirname, resolve } from 'node:path';
import { backUpFolder, restoreFolder } from '../../adapters/sql/data-backup.ts';
import { loadSettings, type Settings } from '../../settings/load.ts';
import type { CommandIo } from './connection.ts';
import { visible } from './table.ts';

interface BackupFlags {
  readonly settings?: string | undefined;
}

interface RestoreFlags extends BackupFlags {
  readonly overwrite?: boolean | undefined;
}

/** Throws SETTINGS_INVALID, BACKUP_FAILED. */
export function backupCommand(file: string, flags: BackupFlags, io: CommandIo): void {
  const settings = settingsOf(flags, io);
  const folder = resolve(io.cwd, settings.dataFolder);
  const { files, bytes } = backUpFolder(folder, resolve(io.cwd, file));
  io.stdout.write(visible(`backed up ${files.length} files of ${folder} to ${file}, ${bytes} bytes`).concat('\n'));
  for (const place of elsewhere(settings, folder, io.cwd)) io.stdout.write(`not in the backup: ${visible(place)}\n`);
}

/** Throws SETTINGS_INVALID, BACKUP_FAILED, DATA_FOLDER_LOCKED, DATA_FOLDER_UNUSABLE. */
export function restoreCommand(file: string, flags: RestoreFlags, io: CommandIo): void {
  const folder = resolve(io.cwd, settingsOf(flags, io).dataFolder);
  const { files } = restoreFolder(resolve(io.cwd, file), folder, { overwrites: flags.overwrite === true });
  io.stdout.write(visible(`restored ${files.length} files of ${file} to ${folder}`).concat('\n'));
}

function settingsOf(flags: BackupFlags, io: CommandIo): Settings {
  return loadSettings({ folder: flags.settings ?? io.cwd, env: io.env }).settings;
}

/** Places outside the data folder that these settings name for data. */
function elsewhere(settings: Settings, folder: string, cwd: string): string[] {
  const {
    p2p_peer_cache_dir: cache,
    p2p_ban_persist_path: bans,
    p2p_ban_store: store,
    blockchain_store: chain,
  } = settings;
  const isOutside = (path: string) => {
    const whole = resolve(cwd, path);
    return whole !== folder && dirname(whole) !== folder;
  };
  const isDatabaseServer = (url: string | undefined) => /^postgres(ql)?:/.test(url ?? '');
  return [
    ...(cache && isOutside(cache) ? [`p2p_peer_cache_dir ${cache}`] : []),
    ...(bans && isOutside(bans) ? [`p2p_ban_persist_path ${bans}`] : []),
    ...(isDatabaseServer(store) || isDatabaseServer(chain) ? ['the bans in PostgreSQL'] : []),
  ];
}
