// Which patches are in force. A part of a library that a patch needs and does not find costs that patch and nothing
// else: the node runs on, with the effect that the log names.
import type { Logger } from '../../../ports/log.ts';

export interface Patch {
  /**
   * Library that is patched, and the version that the patch was written for. A test compares it with the installed one.
   */
  readonly library: string;
  readonly version: string;
  /** What the node does without the patch. */
  readonly effect: string;
}

export class PatchReport {
  private readonly log: Pick<Logger, 'warn'>;
  private readonly missing = new Set<string>();

  constructor(log: Pick<Logger, 'warn'>) {
    this.log = log;
  }

  /** Logs once per patch and part, however many connections lack it. */
  notApplied({ library, version, effect }: Patch, part: string): void {
    const key = `${library} ${part}`;
    if (this.missing.has(key)) return;
    this.missing.add(key);
    this.log.warn({ library, writtenFor: version, missing: part, effect }, 'libp2p patch not applied');
  }
}

/** The names in `parts` that are no functions, joined; undefined when all are there. */
export function missingFunctions(parts: Readonly<Record<string, unknown>>): string | undefined {
  const missing = Object.keys(parts).filter((name) => typeof parts[name] !== 'function');
  return missing.length === 0 ? undefined : missing.join(', ');
}
