// The version that others see in the user agent `teranode/bitcoin/<version>`: the git tag at build time, else a
// pseudo-version. The build writes it into dist/lib/build-version.json; a run from sources asks git.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface BuildVersion {
  /** `v1.2.3`, or `v0.0.0-<UTC yyyymmddhhmmss>-<7 digits of the commit>`. */
  readonly version: string;
  /** Commit of the build; `Unknown` outside of git. */
  readonly commit: string;
}

const UNKNOWN: BuildVersion = { version: 'Unknown', commit: 'Unknown' };
const here = fileURLToPath(new URL('.', import.meta.url));
let cached: BuildVersion | undefined;

/** Version of this build; never throws. */
export function buildVersion(): BuildVersion {
  cached ??= fromBuild() ?? versionFromGit(here) ?? UNKNOWN;
  return cached;
}

function fromBuild(): BuildVersion | undefined {
  try {
    return JSON.parse(readFileSync(new URL('build-version.json', import.meta.url), 'utf8')) as BuildVersion;
  } catch {
    return undefined;
  }
}

/** Asks git about the checkout that holds `folder`; undefined outside of one. */
export function versionFromGit(folder: string): BuildVersion | undefined {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 5000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    const commit = git('rev-parse', '--short=7', 'HEAD');
    const tag = git('tag', '--points-at', 'HEAD').split('\n')[0];
    if (tag !== undefined && /^v\d/.test(tag)) return { version: tag, commit };
    const seconds = Number(git('log', '-1', '--format=%ct'));
    const stamp = new Date(seconds * 1000).toISOString().replace(/\D/g, '').slice(0, 14);
    return { version: `v0.0.0-${stamp}-${commit}`, commit };
  } catch {
    return undefined;
  }
}
