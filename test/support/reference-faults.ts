// What the reference services are told to do wrong, by name of the method: let calls wait, fail them, answer with other
// bytes. Counts calls.
import { status } from '@grpc/grpc-js';

export class ReferenceFaults {
  private readonly counts = new Map<string, number>();
  private readonly stalled = new Set<string>();
  private readonly waiting = new Set<() => void>();
  private readonly failing = new Map<string, { readonly code: status; left: number }>();
  private readonly lost = new Map<string, string>();
  private readonly answers = new Map<string, Buffer>();

  /** Calls of the method, or of all. */
  count(method?: string): number {
    return method === undefined
      ? [...this.counts.values()].reduce((sum, each) => sum + each, 0)
      : (this.counts.get(method) ?? 0);
  }

  /** Calls wait until `resume`; undefined: of every method. */
  stall(method = '*'): void {
    this.stalled.add(method);
  }

  resume(): void {
    this.stalled.clear();
    for (const each of this.waiting) each();
    this.waiting.clear();
  }

  /** The next call is carried out, and fails with this status: its answer is lost. */
  loseAnswer(method: string, code: string): void {
    this.lost.set(method, code);
  }

  /** To be passed by each answer. */
  answered(method: string): void {
    const code = this.lost.get(method);
    if (code === undefined) return;
    this.lost.delete(method);
    throw toldToFail(status[code as keyof typeof status]);
  }

  /** The next calls fail with this status, `times` of them; undefined: until `heal`. */
  fail(method: string, code: string, times = Number.POSITIVE_INFINITY): void {
    const value = status[code as keyof typeof status];
    if (typeof value !== 'number') throw new RangeError(`no gRPC status: ${code}`);
    this.failing.set(method, { code: value, left: times });
  }

  /** Answers with these bytes instead of its own. */
  answer(method: string, bytes: Buffer): void {
    this.answers.set(method, bytes);
  }

  /** Ends what `fail` and `answer` began. */
  heal(): void {
    this.failing.clear();
    this.answers.clear();
  }

  /** To be passed by each call. Resolves with bytes to answer with, if any; throws the failure that it is to have. */
  async pass(method: string): Promise<Buffer | undefined> {
    this.counts.set(method, this.count(method) + 1);
    while (this.stalled.has(method) || this.stalled.has('*')) {
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
    const failing = this.failing.get(method);
    if (failing !== undefined && failing.left > 0) {
      failing.left -= 1;
      throw toldToFail(failing.code);
    }
    return this.answers.get(method);
  }
}

function toldToFail(code: status): Error {
  return Object.assign(new Error('told to fail'), { code, details: 'told to fail' });
}
