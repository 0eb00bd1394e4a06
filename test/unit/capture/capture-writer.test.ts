// The writer of a capture: rotation, bounds, and what is said about missing records.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { CaptureWriter, MAX_BUFFER_BYTES } from '../../../src/capture/capture-writer.ts';
import { encodeFrame, MAGIC, readFrames } from '../../../src/capture/frame.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';

const frame = (text: string, bytes = 0) => encodeFrame({ json: text, blobs: [Buffer.alloc(bytes)] }) as Buffer;

async function started(
  limits: { readonly maxBytes?: number; readonly maxFiles?: number; readonly stateBytes?: number } = {},
) {
  const file = join(temporaryFolder('writer'), 'capture');
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const writer = new CaptureWriter(
    {
      ...{ log, metrics },
      beginning: (part) => [frame(`head ${part}`, limits.stateBytes)],
      gap: (records) => [frame(`gap ${records}`)],
    },
    { file, maxBytes: limits.maxBytes ?? 1_000_000, maxFiles: limits.maxFiles ?? 3 },
  );
  await writer.start();
  /** As the recorder writes an input. */
  const input = (bytes: Buffer) => {
    writer.makeRoom();
    writer.write(bytes);
  };
  return { file, metrics, log, writer, input };
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
  expect(metrics.count('teranode_p2p_capture_records_total')).toBe(1000);
  writer.write(frame('late'));
  await writer.stop();
  expect(texts(file)).toHaveLength(1001);
});

test('begins another file when one is full, and deletes the oldest', async () => {
  const { file, writer, input } = await started({ maxBytes: 10_000, maxFiles: 3 });
  for (let i = 0; i < 100; i += 1) input(frame(`record ${i}`, 1000));
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

test('a part that begins with more than the limit still takes as much again before the next', async () => {
  const { file, writer, input } = await started({ maxBytes: 10_000, maxFiles: 3, stateBytes: 20_000 });
  for (let i = 0; i < 40; i += 1) input(frame(`record ${i}`, 1000));
  await writer.stop();
  expect(texts(file)[0]).toBe('head 1');
  expect(texts(`${file}.1`).length).toBeGreaterThan(19);
});

function another(file: string, maxFiles: number): CaptureWriter {
  return new CaptureWriter(
    { log: recordingLogger(), metrics: new RecordedMetrics(), beginning: () => [frame('head')], gap: () => [] },
    { file, maxBytes: 1000, maxFiles },
  );
}

test('keeps the file of an earlier run beside its own, and what is empty', async () => {
  const { file, writer } = await started();
  await writer.stop();
  const next = another(file, 3);
  await next.start();
  await next.stop();
  expect([texts(file), texts(`${file}.1`)]).toEqual([['head'], ['head 0']]);
  truncateSync(file);
  const third = another(file, 3);
  await third.start();
  await third.stop();
  expect([texts(file), texts(`${file}.2`)]).toEqual([['head'], ['head 0']]);
});

test.each(['', '.1', '.2'])(
  'neither moves nor deletes a file or folder that is not a capture at capture%s',
  async (suffix) => {
    for (const maxFiles of suffix === '' ? [1, 3] : [3]) {
      for (const kind of ['file', 'folder']) {
        const folder = temporaryFolder('writer');
        const file = join(folder, 'capture');
        writeFileSync(`${file}${suffix === '' ? '.1' : ''}`, MAGIC);
        if (kind === 'file') writeFileSync(`${file}${suffix}`, 'a private key');
        else mkdirSync(`${file}${suffix}`);
        const before = readdirSync(folder);
        await expect(another(file, maxFiles).start()).rejects.toMatchObject({
          code: 'FILE_UNUSABLE',
          message: expect.stringContaining(`${file}${suffix} is not a capture`),
        });
        expect(readdirSync(folder)).toEqual(before);
        if (kind === 'file') expect(readFileSync(`${file}${suffix}`, 'utf8')).toBe('a private key');
      }
    }
  },
);

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

test('says all that is missing after a rotation that failed for long, and the full part does not grow', async () => {
  const { file, writer, log, input, metrics } = await started({ maxBytes: 10_000, maxFiles: 2 });
  const said = (event: string) => log.lines.filter((line) => line.event === event).length;
  const lost = () => metrics.count('teranode_p2p_capture_dropped_total', { reason: 'disk' });
  // In the way of the rotation.
  mkdirSync(`${file}.1`);
  for (let i = 0; i < 40; i += 1) input(frame(`record ${i}`, 1000));
  await expect.poll(() => said('failed to write the capture file, records are dropped')).toBe(1);
  const full = statSync(file).size;
  // Two retries that fail.
  for (let i = 0; i < 50; i += 1) {
    input(frame('in vain', 1000));
    await pause(100);
  }
  expect(statSync(file).size).toBe(full);
  expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  rmdirSync(`${file}.1`);
  const again = () => {
    input(frame('again'));
    return said('writing the capture file again');
  };
  await expect.poll(again, { timeout: 30_000 }).toBe(1);
  for (let i = 0; i < 8; i += 1) input(frame(`later ${i}`, 1000));
  await writer.stop();
  const [before, after] = [`${file}.1`, file].map(texts);
  expect(before?.[0]).toBe('head 0');
  expect(before).toContain('record 5');
  expect(after?.[0]).toBe('head 1');
  expect(after).toContain('later 7');
  const gaps = (after ?? []).filter((text) => text.startsWith('gap ')).map((text) => Number(text.slice(4)));
  expect(gaps.reduce((sum, gap) => sum + gap, 0)).toBe(lost());
});
