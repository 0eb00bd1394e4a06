// The files of a capture: the one that is named, and the parts before it that lie beside it.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { P2PError } from '../lib/errors.ts';
import { type FrameFault, type ReadBytes, readFrames } from './frame.ts';
import { type CaptureHead, type CaptureRecord, recordOf } from './records.ts';

export interface CaptureFile {
  readonly file: string;
  readonly bytes: number;
  readonly head: CaptureHead;
}

/** A record with its place: its number counts from 1, over all files. */
export interface PlacedRecord {
  readonly number: number;
  readonly record: CaptureRecord;
  /** Of this file; read so far. */
  readonly fileBytes: number;
}

/** The settings allow no more parts. */
const MAX_PARTS = 1000;
const NUMBERED = /^(?<base>.+)\.(?<number>\d{1,4})$/s;

/** The parts of the same run up to this one, oldest first, as far as they lie beside it. Throws FILE_UNUSABLE. */
export function captureFiles(file: string): readonly [CaptureFile, ...CaptureFile[]] {
  const last = described(file);
  const { base = file, number = '0' } = NUMBERED.exec(file)?.groups ?? {};
  const isNumbered = last.head.part > 0 || base === file;
  const files: [CaptureFile, ...CaptureFile[]] = [last];
  for (let index = Number(number) + 1; isNumbered && index < MAX_PARTS; index += 1) {
    const before = describedOrNone(`${base}.${index}`);
    const { series, part } = files[0].head;
    if (before === undefined || before.head.series !== series || before.head.part !== part - 1) break;
    files.unshift(before);
  }
  return files;
}

/**
 * All records of the files in turn. Returns what is wrong with the end of the last one: a node that was killed leaves a
 * record cut in two. Throws FILE_UNUSABLE where a file is damaged.
 */
export function* recordsOf(files: readonly CaptureFile[]): Generator<PlacedRecord, FrameFault | undefined, undefined> {
  let number = 0;
  for (const { file, head } of files) {
    let fileBytes = 0;
    const opened = openFile(file);
    try {
      const frames = readFrames(opened.read);
      for (let next = frames.next(); ; next = frames.next()) {
        if (next.done) {
          if (next.value === undefined) break;
          if (next.value.what === 'truncated' && file === files.at(-1)?.file) return next.value;
          throw unusable(file, faultText(next.value, number));
        }
        number += 1;
        fileBytes += next.value.json.length + next.value.blobs.reduce((sum, blob) => sum + blob.length, 0);
        const record = recordOf(next.value);
        if (record === undefined) throw unusable(file, `this version does not know record ${number}`);
        if (record.type === 'head' && (record.head.series !== head.series || record.head.part !== head.part))
          throw unusable(file, 'its node has begun another part meanwhile: replay again');
        yield { number, record, fileBytes };
      }
    } finally {
      opened.close();
    }
  }
  return undefined;
}

export function faultText(fault: FrameFault, records: number): string {
  switch (fault.what) {
    case 'not_a_capture':
      return 'it is not a capture (expected a file that p2p_capture_file names)';
    case 'other_version':
      return `its format has version ${JSON.stringify(fault.version)} (expected "1"): replay it with the program that wrote it`;
    case 'truncated':
      return `it ends within a record, at byte ${fault.atByte}, after ${records} whole ones`;
    default:
      return `it is damaged at byte ${fault.atByte}, after ${records} records: ${fault.why}`;
  }
}

function described(file: string): CaptureFile {
  const { read, bytes, close } = openFile(file);
  try {
    const first = readFrames(read).next();
    if (first.done) throw unusable(file, first.value === undefined ? 'it has no records' : faultText(first.value, 0));
    const record = recordOf(first.value);
    if (record?.type !== 'head') throw unusable(file, 'it does not begin with the head of a capture');
    return { file, bytes, head: record.head };
  } finally {
    close();
  }
}

function describedOrNone(file: string): CaptureFile | undefined {
  try {
    return described(file);
  } catch {
    return undefined;
  }
}

interface Opened {
  readonly read: ReadBytes;
  readonly bytes: number;
  readonly close: () => void;
}

function openFile(file: string): Opened {
  try {
    const handle = openSync(file, 'r');
    const stats = fstatSync(handle);
    if (!stats.isFile()) {
      closeSync(handle);
      throw unusable(file, 'it is not a file');
    }
    return { bytes: stats.size, close: () => closeSync(handle), read: (buffer, at) => readAll(handle, buffer, at) };
  } catch (cause) {
    if (cause instanceof P2PError) throw cause;
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw new P2PError('FILE_UNUSABLE', `cannot read the capture ${file}: ${code}`, { details: { file }, cause });
  }
}

function readAll(handle: number, buffer: Buffer, position: number): number {
  let got = 0;
  while (got < buffer.length) {
    const bytes = readSync(handle, buffer, got, buffer.length - got, position + got);
    if (bytes === 0) break;
    got += bytes;
  }
  return got;
}

function unusable(file: string, why: string): P2PError {
  return new P2PError('FILE_UNUSABLE', `cannot replay ${file}: ${why}`, { details: { file } });
}
