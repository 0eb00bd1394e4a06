// Histories on disk, so that a restart does not forget which peers served well. The file is written as a whole and
// swapped in. A damaged file never stops the start: it is renamed aside, and a single bad entry costs only itself.
import { open } from 'node:fs/promises';
import type { PeerHistory, ValidatedProgress } from '../../domain/peer-history.ts';
import { writePrivateFile } from '../../lib/private-file.ts';
import { parseHash } from '../../wire/hash.ts';
import { parsePeerId } from '../../wire/peer-id.ts';
import { firstCharacters, MAX_ERROR_CHARS } from './after-event.ts';
import { clampedReputation } from './reputation.ts';

/** 10,000 histories have about 6 MB. Files that are written stay below it, so that they can always be read. */
export const MAX_FILE_BYTES = 32 * 1024 * 1024;
/** `MAX_CHAIN_WORK_BYTES` of the gRPC API in hex. */
const CHAIN_WORK = /^[0-9a-f]{1,256}$/;
const UINT64 = /^[0-9]{1,20}$/;
const UINT32_MAX = 0xffff_ffff;

export interface StoredHistory {
  readonly history: PeerHistory;
  /** Unix ms of the last experience, or of when the peer was last connected or banned. */
  readonly seenMs: number;
}

export interface ReadHistories {
  readonly stored: readonly StoredHistory[];
  /** Invalid entries. */
  readonly dropped: number;
}

/**
 * `nowMs` bounds times: a clock that was ahead must not keep an entry forever; `maxPenaltyMs` bounds penalties in the
 * same way.
 */
interface TimeBounds {
  readonly nowMs: number;
  readonly maxPenaltyMs: number;
}

/** undefined when there is no file. Throws when it cannot be read or is damaged. */
export async function readHistories(file: string, bounds: TimeBounds): Promise<ReadHistories | undefined> {
  const text = await readBounded(file);
  return text === undefined ? undefined : historiesIn(text, bounds);
}

/** Throws SyntaxError for text that is not JSON, and TypeError for a file of another form. */
export function historiesIn(text: string, { nowMs, maxPenaltyMs }: TimeBounds): ReadHistories {
  const { version, peers } = recordOf(JSON.parse(text));
  if (version !== 1 || !Array.isArray(peers))
    throw new TypeError('invalid peer histories (expected version 1 and a list of peers)');
  const stored = peers.flatMap((entry: unknown) => storedHistory(entry, nowMs, nowMs + maxPenaltyMs) ?? []);
  return { stored, dropped: peers.length - stored.length };
}

/** `stored`: most important first; what exceeds the size of a file is left out. Throws when it cannot be written. */
export async function writeHistories(file: string, stored: Iterable<StoredHistory>): Promise<void> {
  await writePrivateFile(file, fileText(stored), { isDurable: true });
}

async function readBounded(file: string): Promise<string | undefined> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    const { size } = await handle.stat();
    if (size > MAX_FILE_BYTES) throw new RangeError(`the file has ${size} bytes, at most ${MAX_FILE_BYTES}`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}

function fileText(stored: Iterable<StoredHistory>): string {
  const head = '{"version":1,"peers":[\n';
  const tail = '\n]}\n';
  const kept: string[] = [];
  let bytes = head.length + tail.length;
  for (const each of stored) {
    const entry = entryText(each);
    bytes += Buffer.byteLength(entry) + 2;
    if (bytes > MAX_FILE_BYTES) break;
    kept.push(entry);
  }
  return `${head}${kept.join(',\n')}${tail}`;
}

function entryText({ history, seenMs }: StoredHistory): string {
  const { validated, bytesReceived } = history;
  return JSON.stringify({
    ...history,
    bytesReceived: bytesReceived.toString(),
    validated: validated && { ...validated, chainWork: validated.chainWork.toString(16) },
    seenMs,
  });
}

/** undefined for an invalid entry. */
function storedHistory(entry: unknown, nowMs: number, maxPenaltyUntilMs: number): StoredHistory | undefined {
  try {
    const fields = recordOf(entry);
    const count = (key: keyof PeerHistory) => wholeNumber(fields[key]);
    const time = (key: keyof PeerHistory) => timeUntil(fields[key], nowMs);
    const history: PeerHistory = {
      id: checked(parsePeerId(textOf(fields.id))),
      attempts: count('attempts'),
      successes: count('successes'),
      failures: count('failures'),
      malicious: count('malicious'),
      lastAttemptMs: time('lastAttemptMs'),
      lastSuccessMs: time('lastSuccessMs'),
      lastFailureMs: time('lastFailureMs'),
      reputation: clampedReputation(numberOf(fields.reputation)),
      avgResponseMs: count('avgResponseMs'),
      catchupAttempts: count('catchupAttempts'),
      catchupSuccesses: count('catchupSuccesses'),
      catchupFailures: count('catchupFailures'),
      lastCatchupError: firstCharacters(textOf(fields.lastCatchupError), MAX_ERROR_CHARS),
      lastCatchupErrorMs: time('lastCatchupErrorMs'),
      blocksReceived: count('blocksReceived'),
      subtreesReceived: count('subtreesReceived'),
      transactionsReceived: count('transactionsReceived'),
      lastBlockMs: time('lastBlockMs'),
      bytesReceived: BigInt(matching(fields.bytesReceived, UINT64)),
      validated: fields.validated === undefined ? undefined : progressOf(recordOf(fields.validated), nowMs),
      syncAttempts: count('syncAttempts'),
      lastSyncAttemptMs: time('lastSyncAttemptMs'),
      resets: count('resets'),
      lastResetMs: time('lastResetMs'),
      fullStoragePenaltyUntilMs: timeUntil(fields.fullStoragePenaltyUntilMs, maxPenaltyUntilMs),
    };
    return { history, seenMs: Math.min(wholeNumber(fields.seenMs), nowMs) };
  } catch {
    return undefined;
  }
}

function progressOf(fields: Readonly<Record<string, unknown>>, nowMs: number): ValidatedProgress {
  return {
    height: wholeNumber(fields.height, UINT32_MAX),
    hash: checked(parseHash(textOf(fields.hash))),
    chainWork: BigInt(`0x${matching(fields.chainWork, CHAIN_WORK)}`),
    atMs: Math.min(wholeNumber(fields.atMs), nowMs),
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new TypeError('invalid entry (expected an object)');
  return { ...value };
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError('invalid value (expected a number)');
  return value;
}

function wholeNumber(value: unknown, max = Number.MAX_SAFE_INTEGER): number {
  const number = numberOf(value);
  if (!Number.isInteger(number) || number < 0 || number > max)
    throw new RangeError(`invalid number ${number} (expected an integer from 0 to ${max})`);
  return number;
}

function timeUntil(value: unknown, latestMs: number): number | undefined {
  return value === undefined ? undefined : Math.min(wholeNumber(value), latestMs);
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('invalid value (expected a string)');
  return value;
}

function matching(value: unknown, form: RegExp): string {
  const text = textOf(value);
  if (!form.test(text)) throw new TypeError(`invalid text "${text.slice(0, 100)}" (expected a match of ${form})`);
  return text;
}

function checked<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('invalid value (expected a peer ID or a block hash)');
  return value;
}
