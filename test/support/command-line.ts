// The command line inside the test's process: the same outcome as a process of its own, without the time of a start.
import { Writable } from 'node:stream';
import { runCommandLine } from '../../src/cli/run.ts';
import type { CliEnded } from './cli.ts';
import { REPO } from './repo.ts';

export interface CommandLineOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Default: this checkout with its settings. */
  readonly cwd?: string;
  readonly stdin?: NodeJS.ReadableStream;
  /** Standard output and standard error are a terminal of this width. */
  readonly columns?: number;
}

export async function runInProcess(args: readonly string[], options: CommandLineOptions = {}): Promise<CliEnded> {
  const { env = {}, cwd = REPO, stdin } = options;
  const stdout = collector(options.columns);
  const stderr = collector(options.columns);
  const io = { ...(stdin === undefined ? {} : { stdin }), stdout, stderr, env, cwd };
  const status = await runCommandLine(args, io);
  return { status, stdout: stdout.text, stderr: stderr.text };
}

/** A stream that keeps what is written to it. */
export function collector(columns?: number): Writable & { text: string } {
  const stream = Object.assign(
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        stream.text += chunk.toString();
        done();
      },
    }),
    { text: '', ...(columns === undefined ? {} : { isTTY: true, columns }) },
  );
  return stream;
}
