// `teranode-p2p settings`: prints every setting in force and where its value comes from, secrets masked; then the wire
// that follows from them.
import { wireChoice } from '../../settings/wire.ts';
import { terminalOf } from '../terminal.ts';
import type { CommandIo } from './io.ts';
import { commandSettings } from './settings-folder.ts';

/** Nearly all values are shorter. Origins after longer ones stand further right. */
const VALUE_CHARS = 24;

interface SettingsFlags {
  readonly settings?: string | undefined;
  readonly context?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Prints a table, or one JSON object per line. Throws SETTINGS_INVALID with all problems. */
export function settingsCommand(flags: SettingsFlags, io: CommandIo): void {
  const { settings, effective, context } = commandSettings(
    flags.settings,
    io,
    flags.context === undefined ? {} : { context: flags.context },
  );
  if (flags.json === true) {
    for (const { key, shown, origin } of effective)
      io.stdout.write(`${JSON.stringify({ key, value: shown, origin, context })}\n`);
    return;
  }
  const terminal = terminalOf(io);
  const keyWidth = Math.max(...effective.map(({ key }) => key.length));
  for (const { key, shown, origin } of effective)
    io.stdout.write(
      `${key.padEnd(keyWidth)}  ${(shown || '-').padEnd(VALUE_CHARS)}  ${terminal.color('dim', `[${origin}]`)}\n`,
    );
  const { names, reason } = wireChoice(settings);
  io.stdout.write(`\ncontext: ${context}\nwire: ${names.join(' and ')} (${reason})\n`);
}
