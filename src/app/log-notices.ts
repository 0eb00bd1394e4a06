// What an operator reads at the start about settings that change nothing.
import type { Logger } from '../ports/log.ts';
import type { LoadedSettings } from '../settings/load.ts';

export function logNotices(log: Logger, notices: LoadedSettings['notices'] | undefined): void {
  if (notices === undefined) return;
  const { withoutEffect, unknown } = notices;
  if (withoutEffect.length > 0) log.info({ settings: withoutEffect }, 'settings without effect');
  for (const { key, nearest } of unknown)
    log.warn(nearest === undefined ? { key } : { key, nearest }, 'unknown setting');
}
