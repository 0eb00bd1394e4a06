// A small file system of its own that can be filled, and freed again. Needs root, as network namespaces do.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './cleanup.ts';

export class FullDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static mount(megabytes: number): FullDisk {
    const folder = temporaryFolder('disk');
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
    return new FullDisk(folder);
  }

  /** Leaves not one byte free. */
  fill(): void {
    try {
      for (let i = 0; i < 1000; i += 1) writeFileSync(join(this.folder, `filler${i}`), Buffer.alloc(1_048_576));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      return;
    }
    throw new Error(`${this.folder} is not full`);
  }

  free(): void {
    execFileSync('sh', ['-c', 'rm -f "$1"/filler*', 'sh', this.folder]);
  }

  /** Even while files on it are open. */
  unmount(): void {
    execFileSync('umount', ['--lazy', this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
