// What happened in a story, line by line. Two runs of a seed have the same lines.
import { createHash } from 'node:crypto';
import type { VirtualTime } from './virtual-time.ts';

export class Trace {
  private readonly time: VirtualTime;
  private readonly lines: string[] = [];

  constructor(time: VirtualTime) {
    this.time = time;
  }

  note(line: string): void {
    this.lines.push(`${(this.time.nowMs / 1000).toFixed(3).padStart(9)} ${line}`);
  }

  digest(): string {
    return createHash('sha256').update(this.lines.join('\n')).digest('hex');
  }

  /** Deliveries of single messages begin with a dot. */
  text(withDeliveries = true): string {
    return this.lines.filter((line) => withDeliveries || line[10] !== '.').join('\n');
  }
}
