// The records of a capture: a head, states that inputs are judged by, and inputs with what was decided. Decoding checks
// the form of all fields, so that a replay of hostile bytes ends with a fault and nothing worse.

import type { Content } from './frame.ts';
import { fromJson, toJson } from './json-form.ts';
import { type Decision, INPUT_KINDS, type InputKind, type InputValue } from './tap.ts';

/** What a capture says of its node; the first record of every part. */
export interface CaptureHead {
  /** The same in all parts of a run. */
  readonly series: string;
  /** Counts from 0. */
  readonly part: number;
  readonly program: string;
  readonly ownId: string;
  readonly networks: readonly CapturedNetwork[];
  /** Settings that decide, by key, as texts; none of them is secret. */
  readonly settings: Readonly<Record<string, string>>;
  /** Scores and reputations of authors are kept by the blockchain service, whose answers are not captured. */
  readonly isKeptElsewhere: boolean;
  /** The ban store is shared with other servers, whose changes are not captured. */
  readonly isStoreShared: boolean;
}

export interface CapturedNetwork {
  readonly name: string;
  readonly wire: string;
  readonly topicPrefix: string;
  readonly topics: Readonly<Record<string, string>>;
  /** Networks with the same number share a node. */
  readonly node: number;
}

/** What inputs are judged by besides themselves; each record replaces what an earlier one of its kind said. */
export const STATE_KINDS = ['chain', 'headers', 'peers', 'stored', 'histories', 'snapshot', 'begun'] as const;
export type StateKind = (typeof STATE_KINDS)[number];

/** An input that came from outside of the replayed parts while another one was under way. */
export interface SideInput {
  readonly kind: InputKind;
  readonly value: InputValue;
}

interface Timed {
  /** Unix ms, and monotonic ms. */
  readonly nowMs: number;
  readonly monotonicMs: number;
}

export type CaptureRecord = Timed &
  (
    | { readonly type: 'head'; readonly head: CaptureHead }
    | { readonly type: 'state'; readonly kind: StateKind; readonly value: InputValue }
    | {
        readonly type: 'input';
        readonly kind: InputKind;
        readonly value: InputValue;
        readonly decisions: readonly Decision[];
        readonly side: readonly SideInput[];
        /** Records that left the queue to Kafka meanwhile, see the input `dropped`. */
        readonly dropped: readonly string[];
        readonly blobs: readonly Uint8Array[];
      }
    /** Decided outside of any input, such as a ban that a shared store led to. */
    | { readonly type: 'late'; readonly decisions: readonly Decision[] }
    | { readonly type: 'gap'; readonly records: number }
    | { readonly type: 'end' }
  );

export function contentOf(record: CaptureRecord): Content {
  const { nowMs: n, monotonicMs: m } = record;
  const blobs = record.type === 'input' ? record.blobs : [];
  return { json: toJson({ n, m, ...shortForm(record) }), blobs };
}

function shortForm(record: CaptureRecord): object {
  switch (record.type) {
    case 'head':
      return { t: 'head', v: record.head };
    case 'state':
      return { t: 'state', k: record.kind, v: record.value };
    case 'input': {
      const { kind: k, value: v, decisions: d, side, dropped } = record;
      const s = side.map((each) => [each.kind, each.value]);
      return { t: 'input', k, v, d, ...(s.length > 0 ? { s } : {}), ...(dropped.length > 0 ? { q: dropped } : {}) };
    }
    case 'late':
      return { t: 'late', d: record.decisions };
    case 'gap':
      return { t: 'gap', v: record.records };
    default:
      return { t: 'end' };
  }
}

/** undefined when it is not one. */
export function recordOf({ json, blobs }: Content): CaptureRecord | undefined {
  const decoded = fromJson(json);
  if (decoded === undefined || !isPlain(decoded.value)) return undefined;
  const { n: nowMs, m: monotonicMs, t: type, k: kind, v: value, d: decisions = [] } = decoded.value;
  if (!isTime(nowMs) || !isTime(monotonicMs) || !isDecisions(decisions)) return undefined;
  const time = { nowMs, monotonicMs };
  switch (type) {
    case 'head':
      return isHead(value) ? { ...time, type, head: value } : undefined;
    case 'state':
      return isOneOf(STATE_KINDS, kind) && isPlain(value) ? { ...time, type, kind, value } : undefined;
    case 'input': {
      const { s: sides = [], q: dropped = [] } = decoded.value;
      const side = sideOf(sides);
      if (!isOneOf(INPUT_KINDS, kind) || !isPlain(value) || side === undefined || !isTexts(dropped)) return undefined;
      return { ...time, type, kind, value, decisions, side, dropped, blobs };
    }
    case 'late':
      return { ...time, type, decisions };
    case 'gap':
      return isTime(value) ? { ...time, type, records: value } : undefined;
    case 'end':
      return { ...time, type };
    default:
      return undefined;
  }
}

export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

/** What a Date takes. */
const MAX_TIME_MS = 8.64e15;

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_TIME_MS;
}

function isOneOf<T extends string>(all: readonly T[], value: unknown): value is T {
  return all.some((each) => each === value);
}

function isDecisions(value: unknown): value is readonly Decision[] {
  const isFact = (each: unknown) => ['string', 'number', 'boolean'].includes(typeof each);
  return Array.isArray(value) && value.every((each) => Array.isArray(each) && each.every(isFact));
}

function sideOf(value: unknown): readonly SideInput[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const all = value.map((each): SideInput | undefined => {
    const [kind, of] = Array.isArray(each) ? each : [];
    return isOneOf(INPUT_KINDS, kind) && isPlain(of) ? { kind, value: of } : undefined;
  });
  return all.every((each) => each !== undefined) ? all : undefined;
}

/** More than a node can have. */
const MAX_NETWORKS = 100;

function isHead(value: unknown): value is CaptureHead {
  if (!isPlain(value)) return false;
  const { series, part, program, ownId, networks, settings, isKeptElsewhere, isStoreShared } = value;
  return (
    [series, program, ownId].every((each) => typeof each === 'string') &&
    isTime(part) &&
    Array.isArray(networks) &&
    networks.length > 0 &&
    networks.length <= MAX_NETWORKS &&
    networks.every(isNetwork) &&
    isTextMap(settings) &&
    typeof isKeptElsewhere === 'boolean' &&
    typeof isStoreShared === 'boolean'
  );
}

function isNetwork(value: unknown): boolean {
  if (!isPlain(value)) return false;
  const { name, wire, topicPrefix, topics, node } = value;
  return [name, wire, topicPrefix].every((each) => typeof each === 'string') && isTextMap(topics) && isTime(node);
}

function isTextMap(value: unknown): boolean {
  return isPlain(value) && Object.values(value).every((each) => typeof each === 'string');
}
