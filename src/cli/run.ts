// Runs one command line and turns its outcome into an exit code and at most one error on standard error.
import { P2PError } from '../lib/errors.ts';
import type { CommandIo } from './commands/io.ts';
import { NotOk } from './not-ok.ts';

const DONE = 0;
const FAILED = 1;
/** Wrong usage, input or settings: the same call fails again. */
const WRONG = 2;
const WRONG_CODES: ReadonlySet<string> = new Set(['SETTINGS_INVALID', 'INPUT_INVALID', 'ADDRESS_INVALID']);

/** Resolves with the exit code. Never rejects. */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    const { runProgram } = await import('./program.ts');
    await runProgram(argv, io);
    return DONE;
  } catch (error) {
    if (error instanceof NotOk) return FAILED;
    const { CommanderError } = await import('commander');
    // The message has been printed, and help and version are no failures.
    if (error instanceof CommanderError) return error.exitCode === 0 ? DONE : WRONG;
    io.stderr.write(await errorText(error));
    return isWrongCall(error) ? WRONG : FAILED;
  }
}

function isWrongCall(error: unknown): boolean {
  if (!(error instanceof P2PError)) return false;
  return WRONG_CODES.has(error.code) || error.details.grpcCode === 'INVALID_ARGUMENT';
}

async function errorText(error: unknown): Promise<string> {
  const { shownLines, shownText } = await import('../lib/shown-text.ts');
  const { withoutPasswordsOfUrls } = await import('../lib/masking.ts');
  if (error instanceof P2PError) {
    const refusal = refusedInput(error);
    if (refusal !== undefined) return `INPUT_INVALID: ${shownLines(refusal)}\n`;
    const causes = shownText(withoutPasswordsOfUrls(causesOf(error)));
    return `${error.code}: ${shownLines(error.message)}${causes}${remedyOf(error)}\n`;
  }
  // Of the system: a file that is missing, a disk that is full.
  if (error instanceof Error && 'syscall' in error) return `${shownLines(error.message)}\n`;
  const { serializeError } = await import('../adapters/logging/logger.ts');
  return `unexpected error, please report it: ${JSON.stringify(serializeError(error))}\n`;
}

/** What the node says of an input that it refuses; undefined for other errors. */
function refusedInput({ details, cause }: P2PError): string | undefined {
  if (details.grpcCode !== 'INVALID_ARGUMENT') return undefined;
  return cause instanceof Error && 'details' in cause ? String(cause.details) : undefined;
}

/** What a newcomer has to do first. */
function remedyOf({ message, details }: P2PError): string {
  const isAbsent = details.grpcCode === 'UNAVAILABLE' && !message.includes('--address');
  return isAbsent ? ' - is the node running? Start it, or give its --address' : '';
}

const MAX_CAUSES = 3;

/** In brackets, without what the message says already. */
function causesOf({ message, cause, code }: P2PError): string {
  // Its message has the answer of the service.
  if (code === 'RPC_FAILED') return '';
  const causes: string[] = [];
  for (let each = cause; each instanceof Error && causes.length < MAX_CAUSES; each = each.cause)
    if (!message.includes(each.message)) causes.push(each.message.split('\n', 1)[0] ?? '');
  return causes.length === 0 ? '' : ` (caused by: ${causes.join('; ')})`;
}
