// Talks to bench/soak/inside.js in the server.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { temporaryFolder } from '../../test/support/cleanup.ts';
import { REPO } from '../../test/support/repo.ts';

const ANSWER_DEADLINE_MS = 15_000;

/** Bytes after a collection of garbage. */
export interface Collected {
  readonly heapUsed: number;
  readonly arrayBuffers: number;
  readonly external: number;
}

export class Inside {
  private readonly path = join(temporaryFolder('soak-socket'), 'inside');
  private socket: Socket | undefined;
  private readonly waiting: ((answer: unknown) => void)[] = [];

  /** Settings of the server, with further modules that it loads first. */
  settings(modules: readonly string[]): Record<string, string> {
    const imports = [join(REPO, 'bench/soak/inside.js'), ...modules].map((each) => `--import ${each}`);
    return { SOAK_SOCKET: this.path, NODE_OPTIONS: imports.join(' ') };
  }

  async connect(): Promise<void> {
    const socket = connect(this.path);
    await once(socket, 'connect', { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', (line) => this.waiting.shift()?.(JSON.parse(line)));
    this.socket = socket;
  }

  collect(): Promise<Collected> {
    return this.ask({});
  }

  /** How far its clock is from the machine's from now on. */
  async step(ms: number): Promise<void> {
    await this.ask({ step: ms });
  }

  close(): void {
    this.socket?.destroy();
  }

  private async ask<T>(question: object): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => reject(new Error('the server did not answer from inside')), ANSWER_DEADLINE_MS);
    // Answers come in the order of the questions; a late one still takes its turn.
    this.waiting.push(resolve);
    this.socket?.write(`${JSON.stringify(question)}\n`);
    try {
      return (await promise) as T;
    } finally {
      clearTimeout(timer);
    }
  }
}
