// Builds the addon that verifies signatures (native/) where Rust is installed. It is optional: without it libsodium
// verifies, at three times the cost. docs/adr/0008-native-verification.md.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Half a minute of CPU; the rest is for downloads and busy machines. */
const DEADLINE_MS = 180_000;
const MAX_ERROR_TEXT = 8000;
/** With these npm, the terminal or its end (SIGHUP) stops `npm ci`; what a shell returns for each. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Interrupt = keyof typeof EXIT_CODES;
const INTERRUPTS = Object.keys(EXIT_CODES) as Interrupt[];
/** The file name of a library of this crate on the platforms of Node.js. */
const LIBRARY: Readonly<Record<string, string>> = {
  win32: 'teranode_p2p_native.dll',
  darwin: 'libteranode_p2p_native.dylib',
};

export interface NativeBuildOptions {
  /** PATH in it finds cargo. */
  readonly env?: NodeJS.ProcessEnv;
  readonly deadlineMs?: number;
}

/**
 * Leaves native/teranode-p2p-native.node, built from the sources as they are. Resolves with the reason if there is none
 * then; never throws.
 */
export async function buildNative(root: string, options: NativeBuildOptions = {}): Promise<string | undefined> {
  const { env = process.env, deadlineMs = DEADLINE_MS } = options;
  const folder = join(root, 'native');
  const addon = join(folder, 'teranode-p2p-native.node');
  const builtFrom = join(folder, 'teranode-p2p-native.sources');
  try {
    const sources = hashOfSources(folder);
    if (existsSync(addon) && existsSync(builtFrom) && readFileSync(builtFrom, 'utf8') === sources) return undefined;
    // An addon of other sources may not fit to ours.
    for (const file of [addon, builtFrom]) rmSync(file, { force: true });
    const target = resolve(folder, env.CARGO_TARGET_DIR || 'target');
    const failure = await cargo(['build', '--release', '--locked', '--quiet', '--target-dir', target], {
      cwd: folder,
      env,
      deadlineMs,
    });
    if (failure !== undefined) return failure;
    // Renamed, so that nobody loads half a file.
    const copy = `${addon}.${process.pid}`;
    copyFileSync(join(target, 'release', LIBRARY[process.platform] ?? 'libteranode_p2p_native.so'), copy);
    renameSync(copy, addon);
    writeFileSync(builtFrom, sources);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/** Of what cargo builds from, and the platform. */
function hashOfSources(folder: string): string {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch}\n`);
  const sources = readdirSync(join(folder, 'src')).map((name) => join('src', name));
  for (const name of ['Cargo.lock', 'Cargo.toml', 'build.rs', ...sources.toSorted()])
    hash.update(`${name}\n`).update(readFileSync(join(folder, name)));
  return `${hash.digest('hex')}\n`;
}

interface CargoOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly deadlineMs: number;
}

/** Resolves with the reason if it fails. After the deadline it is killed with the compilers that it started. */
function cargo(args: readonly string[], { cwd, env, deadlineMs }: CargoOptions): Promise<string | undefined> {
  return new Promise((resolved) => {
    // In a group of its own cargo does not get the signals of the terminal. Listened to before it starts, because a
    // signal in between would leave it behind.
    for (const signal of INTERRUPTS) process.once(signal, interrupt);
    // Detached: the leader of a process group, which can be killed as a whole.
    const child = spawn('cargo', args, { cwd, env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(0, MAX_ERROR_TEXT);
    });
    const kill = () => killGroup(child.pid);
    const timer = setTimeout(() => {
      kill();
      end(`cargo did not end within ${deadlineMs / 1000} s`);
    }, deadlineMs);
    child.once('error', ({ message }) => end(/ENOENT/.test(message) ? 'cargo is not installed' : message));
    child.once('exit', (code) => end(code === 0 ? undefined : `cargo build failed: ${firstError(errors) ?? code}`));

    function interrupt(signal: NodeJS.Signals): void {
      kill();
      process.exit(EXIT_CODES[signal as Interrupt]);
    }

    function end(failure: string | undefined): void {
      clearTimeout(timer);
      for (const signal of INTERRUPTS) process.off(signal, interrupt);
      child.stderr.destroy();
      resolved(failure);
    }
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function firstError(text: string): string | undefined {
  return text.split('\n').find((line) => line.startsWith('error'));
}
