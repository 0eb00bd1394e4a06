// The limit of probes and the back-off when no peer qualifies.
import { expect, test } from 'vitest';
import { ProbeWindow } from '../../../src/sync/probe-window.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** How long the next wait lasts. */
function waitOf(window: ProbeWindow, nowMs: number): number {
  window.wait(nowMs);
  let ms = 0;
  while (window.isWaiting(nowMs + ms)) ms += SECOND;
  return ms / SECOND;
}

test('waits 2 s at first, twice as long each time, and never longer than 64 s', () => {
  const window = new ProbeWindow(3);
  expect(Array.from({ length: 8 }, (_, i) => waitOf(window, i * MINUTE * 10))).toEqual([2, 4, 8, 16, 32, 64, 64, 64]);
  window.reset();
  expect(waitOf(window, 1)).toBe(2);
});

test('has probes again when a wait has ended, not before', () => {
  const window = new ProbeWindow(2);
  window.probe();
  window.probe();
  expect(window.probesLeft).toBe(0);
  window.wait(0);
  expect([window.isWaiting(1999), window.probesLeft]).toEqual([true, 0]);
  expect([window.isWaiting(2000), window.probesLeft]).toEqual([false, 2]);
});

test('has probes again when our own work has grown, and only then', () => {
  const window = new ProbeWindow(3);
  window.sawWork(100n);
  window.probe();
  for (const work of [100n, 99n, undefined]) window.sawWork(work);
  expect(window.probesLeft).toBe(2);
  window.sawWork(101n);
  expect(window.probesLeft).toBe(3);
});

test('asks for 5 min without a failure before a peer is reconsidered, and for half the length of long waits more', () => {
  const window = new ProbeWindow(3);
  const minutes = Array.from({ length: 7 }, () => {
    window.wait(0);
    return window.reconsiderMs / MINUTE;
  });
  expect(minutes).toEqual([5, 5, 10, 20, 40, 80, 80]);
});
