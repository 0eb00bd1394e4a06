// The writer of a capture: rotation, bounds, and what is said about missing records.
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CaptureWriter, MAX_BUFFER_BYTES } from '../../../src/capture/capture-writer.ts';
import { encodeFrame, readFrames } from '../../../src/capture/frame.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const frame = (text: string, bytes = 0) => encodeFrame({ json: text, blobs: [Buffer.alloc(bytes)] }) as Buffer;

async function started(limits: { readonly maxBytes?: number; readonly maxFiles?: number } = {}) {
  const file = join(temporaryFolder('writer'), 'capture');
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const writer = new CaptureWriter(
    { log, metrics, beginning: (part) => [frame(`head ${part}`)], gap: (records) => [frame(`gap ${records}`)] },
    { file, maxBytes: limits.maxBytes ?? 1_000_000, maxFiles: limits.maxFiles ?? 3 },
  );
  await writer.start();
  return { file, metrics, log, writer };
}

function texts(file: string): string[] {
  const bytes = readFileSync(file);
  return [...readFrames((buffer, at) => bytes.copy(buffer, 0, at))].map(({ json }) => json);
}

test('writes records in their order, for the owner alone', async () => {
  const { file, writer, metrics } = await started();
  for (let i = 0; i < 1000; i += 1) writer.write(frame(`record ${i}`));
  await writer.stop();
  expect(texts(file)).toEqual(['head 0', ...Array.from({ length: 1000 }, (_, i) => `record ${i}`)]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(metrics.count('teranode_p2p_capture_records_total')).toBe(1001);
  writer.write(frame('late'));
  await writer.stop();
  expect(texts(file)).toHaveLength(1001);
});

test('begins another file when one is full, and deletes the oldest', async () => {
  const { file, writer } = await started({ maxBytes: 10_000, maxFiles: 3 });
  for (let i = 0; i < 100; i += 1) writer.write(frame(`record ${i}`, 1000));
  await writer.stop();
  expect(existsSync(`${file}.3`)).toBe(false);
  const [newest, middle, oldest] = [file, `${file}.1`, `${file}.2`].map(texts);
  const all = [oldest, middle, newest].flatMap((part) => part ?? []);
  const heads = all.filter((text) => text.startsWith('head'));
  expect(heads).toHaveLength(3);
  expect(heads.map((text) => Number(text.slice(5)))).toEqual([7, 8, 9]);
  const numbers = all.flatMap((text) => (text.startsWith('record') ? [Number(text.slice(7))] : []));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 100 - numbers.length + i));
  for (const part of [file, `${file}.1`, `${file}.2`]) expect(statSync(part).size).toBeLessThan(11_500);
});

test('keeps the file of an earlier run beside its own', async () => {
  const { file, writer } = await started();
  await writer.stop();
  writeFileSync(file, 'earlier');
  const next = new CaptureWriter(
    { log: recordingLogger(), metrics: new RecordedMetrics(), beginning: () => [frame('head')], gap: () => [] },
    { file, maxBytes: 1000, maxFiles: 3 },
  );
  await next.start();
  await next.stop();
  expect(readFileSync(`${file}.1`, 'utf8')).toBe('earlier');
  expect(texts(file)).toEqual(['head']);
});

test('drops and counts what exceeds its buffer, and says in its place how many are missing', async () => {
  const { file, writer, metrics } = await started({ maxBytes: 100_000_000 });
  const large = frame('large', 1_000_000);
  const count = Math.ceil(MAX_BUFFER_BYTES / large.length) + 5;
  for (let i = 0; i < count; i += 1) writer.write(large);
  writer.write(undefined);
  const dropped = metrics.count('teranode_p2p_capture_dropped_total', { reason: 'buffer_full' });
  expect(dropped).toBeGreaterThanOrEqual(5);
  expect(metrics.count('teranode_p2p_capture_dropped_total', { reason: 'too_large' })).toBe(1);
  expect(metrics.gaugeValue('teranode_p2p_capture_buffer_bytes')).toBeLessThanOrEqual(MAX_BUFFER_BYTES);
  await expect.poll(() => metrics.gaugeValue('teranode_p2p_capture_buffer_bytes')).toBe(0);
  writer.write(frame('after'));
  await writer.stop();
  expect(texts(file).slice(-2)).toEqual([`gap ${dropped + 1}`, 'after']);
});

test('a file that cannot be created fails the start', async () => {
  const none = new CaptureWriter(
    { log: recordingLogger(), metrics: new RecordedMetrics(), beginning: () => [], gap: () => [] },
    { file: join(temporaryFolder('writer'), 'missing', 'capture'), maxBytes: 1000, maxFiles: 3 },
  );
  await expect(none.start()).rejects.toMatchObject({ code: 'ENOENT' });
});

test('goes on in the same file after a rotation that failed, and numbers the next part behind it', async () => {
  const { file, writer, log } = await started({ maxBytes: 10_000, maxFiles: 2 });
  const said = (event: string) => log.lines.some((line) => line.event === event);
  // In the way of the rotation.
  mkdirSync(`${file}.1`);
  for (let i = 0; i < 40; i += 1) writer.write(frame(`record ${i}`, 1000));
  await expect.poll(() => said('failed to write the capture file, records are dropped')).toBe(true);
  rmdirSync(`${file}.1`);
  await expect
    .poll(
      () => {
        writer.write(frame('again'));
        return said('writing the capture file again');
      },
      { timeout: 30_000 },
    )
    .toBe(true);
  expect(existsSync(`${file}.1`)).toBe(false);
  for (let i = 0; i < 8; i += 1) writer.write(frame(`later ${i}`, 1000));
  await writer.stop();
  const [before, after] = [`${file}.1`, file].map(texts);
  expect(before?.[0]).toBe('head 0');
  expect(before).toContain('record 5');
  expect(before?.some((text) => text.startsWith('gap '))).toBe(true);
  expect(after?.[0]).toBe('head 1');
  expect(after).toContain('later 7');
});
