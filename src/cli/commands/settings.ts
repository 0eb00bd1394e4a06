// `teranode-p2p settings`: each effective value with where it came from, secrets masked.
import { parseArgs } from 'node:util';
import { loadSettings } from '../../settings/load.ts';

interface CommandIo {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Prints a table, or one JSON object a line. Throws SETTINGS_INVALID with all problems. */
export function settingsCommand(argv: readonly string[], io: CommandIo): number {
  const { values } = parseArgs({
    args: [...argv],
    options: { settings: { type: 'string' }, context: { type: 'string' }, json: { type: 'boolean' } },
  });
  const { effective, context } = loadSettings({
    folder: values.settings ?? io.cwd,
    env: io.env,
    ...(values.context === undefined ? {} : { context: values.context }),
  });
  if (values.json === true) {
    for (const { key, shown, origin } of effective)
      io.stdout.write(`${JSON.stringify({ key, value: shown, origin, context })}\n`);
    return 0;
  }
  const width = Math.max(...effective.map(({ key }) => key.length));
  for (const { key, shown, origin } of effective)
    io.stdout.write(`${key.padEnd(width)}  ${shown || '-'}  [${origin}]\n`);
  return 0;
}
