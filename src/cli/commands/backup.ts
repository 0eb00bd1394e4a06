// `teranode-p2p backup` and `restore`: copy the data folder of the settings into one file while its node runs, and back.
import { dirname, resolve } from 'node:path';
import { backUpFolder, restoreFolder } from '../../adapters/sql/data-backup.ts';
import type { Settings } from '../../settings/load.ts';
import type { CommandIo } from './io.ts';
import { BytesShown } from './progress.ts';
import { commandSettings } from './settings-folder.ts';
import { byteCount, counted, visible } from './table.ts';

interface BackupFlags {
  readonly settings?: string | undefined;
}

interface RestoreFlags extends BackupFlags {
  readonly overwrite?: boolean | undefined;
}

/** Throws SETTINGS_INVALID, BACKUP_FAILED. */
export function backupCommand(file: string, flags: BackupFlags, io: CommandIo): void {
  const { settings } = commandSettings(flags.settings, io);
  const folder = resolve(io.cwd, settings.dataFolder);
  const progress = new BytesShown('backing up', io.stderr);
  const { files, bytes } = progress.during((copied) => backUpFolder(folder, resolve(io.cwd, file), copied));
  const what = `backed up ${counted(files.length, 'file')} of ${folder} to ${file}, ${byteCount(bytes)}`;
  io.stdout.write(`${visible(what)}\n`);
  for (const place of elsewhere(settings, folder, io.cwd)) io.stdout.write(`not in the backup: ${visible(place)}\n`);
}

/** Throws SETTINGS_INVALID, BACKUP_FAILED, DATA_FOLDER_LOCKED, DATA_FOLDER_UNUSABLE. */
export function restoreCommand(file: string, flags: RestoreFlags, io: CommandIo): void {
  const folder = resolve(io.cwd, commandSettings(flags.settings, io).settings.dataFolder);
  const progress = new BytesShown('restoring', io.stderr);
  const options = { overwrites: flags.overwrite === true };
  const { files } = progress.during((copied) => restoreFolder(resolve(io.cwd, file), folder, { ...options, copied }));
  io.stdout.write(`${visible(`restored ${counted(files.length, 'file')} of ${file} to ${folder}`)}\n`);
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
