// Processes and folders that a test made, ended with it, and at the latest with the test run.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const children = new Set<ChildProcess>();
const folders = new Set<string>();

function clean(): void {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

process.on('exit', clean);
// Ends a worker of the test run, without `exit`. A child that lived on would hold the worker's stderr open, and the run
// would wait for it for ever.
process.once('SIGTERM', () => {
  clean();
  process.kill(process.pid, 'SIGTERM');
});

/** Kills the process when the test run ends, should it still live. */
export function endWithTests(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}

/** A folder that is gone when the test run ends. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `teranode-p2p-${name}-`));
  folders.add(folder);
  return folder;
}
