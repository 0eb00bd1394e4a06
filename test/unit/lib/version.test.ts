import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { buildVersion, versionFromGit } from '../../../src/lib/version.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

function checkout(): { folder: string; git(...args: string[]): string } {
  const folder = temporaryFolder('git');
  const env = { ...process.env, GIT_AUTHOR_DATE: '2025-07-31T14:16:01Z', GIT_COMMITTER_DATE: '2025-07-31T14:16:01Z' };
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example', ...args], {
      cwd: folder,
      encoding: 'utf8',
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  git('init', '-q');
  git('commit', '-q', '--allow-empty', '-m', 'one');
  return { folder, git };
}

test('without a tag the version is a pseudo-version of time and commit', () => {
  const { folder, git } = checkout();
  const commit = git('rev-parse', '--short=7', 'HEAD');
  expect(versionFromGit(folder)).toEqual({ version: `v0.0.0-20250731141601-${commit}`, commit });
});

test('with a tag it is the tag', () => {
  const { folder, git } = checkout();
  git('tag', 'v1.2.3');
  expect(versionFromGit(folder)?.version).toBe('v1.2.3');
});

test('outside of git there is none, and the program still has one', () => {
  expect(versionFromGit('/')).toBeUndefined();
  expect(buildVersion().version).toMatch(/^(v\d|Unknown)/);
});
