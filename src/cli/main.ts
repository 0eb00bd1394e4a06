// The program `teranode-p2p`. Exit codes: docs/cli.md.

// Imported before all else, and with as little beside it as possible: signals count from here on.
import './stop-signals.ts';
import { outputFailed } from './closed-output.ts';
import { keepCompiledCode } from './compile-cache.ts';
import { runCommandLine } from './run.ts';

keepCompiledCode();
process.stdout.on('error', outputFailed);
// The exit code says it, too.
process.stderr.on('error', () => {});

const { stdin, stdout, stderr, env } = process;
process.exitCode = await runCommandLine(process.argv.slice(2), { stdin, stdout, stderr, env, cwd: currentFolder() });

/** The root of the file system when the current folder was deleted. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    stderr.write('the current folder does not exist any more; using /\n');
    return '/';
  }
}
