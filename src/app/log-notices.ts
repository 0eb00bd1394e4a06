// What an operator reads at the start about settings that change nothing.
import type { Logger } from '../ports/log.ts';
import type { LoadedSettings } from '../settings/load.ts';

export function logNotices(log: Logger, notices: LoadedSettings['notices'] | undefined): void {
  if (notices === undefined) return;
  const { withoutEffect, unknown } = notices;
  const harmless = withoutEffect.filter(({ isUnsafe }) => !isUnsafe);
  for (const { key, reason, isUnsafe } of withoutEffect)
    if (isUnsafe) log.warn({ key, reason }, 'setting without effect');
  if (harmless.length > 0) log.info({ settings: harmless }, 'settings without effect');
  for (const { key, nearest } of unknown)
    log.warn(nearest === undefined ? { key } : { key, nearest }, 'unknown setting');
}
