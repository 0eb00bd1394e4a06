// Messages recorded from a real Teranode server, as the project keeps them under test/data.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from './repo.ts';

interface RecordedFile {
  readonly messages: readonly {
    readonly topic?: string;
    readonly from: string;
    readonly data?: string;
    readonly dataHex?: string;
  }[];
}

/** Texts of a file's messages. */
export function recordedTexts(name: string): string[] {
  return recordedFile(name).messages.map(({ data }) => data ?? '');
}

export function recordedFile(name: string): RecordedFile {
  return JSON.parse(readFileSync(join(REPO, 'test/data/messages', name), 'utf8')) as RecordedFile;
}

/** Any JSON file below test/data. */
export function dataJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(REPO, 'test/data', path), 'utf8')) as T;
}

/** Any other file below test/data. */
export function dataFile(path: string): Buffer {
  return readFileSync(join(REPO, 'test/data', path));
}
