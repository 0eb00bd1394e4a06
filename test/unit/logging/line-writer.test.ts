import { describe, expect, test } from 'vitest';
import { type LineOutput, LineWriter } from '../../../src/adapters/logging/line-writer.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

/** Lines wait until the test lets them be written. */
class SlowOutput implements LineOutput {
  readonly written: string[] = [];
  private readonly waiting: { line: string; done: (error?: Error) => void }[] = [];

  write(line: string, done: (error?: Error) => void): void {
    this.waiting.push({ line, done });
  }

  pendingBytes(): number {
    return this.waiting.reduce((sum, { line }) => sum + line.length, 0);
  }

  finish(count: number, error?: Error): void {
    for (const { line, done } of this.waiting.splice(0, count)) {
      if (error === undefined) this.written.push(line);
      done(error);
    }
  }
}

function setUp() {
  const output = new SlowOutput();
  const metrics = new RecordedMetrics();
  const clock = { ms: 0, now: () => 0, monotonic: () => clock.ms };
  const resumed: number[] = [];
  const options = { maxPendingBytes: 10, onResumed: (lines: number) => resumed.push(lines) };
  const writer = new LineWriter({ output, clock, dropped: metrics.counter('dropped') }, options);
  return { output, clock, resumed, writer, dropped: () => metrics.count('dropped') };
}

describe('LineWriter', () => {
  test('drops lines beyond its bound, until everything that waited is written', () => {
    const { output, resumed, writer, dropped } = setUp();
    for (const line of ['aaaa\n', 'bbbb\n', 'cccc\n', 'dddd\n']) writer.write(line);
    expect(dropped()).toBe(2);
    output.finish(1);
    writer.write('eeee\n');
    expect([dropped(), resumed]).toEqual([3, []]);
    output.finish(1);
    expect([output.written, resumed]).toEqual([['aaaa\n', 'bbbb\n'], [3]]);
    writer.write('ffff\n');
    output.finish(1);
    expect([output.written.at(-1), resumed, dropped()]).toEqual(['ffff\n', [3], 3]);
  });

  test('counts lines that could not be written, and tries again after a second', () => {
    const { output, clock, resumed, writer, dropped } = setUp();
    writer.write('aaaa\n');
    writer.write('bbbb\n');
    output.finish(2, new Error('EPIPE'));
    writer.write('cccc\n');
    expect([dropped(), output.pendingBytes()]).toEqual([3, 0]);
    clock.ms = 1000;
    writer.write('dddd\n');
    output.finish(1);
    expect([output.written, resumed, dropped()]).toEqual([['dddd\n'], [3], 3]);
  });
});
