// Runs a built image as a container runtime does: a read-only root, a volume, a tmpfs, namespaces of its own for mounts,
// processes and the network (loopback alone), the image's user without privileges, its environment and command.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { endWithTests } from './cleanup.ts';
import type { BuiltImage } from './image-build.ts';
import { collectLines, type OutputLines } from './json-lines.ts';
import { waitFor } from './wait.ts';

const VOLUME = '/data';
const EXEC_DEADLINE_MS = 20_000;

export interface ContainerEnded {
  readonly code: number | null;
  readonly output: string;
}

export class ImageContainer {
  readonly output: OutputLines;
  private readonly child: ChildProcess;
  private readonly image: BuiltImage;
  private readonly name: string;

  /** `command` in place of the image's. */
  constructor(image: BuiltImage, env: Readonly<Record<string, string>>, command = imageCommand(image)) {
    const { space, layers } = image;
    this.image = image;
    this.name = `container-${randomUUID()}`;
    mkdirSync(space.outside(this.name, 'root'), { recursive: true });
    copyVolume(image, this.name);
    const [enter = '', ...rest] = space.enter();
    const lower = [...layers.map((layer) => space.inside(layer)), '/'].join(':');
    this.child = spawn(
      enter,
      [...rest, '--net', '--pid', '--fork', '--kill-child', 'sh', '-ec', SCRIPT, 'sh', lower]
        .concat([space.inside(this.name, 'root'), space.inside(this.name, 'volume'), workdirOf(image)])
        .concat(asUser(image, env, command)),
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    endWithTests(this.child);
    if (this.child.stdout === null) throw new Error('no stdout');
    this.output = collectLines(this.child.stdout);
  }

  /** Seen from this machine; inside it is 1. */
  get pid(): number {
    return Number(readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, 'utf8').trim());
  }

  /** As `docker exec`. */
  exec(command: readonly string[]): ContainerEnded {
    const enter = [
      '--target',
      String(this.pid),
      '--mount',
      '--net',
      '--pid',
      'chroot',
      this.image.space.inside(this.name, 'root'),
    ];
    const { status, stdout, stderr } = spawnSync('nsenter', [...enter, ...asUser(this.image, {}, command)], {
      encoding: 'utf8',
      timeout: EXEC_DEADLINE_MS,
    });
    return { code: status, output: stdout + stderr };
  }

  async ready(): Promise<void> {
    await waitFor(
      () => {
        if (this.child.exitCode !== null) throw new Error(`the container ended with ${this.child.exitCode}`);
        return this.output.json.some(({ event }) => event === 'ready');
      },
      { timeoutMs: 60_000, what: 'the ready line' },
    );
  }

  signal(name: 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.pid, name);
  }

  /** Ends it at once, with an exit code that is not 0. */
  kill(): void {
    this.child.kill('SIGKILL');
  }

  /** Resolves with the exit code of its first process. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    return await new Promise((resolve) => this.child.once('exit', resolve));
  }
}

/** ENTRYPOINT and CMD. */
export function imageCommand(image: BuiltImage): readonly string[] {
  return [...argsOf(image, 'ENTRYPOINT'), ...argsOf(image, 'CMD')];
}

/** The words of HEALTHCHECK after CMD. */
export function healthCheck(image: BuiltImage): readonly string[] {
  return argsOf(image, 'HEALTHCHECK').slice(1);
}

function argsOf({ steps }: BuiltImage, name: string): readonly string[] {
  return steps.find((step) => step.name === name)?.args ?? [];
}

function workdirOf(image: BuiltImage): string {
  return argsOf(image, 'WORKDIR')[0] ?? '/';
}

/** A new volume begins with the image's files and owner. */
function copyVolume({ space, layers }: BuiltImage, name: string): void {
  const source = space.outside(layers[0] ?? '', VOLUME);
  execFileSync('cp', ['--archive', source, space.outside(name, 'volume')]);
}

/** Without capabilities and the environment of this machine. */
function asUser(image: BuiltImage, env: Readonly<Record<string, string>>, command: readonly string[]): string[] {
  const [uid = '', gid = ''] = (argsOf(image, 'USER')[0] ?? '').split(':');
  const given = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  // The home folder of the image's user, as runtimes set it.
  const environment = ['HOME=/data', 'PATH=/usr/local/bin:/usr/bin:/bin', ...argsOf(image, 'ENV'), ...given];
  const limits = ['--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all'];
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, ...limits, 'env', '-i', ...environment, ...command];
}

/** Layers, root, volume, folder, command. */
const SCRIPT = `
layers="$1"; root="$2"; volume="$3"; workdir="$4"; shift 4
mount -t overlay -o "ro,lowerdir=$layers" overlay "$root"
mount --bind "$volume" "$root${VOLUME}"
mount -t tmpfs -o size=16m,mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
ip link set lo up
exec chroot "$root" sh -c 'cd "$0" && exec "$@"' "$workdir" "$@"
`;
