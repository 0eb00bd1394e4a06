// `teranode-p2p replay`: feeds a capture to the parts that decide, and says what they decide.

import { replayCapture } from '../../app/replay/replay.ts';
import type { Difference, Outcome, Replay } from '../../app/replay/replay-summary.ts';
import type { Decision } from '../../capture/tap.ts';
import { P2PError } from '../../lib/errors.ts';
import { shownLines, shownText } from '../../lib/shown-text.ts';
import { NotOk } from '../not-ok.ts';
import type { CommandIo } from './io.ts';

interface Flags {
  readonly with?: readonly string[];
  readonly json?: boolean;
}

const CLEAR_LINE = '\r\u001b[K';
const REDRAW_MS = 200;
const MAX_ROWS = 20;

/** Throws NotOk when the replay decides otherwise than the node did, and what `replayCapture` throws. */
export async function replayCommand(file: string, flags: Flags, { stdout, stderr }: CommandIo): Promise<void> {
  const changes = flags.with === undefined ? undefined : changesOf(flags.with);
  let drawnMs = Number.NEGATIVE_INFINITY;
  const onProgress = (records: number, timeMs: number) => {
    if (stderr.isTTY !== true || performance.now() - drawnMs < REDRAW_MS) return;
    drawnMs = performance.now();
    stderr.write(`${CLEAR_LINE}replaying… record ${records}, ${new Date(timeMs).toISOString()}`);
  };
  let replay: Replay;
  try {
    replay = await replayCapture(file, { onProgress, ...(changes === undefined ? {} : { changes }) });
  } finally {
    if (Number.isFinite(drawnMs)) stderr.write(CLEAR_LINE);
  }
  stdout.write(
    flags.json === true ? `${JSON.stringify(replay)}\n` : `${shownLines(reportLines(replay, changes).join('\n'))}\n`,
  );
  if (changes === undefined && !replay.isEqual) throw new NotOk();
}

/** Throws INPUT_INVALID. */
function changesOf(texts: readonly string[]): Record<string, string> {
  const pairs = texts.map((text) => {
    const at = text.indexOf('=');
    if (at < 1) throw new P2PError('INPUT_INVALID', `invalid --with ${JSON.stringify(text)} (expected setting=value)`);
    return [text.slice(0, at).trim(), text.slice(at + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}

function reportLines(replay: Replay, changes: Readonly<Record<string, string>> | undefined): string[] {
  const { head, records, inputs, from, to, files, notes, signatures } = replay;
  const inputText = Object.entries(inputs).map(([kind, count]) => `${count} ${kind}`);
  const { valid, invalid, unchecked } = signatures;
  return [
    `${files.length === 1 ? 'capture' : `capture in ${files.length} files`} of ${head.ownId} (${head.program}), ${from} to ${to}`,
    `${records} records: ${inputText.join(', ') || 'no inputs'}`,
    `signatures: ${valid} valid, ${invalid} invalid, ${unchecked} not checked`,
    ...outcomeLines(replay.outcome, replay.changed),
    '',
    ...notes.map((note) => `note: ${note}`),
    ...verdictLines(replay, changes),
    ...replay.differences.flatMap((each) => differenceLines(each, changes !== undefined)),
    ...(changes === undefined
      ? []
      : ['What peers would have sent and the network would have done otherwise is not known.']),
  ];
}

function verdictLines({ differing, isEqual, signatures }: Replay, changes: object | undefined): string[] {
  if (changes !== undefined) {
    const settings = Object.entries(changes).map(([key, value]) => `${key}=${value}`);
    const found = differing === 0 ? 'nothing changes' : `decisions on ${differing} records change`;
    return [`with ${settings.join(' ')}: ${found}`];
  }
  if (isEqual) return ['equal: every decision is the same'];
  const forged =
    signatures.invalid > 0 ? [`${signatures.invalid} signatures are invalid: the capture was altered`] : [];
  return differing === 0 ? forged : [...forged, `differs: decisions on ${differing} records; the first:`];
}

function differenceLines({ record, time, input, was, now }: Difference, isChange: boolean): string[] {
  return [
    `  record ${record}, ${time}: ${shownText(input)}`,
    `    ${isChange ? 'as set ' : 'decided'}: ${decisionsText(was)}`,
    `    ${isChange ? 'changed' : 'now    '}: ${decisionsText(now)}`,
  ];
}

function decisionsText(decisions: readonly Decision[]): string {
  return decisions.length === 0 ? 'nothing' : decisions.map((each) => shownText(each.join(' '))).join('; ');
}

function outcomeLines(was: Outcome, now: Outcome | undefined): string[] {
  const both = (a: number, b: number | undefined) => (b === undefined || a === b ? String(a) : `${a} -> ${b}`);
  const keys = [...new Set([...Object.keys(was.results), ...Object.keys(now?.results ?? {})])].toSorted();
  const results = keys.map((key) => `  ${key}: ${both(was.results[key] ?? 0, now && (now.results[key] ?? 0))}`);
  const handed = Object.keys(was.handed).map((kind) => `${both(was.handed[kind] ?? 0, now?.handed[kind])} ${kind}s`);
  return [
    'messages by topic, decision and reason:',
    ...(results.length === 0 ? ['  none'] : results),
    `handed to Kafka: ${handed.join(', ')}`,
    `offences: ${both(was.offences, now?.offences)}; bans: ${both(was.banCount, now?.banCount)}; bans ended: ${both(was.lifted, now?.lifted)}; peers disconnected: ${both(was.cut, now?.cut)}`,
    ...banLines(was, now),
    ...scoreLines(now ?? was),
  ];
}

function banLines(was: Outcome, now: Outcome | undefined): string[] {
  const row = ({ key, source, reason, time }: Outcome['bans'][number], mark: string) =>
    `  ${mark}${time} ${key} ${source}: ${shownText(reason)}`;
  if (now === undefined) return was.bans.slice(0, MAX_ROWS).map((each) => row(each, ''));
  const [before, after] = [was, now].map(({ bans }) => new Set(bans.map(({ key }) => key)));
  return [
    ...was.bans.filter(({ key }) => after?.has(key) !== true).map((each) => row(each, '- ')),
    ...now.bans.filter(({ key }) => before?.has(key) !== true).map((each) => row(each, '+ ')),
  ].slice(0, MAX_ROWS);
}

function scoreLines({ scores }: Outcome): string[] {
  if (scores.length === 0) return ['scores at the end: none'];
  const shown = scores.slice(0, MAX_ROWS).map(({ subject, role, score }) => `  ${subject} as ${role}: ${score}`);
  return [`scores at the end (${scores.length}):`, ...shown];
}
