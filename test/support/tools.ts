// Programs that some suites need. A suite whose tool is missing fails and says which.
import { execFileSync } from 'node:child_process';
import { P2PError } from '../../src/errors.ts';

/** Throws TOOL_MISSING unless the program answers. */
export function requireTool(command: string, args: readonly string[], install: string): void {
  try {
    execFileSync(command, [...args], { stdio: 'ignore', timeout: 30_000 });
  } catch (cause) {
    throw new P2PError('TOOL_MISSING', `this suite needs ${command} (${install})`, { cause });
  }
}
