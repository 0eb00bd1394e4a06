// Replays a capture: every input goes through the same parts again, and what they decide is compared with what was
// decided then, or with what other settings decide.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type SignatureCheck, signatureCheck } from '../../adapters/libp2p/gossipsub/envelope-signature.ts';
import { captureFiles, faultText, type PlacedRecord, recordsOf } from '../../capture/capture-files.ts';
import type { CaptureHead, CaptureRecord } from '../../capture/records.ts';
import type { Decision } from '../../capture/tap.ts';
import { P2PError } from '../../lib/errors.ts';
import { CHANGEABLE_SETTINGS, settingsOfTexts } from '../../settings/deciding.ts';
import { textIn } from './input-values.ts';
import { type Difference, OutcomeCounts, type Replay } from './replay-summary.ts';
import { ReplayedNode } from './replayed-node.ts';

export interface ReplayOptions {
  /** Settings to change, by key; each is a text. */
  readonly changes?: Readonly<Record<string, string>>;
  /** Called from time to time. */
  readonly onProgress?: (records: number, timeMs: number) => void;
}

type Input = Extract<CaptureRecord, { readonly type: 'input' }>;

const MAX_DIFFERENCES = 20;
/** Between turns of the event loop, in which writes to the store are settled. */
const RECORDS_AT_ONCE = 200;

/**
 * Throws FILE_UNUSABLE for a file that is not a capture or is damaged, INPUT_INVALID for settings that a replay cannot
 * change, SETTINGS_INVALID for their values.
 */
export async function replayCapture(file: string, { changes, onProgress }: ReplayOptions = {}): Promise<Replay> {
  const files = captureFiles(file);
  const [{ head }] = files;
  checkChanges(changes ?? {});
  const base = new Line(head, head.settings);
  const other = changes === undefined ? undefined : new Line(head, { ...head.settings, ...changes });
  const run = new Run(head, base, other);
  try {
    await base.node.readers;
    await other?.node.readers;
    const records = recordsOf(files);
    for (let next = records.next(); ; next = records.next()) {
      if (next.done) {
        if (next.value !== undefined) run.notes.push(`The capture is cut off: ${faultText(next.value, run.records)}.`);
        break;
      }
      await run.take(next.value);
      if (run.records % RECORDS_AT_ONCE !== 0) continue;
      await nextTurn();
      onProgress?.(run.records, next.value.record.nowMs);
    }
    await nextTurn();
    return run.result(files.map((each) => each.file));
  } finally {
    await base.node.stop();
    await other?.node.stop();
  }
}

function checkChanges(changes: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(changes)) {
    if (CHANGEABLE_SETTINGS.has(key)) continue;
    const expected = [...CHANGEABLE_SETTINGS].join(', ');
    const shown = JSON.stringify(key.slice(0, 100));
    throw new P2PError('INPUT_INVALID', `a replay cannot change ${shown} (expected one of ${expected})`);
  }
}

/** A node under certain settings, and what it decided. */
class Line {
  readonly node: ReplayedNode;
  readonly counts = new OutcomeCounts();

  constructor(head: CaptureHead, texts: Readonly<Record<string, string>>) {
    this.node = new ReplayedNode(head, settingsOfTexts(texts));
  }
}

class Run {
  readonly notes: string[] = [];
  records = 0;
  private readonly head: CaptureHead;
  private readonly base: Line;
  private readonly other: Line | undefined;
  private readonly check: SignatureCheck = signatureCheck();
  private readonly signatures = { valid: 0, invalid: 0, unchecked: 0 };
  private readonly inputs: Record<string, number> = {};
  private readonly differences: Difference[] = [];
  private readonly topicKinds: ReadonlyMap<string, string>;
  private differing = 0;
  /** Records on which the same settings decide otherwise, while other settings are tried. */
  private unlike = 0;
  private missing = 0;
  private late = 0;
  private hasEnd = false;
  private isStarted = false;
  private fromMs: number | undefined;
  private toMs = 0;

  constructor(head: CaptureHead, base: Line, other: Line | undefined) {
    this.head = head;
    this.base = base;
    this.other = other;
    const names = head.networks.flatMap(({ topics }) => Object.entries(topics));
    this.topicKinds = new Map(names.map(([kind, name]) => [name, kind]));
    if (head.part > 0)
      this.notes.push(
        `The capture begins with part ${head.part + 1}: what the node remembered from before (rates, announcements) is not known, so the first decisions may differ.`,
      );
    if (head.isKeptElsewhere)
      this.notes.push(
        'The blockchain service kept scores and reputations of authors; what it answered is not captured.',
      );
    if (head.isStoreShared)
      this.notes.push('The ban store was shared with other servers; what they changed in it is not captured.');
  }

  async take({ number, record }: PlacedRecord): Promise<void> {
    this.records = number;
    this.fromMs ??= record.nowMs;
    this.toMs = record.nowMs;
    switch (record.type) {
      case 'head':
        return;
      case 'state':
        return await this.state(number, record);
      case 'input':
        await this.start();
        return this.input(number, record);
      case 'late':
        this.late += record.decisions.length;
        return;
      case 'gap':
        this.missing += record.records;
        return;
      default:
        this.hasEnd = true;
    }
  }

  result(files: readonly string[]): Replay {
    const { head, records, inputs, base, other, differences, differing, signatures, missing, late } = this;
    const notes = [...this.notes];
    if (missing > 0)
      notes.push(
        `${missing} records are missing, because the buffer or the disk was full: decisions after them may differ.`,
      );
    if (late > 0)
      notes.push(`${late} decisions came from the ban store later than their inputs; they are not replayed.`);
    if (this.unlike > 0)
      notes.push(
        `The node decided otherwise on ${this.unlike} records than the same settings do now; replay without --with to see the first.`,
      );
    if (!this.hasEnd && !notes.some((note) => note.includes('cut off')))
      notes.push('The capture has no end: its node runs, was killed, or went on in a later part.');
    const outcomeOf = ({ counts, node }: Line) => counts.outcome(node.bans.scoreList());
    const time = (ms: number) => new Date(ms).toISOString();
    return {
      ...{ files, head, records, inputs, notes, differences, differing, signatures },
      from: time(this.fromMs ?? 0),
      to: time(this.toMs),
      outcome: outcomeOf(base),
      changed: other && outcomeOf(other),
      isEqual: differing === 0 && signatures.invalid === 0,
    };
  }

  /** Bans are in force from the first input on, or when the node said so. */
  private async start(): Promise<void> {
    if (this.isStarted) return;
    this.isStarted = true;
    await this.base.node.start();
    await this.other?.node.start();
  }

  private async state(number: number, record: Extract<CaptureRecord, { readonly type: 'state' }>): Promise<void> {
    // A later part repeats what the parts before it say.
    if (record.kind === 'snapshot' && (this.isStarted || this.head.part === 0)) return;
    readably(number, () => {
      this.base.node.state(record);
      this.other?.node.state(record);
    });
    if (record.kind === 'begun') await this.start();
  }

  private input(number: number, record: Input): void {
    const { kind, value, decisions } = record;
    this.inputs[kind] = (this.inputs[kind] ?? 0) + 1;
    const time = () => new Date(record.nowMs).toISOString();
    readably(number, () => {
      const topic = kind === 'gossip' ? this.signed(record) : '';
      const { base, other } = this;
      const now = base.node.input(record);
      base.counts.add(topic, now, time);
      const changed = other?.node.input(record);
      if (changed !== undefined) other?.counts.add(topic, changed, time);
      if (changed !== undefined && !isSame(decisions, now)) this.unlike += 1;
      const [was, is] = changed === undefined ? [decisions, now] : [now, changed];
      if (isSame(was, is)) return;
      this.differing += 1;
      if (this.differences.length < MAX_DIFFERENCES)
        this.differences.push({ record: number, time: time(), input: inputText(kind, value, topic), was, now: is });
    });
  }

  /** Checks the signature again; returns the kind of the topic. */
  private signed({ value, blobs }: Input): string {
    const [bytes = NO_BYTES, signature = NO_BYTES] = blobs;
    const topic = textIn(value, 'topic');
    const seqno = typeof value.seqno === 'bigint' ? value.seqno : 0n;
    const isValid = this.check({ topic, author: textIn(value, 'author'), seqno, bytes, signature });
    if (isValid === undefined) this.signatures.unchecked += 1;
    else this.signatures[isValid ? 'valid' : 'invalid'] += 1;
    return this.topicKinds.get(topic) ?? topic;
  }
}

const NO_BYTES = new Uint8Array(0);

/** What no node has written ends the replay with the number of its record. */
function readably(number: number, act: () => void): void {
  try {
    act();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new P2PError('FILE_UNUSABLE', `record ${number} of the capture cannot be replayed: ${why}`, { cause });
  }
}

function isSame(a: readonly Decision[], b: readonly Decision[]): boolean {
  return a.length === b.length && a.every((each, i) => isSameDecision(each, b[i] ?? []));
}

function isSameDecision(a: Decision, b: Decision): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}

/** What came in, in a few words. */
function inputText(kind: string, value: Readonly<Record<string, unknown>>, topic: string): string {
  const shown = ['author', 'peerId', 'subject', 'text', 'of', 'op', 'key'].flatMap((key) => {
    const text = value[key];
    return typeof text === 'string' ? [text.slice(0, 100)] : [];
  });
  return [kind, ...(topic === '' ? [] : [topic]), ...shown].join(' ');
}
