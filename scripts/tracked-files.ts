// The files that git tracks: what checks look at, because a checkout also holds data folders and notes of its user.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Paths relative to `root` of the tracked files that exist. Throws when `root` is not a git checkout. */
export function trackedFiles(root: string): string[] {
  const names = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0');
  return names.filter((name) => name !== '' && existsSync(join(root, name)));
}
