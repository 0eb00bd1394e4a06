// The reference services (reference-services.ts) as a child process that can be told what to do, killed, and started
// again on the same port and data.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { BlockHash } from '../../src/domain/ids.ts';
import type { BlockHeaderRecord, FsmState } from '../../src/ports/blockchain-client.ts';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { collectLines } from './json-lines.ts';
import { freePort } from './kafka-broker.ts';
import type { RegistryCall } from './reference-peer-registry.ts';
import type { RawNotification, ReferenceServiceOptions } from './reference-services.ts';
import { COMPILE_CACHE, REPO } from './repo.ts';
import { waitFor } from './wait.ts';

const SCRIPT = join(REPO, 'test/support/reference-services.ts');
const ANSWER_DEADLINE_MS = 15_000;

/** What is known of a block by who mined it. */
export type MinedBlock = Omit<BlockHeaderRecord, 'chainWork'>;

interface ShownBlock {
  readonly hash: BlockHash;
  readonly header: string;
  readonly height: number;
  readonly txCount: string;
  readonly sizeInBytes: string;
  readonly miner: string;
  readonly invalid: boolean;
}

export class ReferenceServiceProcess {
  private options: ReferenceServiceOptions;
  private bound = '';
  private child: ChildProcess | undefined;
  private readonly waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  private lastId = 0;
  private errors = '';

  private constructor(options: ReferenceServiceOptions) {
    this.options = options;
  }

  /** Regtest in a folder of its own unless told otherwise. */
  static async start(options: Partial<ReferenceServiceOptions> = {}): Promise<ReferenceServiceProcess> {
    const dataFile = options.dataFile ?? join(temporaryFolder('services'), 'chain.db');
    const made = new ReferenceServiceProcess({ network: 'regtest', port: await freePort(), ...options, dataFile });
    await made.up();
    return made;
  }

  /** `host:port`, the same after a restart. */
  get address(): string {
    return this.bound;
  }

  /** Starts it again on the same port with the same data. */
  async up(): Promise<void> {
    const child = spawn(process.execPath, [SCRIPT, JSON.stringify(this.options)], {
      env: { ...process.env, ...COMPILE_CACHE },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child = child;
    endWithTests(child);
    this.errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-4000);
    });
    // A command that meets a dying process is answered by its end.
    child.stdin.on('error', () => {});
    child.once('exit', (code) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`services ended (${code}): ${this.errors}`));
      this.waiting.clear();
    });
    const output = collectLines(child.stdout, (line) => this.answered(line));
    const ready = await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`services ended (${child.exitCode}): ${this.errors}`);
        return output.json.find(({ event }) => event === 'ready');
      },
      { timeoutMs: 60_000, what: 'the reference services' },
    );
    this.bound = String(ready.address);
    this.options = { ...this.options, port: Number(this.bound.slice(this.bound.lastIndexOf(':') + 1)) };
  }

  /** From its next start on, whether the blockchain service has a peer registry. */
  setPeerRegistry(hasPeerRegistry: boolean): void {
    this.options = { ...this.options, hasPeerRegistry };
  }

  /** As a crash. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** The process stands still; its connections stay. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  /** Mines blocks one on the other, the first on the best block or on `on`. Resolves with the last. */
  async mine(count = 1, on?: BlockHash): Promise<MinedBlock> {
    const mined = await this.mineAll(count, on);
    const last = mined.at(-1);
    if (last === undefined) throw new RangeError('nothing was mined');
    return last;
  }

  async mineAll(count: number, on?: BlockHash): Promise<MinedBlock[]> {
    const mined: MinedBlock[] = [];
    // For a block that is not best, each needs its parent.
    if (on === undefined) return ((await this.tell('mine', { count })) as ShownBlock[]).map(blockOf);
    for (let parent = on; mined.length < count; ) {
      const [block] = ((await this.tell('mine', { on: parent })) as ShownBlock[]).map(blockOf);
      if (block === undefined) throw new RangeError('nothing was mined');
      mined.push(block);
      parent = block.hash;
    }
    return mined;
  }

  async addHeader(header: Uint8Array, isInvalid = false): Promise<MinedBlock> {
    return blockOf(
      (await this.tell('addHeader', { header: Buffer.from(header).toString('hex'), isInvalid })) as ShownBlock,
    );
  }

  /** With all that stand on it. */
  async invalidate(hash: BlockHash): Promise<void> {
    await this.tell('invalidate', { hash });
  }

  async best(): Promise<MinedBlock> {
    return blockOf((await this.tell('best')) as ShownBlock);
  }

  async setFsmState(state: FsmState): Promise<void> {
    await this.tell('setFsmState', { state });
  }

  /** Sends a notification, whatever is in it, to all subscribers. */
  async notify(notification: RawNotification): Promise<void> {
    await this.tell('notify', { notification });
  }

  /** While mute, blocks are stored and states change without notifications. */
  async mute(isMute: boolean): Promise<void> {
    await this.tell('mute', { isMute });
  }

  /** Ends the streams of all subscribers with a status. */
  async endSubscriptions(code: string): Promise<void> {
    await this.tell('endSubscriptions', { code });
  }

  /** Calls of a method, or all, wait until `resume`. */
  async stall(method?: string): Promise<void> {
    await this.tell('stall', { method });
  }

  async resume(): Promise<void> {
    await this.tell('resume');
  }

  /** The next call of a method is carried out, and fails with a status. */
  async loseAnswer(method: string, code: string): Promise<void> {
    await this.tell('loseAnswer', { method, code });
  }

  /** The next calls of a method fail with a status; without `times` until `heal`. */
  async fail(method: string, code: string, times?: number): Promise<void> {
    await this.tell('fail', { method, code, times });
  }

  /** A method answers with these bytes, and `padding` zero bytes after them, until `heal`. */
  async answer(method: string, bytes: Uint8Array, padding = 0): Promise<void> {
    await this.tell('answer', { method, hex: Buffer.from(bytes).toString('hex'), padding });
  }

  async heal(): Promise<void> {
    await this.tell('heal');
  }

  async setHealth(service: string, ok: boolean, details: string): Promise<void> {
    await this.tell('setHealth', { service, ok, details });
  }

  /** Whether headers say from now on that the subtrees of their blocks are stored. */
  async setSubtrees(are: boolean): Promise<void> {
    await this.tell('setSubtrees', { are });
  }

  /** Fields of StateMessage; 64-bit ones as text. */
  async setAssembly(state: Readonly<Record<string, unknown>>): Promise<void> {
    await this.tell('setAssembly', { state });
  }

  /** Calls of a method, or all, since its start; streams open now. */
  async counts(method?: string): Promise<{ calls: number; subscriptions: number }> {
    return (await this.tell('counts', { method })) as { calls: number; subscriptions: number };
  }

  /** Calls of the peer registry since its start, requests as JSON. */
  async registryCalls(method?: string): Promise<readonly RegistryCall[]> {
    const calls = (await this.tell('registryCalls')) as readonly RegistryCall[];
    return calls.filter((each) => method === undefined || each.method === method);
  }

  /** Calls the peer registry as another service does; fields and answer are JSON. */
  async askRegistry(method: string, fields: object = {}): Promise<Record<string, unknown>> {
    return (await this.tell('askRegistry', { method, fields })) as Record<string, unknown>;
  }

  /** Moves the clock of the peer registry. */
  async advanceRegistry(ms: number): Promise<void> {
    await this.tell('advanceRegistry', { ms });
  }

  private async tell(command: string, args: object = {}): Promise<unknown> {
    this.lastId += 1;
    const id = this.lastId;
    const answered = Promise.withResolvers<unknown>();
    this.waiting.set(id, answered);
    const timer = setTimeout(
      () => answered.reject(new Error(`no answer to ${command}: ${this.errors}`)),
      ANSWER_DEADLINE_MS,
    );
    this.child?.stdin?.write(`${JSON.stringify({ id, command, ...args })}\n`);
    try {
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  private answered(line: Record<string, unknown>): void {
    const waiting = this.waiting.get(Number(line.id));
    if (typeof line.error === 'string') waiting?.reject(new Error(line.error));
    else waiting?.resolve(line.result);
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await exited;
  }
}

function blockOf(shown: ShownBlock): MinedBlock {
  const { hash, height, miner, invalid } = shown;
  return {
    ...{ hash, height, miner, invalid },
    header: new Uint8Array(Buffer.from(shown.header, 'hex')),
    txCount: BigInt(shown.txCount),
    sizeInBytes: BigInt(shown.sizeInBytes),
  };
}
