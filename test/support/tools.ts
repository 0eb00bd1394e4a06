// Programs that some suites need. A suite whose tool is missing fails and says which.
import { execFileSync } from 'node:child_process';

/** Throws unless the program answers. */
export function requireTool(command: string, args: readonly string[], install: string): void {
  try {
    execFileSync(command, [...args], { stdio: 'ignore', timeout: 30_000 });
  } catch (cause) {
    throw new Error(`tool missing: this suite needs ${command} (${install})`, { cause });
  }
}
