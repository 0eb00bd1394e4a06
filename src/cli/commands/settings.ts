// `teranode-p2p settings`: prints every setting in force and where its value comes from, secrets masked; then the wire
// that follows from them.
import { loadSettings } from '../../settings/load.ts';
import { wireChoice } from '../../settings/wire.ts';
import type { CommandIo } from './connection.ts';

interface SettingsFlags {
  readonly settings?: string | undefined;
  readonly context?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Prints a table, or one JSON object per line. Throws SETTINGS_INVALID with all problems. */
export function settingsCommand(flags: SettingsFlags, io: CommandIo): void {
  const { settings, effective, context } = loadSettings({
    folder: flags.settings ?? io.cwd,
    env: io.env,
    ...(flags.context === undefined ? {} : { context: flags.context }),
  });
  if (flags.json === true) {
    for (const { key, shown, origin } of effective)
      io.stdout.write(`${JSON.stringify({ key, value: shown, origin, context })}\n`);
    return;
  }
  const width = Math.max(...effective.map(({ key }) => key.length));
  for (const { key, shown, origin } of effective)
    io.stdout.write(`${key.padEnd(width)}  ${shown || '-'}  [${origin}]\n`);
  const { names, reason } = wireChoice(settings);
  io.stdout.write(`\nwire: ${names.join(' and ')} (${reason})\n`);
}
