// The program `teranode-p2p`: runs a command and turns its outcome into an exit code. 0: done, or stopped on request;
// 2: invalid settings; 1: everything else, wrong usage included.

// Imported before all else, and with as little beside it as possible: signals count from here on.
import './stop-signals.ts';
import { P2PError } from '../lib/errors.ts';
import { outputFailed } from './closed-output.ts';
import { keepCompiledCode } from './compile-cache.ts';

async function errorText(error: unknown): Promise<string> {
  const { serializeError } = await import('../adapters/logging/logger.ts');
  if (!(error instanceof P2PError)) return `${JSON.stringify(serializeError(error))}\n`;
  const isComplete = error.cause === undefined || error.code === 'RPC_FAILED';
  const cause = isComplete ? '' : `  caused by ${JSON.stringify(serializeError(error.cause, 1))}\n`;
  const { shownLines } = await import('../lib/shown-text.ts');
  return `${error.code}: ${shownLines(error.message)}\n${cause}`;
}

keepCompiledCode();
process.stdout.on('error', outputFailed);
// The exit code says it, too.
process.stderr.on('error', () => {});

try {
  const { runProgram } = await import('./program.ts');
  const io = { stdin: process.stdin, stdout: process.stdout, env: process.env, cwd: process.cwd() };
  await runProgram(process.argv.slice(2), io);
} catch (error) {
  const { CommanderError } = await import('commander');
  if (error instanceof CommanderError) {
    // The message has been printed, and help and version are no failures.
    process.exitCode = error.exitCode;
  } else {
    process.stderr.write(await errorText(error));
    process.exitCode = error instanceof P2PError && error.code === 'SETTINGS_INVALID' ? 2 : 1;
  }
}
