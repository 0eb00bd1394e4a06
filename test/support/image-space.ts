// Memory that looks like a disk for the layers of an image, in a mount namespace of its own: overlays need a file system
// other than that of the root below them. It is gone when its process ends, at the latest with the tests.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { endWithTests } from './cleanup.ts';

/** A build has two trees of node_modules, a compiled Rust crate and a Node.js. */
const SIZE = '4g';
/** Every Debian has this folder, and nothing in it. */
const PLACE = '/mnt';

export class ImageSpace {
  private readonly keeper: ChildProcess;

  private constructor(keeper: ChildProcess) {
    this.keeper = keeper;
  }

  static async create(): Promise<ImageSpace> {
    const script = `mount -t tmpfs -o size=${SIZE} tmpfs ${PLACE} && echo ready && exec cat`;
    // `cat` ends when this process does.
    const keeper = spawn('unshare', ['--mount', 'sh', '-ec', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    endWithTests(keeper);
    const ended = once(keeper, 'exit').then(() => {
      throw new Error('failed to mount a tmpfs in a mount namespace');
    });
    await Promise.race([once(keeper.stdout, 'data'), ended]);
    ended.catch(() => {});
    return new ImageSpace(keeper);
  }

  /** Path of a file for commands that run there. */
  inside(...path: readonly string[]): string {
    return join(PLACE, ...path);
  }

  /** Path of the same file for this process. */
  outside(...path: readonly string[]): string {
    return join(`/proc/${this.keeper.pid}/root`, this.inside(...path));
  }

  /** The beginning of a command that runs there, in a mount namespace of its own. */
  enter(): readonly string[] {
    return ['nsenter', `--target=${this.keeper.pid}`, '--mount', 'unshare', '--mount'];
  }

  end(): void {
    this.keeper.kill();
  }
}
