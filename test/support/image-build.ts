// Builds the stages of a Dockerfile without a container runtime: BuildKit's parser reads it, and each stage is a layer
// over this machine's own root, which stands for the base images. RUN commands run there as written, as root; nothing
// on this machine changes but the caches of npm and cargo.
import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type ImageStage, type ImageStep, parsedBy } from './go-deploy.ts';
import { ImageSpace } from './image-space.ts';

const BUILD_DEADLINE_MS = 560_000;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const BASE = 'base';
const CONTEXT = 'context';

export interface BuiltImage {
  readonly space: ImageSpace;
  /** Names of the folders of `space`, the highest first, that lie over this machine's root. */
  readonly layers: readonly string[];
  /** Of the last stage. */
  readonly steps: readonly ImageStep[];
}

/** `context` is absolute. Stages that copy from others wait for them; the rest run together. */
export async function buildImage(stages: readonly ImageStage[], context: string): Promise<BuiltImage> {
  const last = stages.at(-1);
  if (last === undefined) throw new Error('no stages');
  const space = await ImageSpace.create();
  mkdirSync(space.outside(BASE, 'usr/local/bin'), { recursive: true });
  // The Node.js of the base image, where every user can run it.
  copyFileSync(process.execPath, space.outside(BASE, 'usr/local/bin/node'));
  sendContext(context, space);
  const built = new Map<string, Promise<void>>();
  for (const stage of stages) built.set(stage.name, buildStage(stage, space, built));
  await Promise.all(built.values());
  return { space, layers: [last.name, BASE], steps: last.steps };
}

/** What a builder gets of the folder. */
function sendContext(context: string, space: ImageSpace): void {
  for (const name of parsedBy<string[]>('context', context)) {
    mkdirSync(space.outside(CONTEXT, dirname(name)), { recursive: true });
    cpSync(join(context, name), space.outside(CONTEXT, name));
  }
}

type Stages = ReadonlyMap<string, Promise<void>>;

async function buildStage(stage: ImageStage, space: ImageSpace, built: Stages): Promise<void> {
  mkdirSync(space.outside(stage.name));
  let workdir = '/';
  for (const [number, { name, args, from }] of stage.steps.entries()) {
    if (name === 'WORKDIR') {
      workdir = resolve(workdir, args[0] ?? '');
      mkdirSync(space.outside(stage.name, workdir), { recursive: true });
    }
    if (name === 'COPY') {
      if (from !== undefined && !built.has(from)) throw new Error(`there is no stage ${from}`);
      await built.get(from ?? '');
      copy(args, space.outside(from ?? CONTEXT), space.outside(stage.name), workdir);
    }
    if (name === 'RUN') {
      const scratch = `scratch/${stage.name}-${number}`;
      await run(args.join(' '), space, { layer: stage.name, scratch, workdir });
    }
  }
}

/** As COPY does: of a folder its content, into a target that ends with a slash the files. */
function copy(args: readonly string[], source: string, layer: string, workdir: string): void {
  const target = args.at(-1) ?? '';
  for (const name of args.slice(0, -1)) {
    const path = join(source, name);
    if (!existsSync(path)) throw new Error(`COPY: ${name} is not in the build context or stage`);
    const isFileInto = target.endsWith('/') && statSync(path).isFile();
    const to = join(layer, resolve(workdir, target), isFileInto ? basename(name) : '');
    cpSync(path, to, { recursive: true, verbatimSymlinks: true });
  }
}

interface RunPlaces {
  readonly layer: string;
  readonly scratch: string;
  readonly workdir: string;
}

/** The layer keeps what the command changes. */
async function run(command: string, space: ImageSpace, { layer, scratch, workdir }: RunPlaces): Promise<void> {
  const [root, work] = [space.inside(scratch, 'root'), space.inside(scratch, 'work')];
  for (const each of ['root', 'work']) mkdirSync(space.outside(scratch, each), { recursive: true });
  const options = `lowerdir=${space.inside(BASE)}:/,upperdir=${space.inside(layer)},workdir=${work}`;
  const script = `mount -t overlay -o ${options} overlay ${root}
mount --rbind /proc ${root}/proc
mount --rbind /dev ${root}/dev
exec chroot ${root} sh -ec 'cd "$1" && eval "$2"' sh "$1" "$2"`;
  const [enter = '', ...rest] = space.enter();
  await promisify(execFile)(enter, [...rest, 'sh', '-ec', script, 'sh', workdir, command], {
    timeout: BUILD_DEADLINE_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    env: { HOME: process.env.HOME ?? '', PATH: `/usr/local/bin:${process.env.PATH ?? ''}` },
  });
}
