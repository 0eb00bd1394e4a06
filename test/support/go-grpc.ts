// Builds and drives the Go gRPC client (test/interop/go-grpc): stubs are generated from our .proto files by the Go
// plugins, so that a Go program as others would write it says whether the contract holds. Cached by the hash of sources
// and .proto files; nothing generated is committed.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';

const SOURCES = join(REPO, 'test/interop/go-grpc');
const CACHE = join(REPO, '.cache/go-grpc');
const MODULE = 'teranode-p2p/go-grpc';
/** .proto file -> Go package beneath the module. */
const PACKAGES = { 'p2p_api.proto': 'p2papi', 'teranode_p2p.proto': 'teranodep2p' };
const PLUGINS = {
  'protoc-gen-go': 'google.golang.org/protobuf/cmd/protoc-gen-go',
  'protoc-gen-go-grpc': 'google.golang.org/grpc/cmd/protoc-gen-go-grpc',
};
const BUILD_DEADLINE_MS = 600_000;
const ANSWER_DEADLINE_MS = 30_000;

export interface GoGrpcOptions {
  readonly address: string;
  readonly key?: string;
  /** Undefined: plain. */
  readonly tls?: { readonly caFile: string; readonly certFile?: string; readonly keyFile?: string };
}

export interface GoCall {
  /** Instead of the stubs, what the server says of itself. */
  readonly reflection?: 'v1' | 'v1alpha';
  readonly timeoutMs?: number;
}

/** `code` as Go writes it: OK, InvalidArgument, Unauthenticated… */
export interface GoAnswer {
  readonly code: string;
  readonly message?: string;
  readonly response?: Readonly<Record<string, unknown>>;
}

/** Path of the built binary; builds it when anything changed. Throws when a tool is missing. */
export function goGrpcBinary(): string {
  const hash = createHash('sha256').update(JSON.stringify([PACKAGES, PLUGINS]));
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)));
  for (const name of Object.keys(PACKAGES)) hash.update(readFileSync(join(REPO, 'proto', name)));
  const binary = join(CACHE, hash.digest('hex').slice(0, 16));
  if (existsSync(binary)) return binary;
  requireTool('go', ['version'], 'Go 1.24 or newer');
  const work = join(CACHE, `build-${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  cpSync(SOURCES, work, { recursive: true });
  for (const [name, path] of Object.entries(PLUGINS)) run('go', ['build', '-o', join(work, 'bin', name), path], work);
  generate(work);
  run('go', ['build', '-o', join(work, 'bin/client'), '.'], work);
  renameSync(join(work, 'bin/client'), binary);
  rmSync(work, { recursive: true, force: true });
  return binary;
}

function generate(work: string): void {
  const packages = Object.entries(PACKAGES).map(([file, name]) => `M${file}=${MODULE}/${name}`);
  const template = {
    version: 'v2',
    plugins: Object.keys(PLUGINS).map((name) => ({
      local: join(work, 'bin', name),
      out: work,
      opt: [`module=${MODULE}`, ...packages],
    })),
  };
  const files = Object.keys(PACKAGES).flatMap((name) => ['--path', join('proto', name)]);
  run(join(REPO, 'node_modules/.bin/buf'), ['generate', '--template', JSON.stringify(template), ...files], REPO);
}

function run(command: string, args: readonly string[], cwd: string): void {
  execFileSync(command, [...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'], timeout: BUILD_DEADLINE_MS });
}

export class GoGrpcClient {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, { resolve(answer: GoAnswer): void; reject(error: Error): void }>();
  private lastId = 0;
  private errors = '';

  constructor(options: GoGrpcOptions) {
    const { address, key = '', tls } = options;
    const flags = { address, key, ca: tls?.caFile ?? '', cert: tls?.certFile ?? '', 'cert-key': tls?.keyFile ?? '' };
    const args = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
    this.child = spawn(goGrpcBinary(), args, { stdio: ['pipe', 'pipe', 'pipe'] });
    endWithTests(this.child);
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000);
    });
    this.child.once('exit', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`Go client ended (${code}): ${this.errors}`));
    });
    if (this.child.stdout === null) throw new Error('no stdout');
    collectLines(this.child.stdout, (line) => {
      this.waiting.get(Number(line.id))?.resolve(line as unknown as GoAnswer);
      this.waiting.delete(Number(line.id));
    });
  }

  /** `package.Service/Method` with a request in protobuf's JSON form. Rejects when the program gives no answer. */
  async call(method: string, request: object = {}, options: GoCall = {}): Promise<GoAnswer> {
    this.lastId += 1;
    const id = this.lastId;
    const answered = Promise.withResolvers<GoAnswer>();
    this.waiting.set(id, answered);
    const timer = setTimeout(() => answered.reject(new Error(`no answer to ${method}`)), ANSWER_DEADLINE_MS);
    this.child.stdin?.write(`${JSON.stringify({ id, method, request, ...options })}\n`);
    try {
      return await answered.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 3000);
    await exited;
    clearTimeout(timer);
  }
}
