// What the parsers of BuildKit, Compose, Kubernetes and Grafana make of a file (test/interop/go-deploy).
import { execFileSync } from 'node:child_process';
import { goBinary } from './go-program.ts';

const DEADLINE_MS = 60_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface ImageStep {
  /** RUN, COPY, … in upper case. */
  readonly name: string;
  readonly args: readonly string[];
  /** COPY: the stage that is copied from. */
  readonly from?: string;
}

export interface ImageStage {
  readonly name: string;
  readonly base: string;
  readonly steps: readonly ImageStep[];
}

export interface ImageFile {
  readonly stages: readonly ImageStage[];
  readonly warnings: readonly string[];
}

/** Path of the built binary; builds it when its sources changed. Throws when Go is missing. */
export function goDeployBinary(): string {
  return goBinary('go-deploy', 'Go 1.25.7 or newer');
}

/** Throws with what the parser says of a file that it refuses. */
export function parsedBy<T>(
  parser: 'dockerfile' | 'context' | 'compose' | 'kubernetes' | 'grafana',
  path: string,
  env: Readonly<Record<string, string>> = {},
): T {
  const options = {
    encoding: 'utf8',
    timeout: DEADLINE_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
  } as const;
  return JSON.parse(execFileSync(goDeployBinary(), [parser, path], options)) as T;
}
