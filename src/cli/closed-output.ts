// What a command does when its output cannot be written. `teranode-p2p settings | head -3` has done its work: nothing
// of it may look like a failure.

/** Ends the process: quietly when nobody reads any more, else with exit code 1 and the reason. */
export function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  process.stderr.write(`cannot write to standard output: ${error.message}\n`);
  process.exit(1);
}
