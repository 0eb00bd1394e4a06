// Handles the reports of our own validation from Kafka: penalizes the peer that an invalid block or subtree came from,
// and announces our own rejected transactions to the network.
import { LRUCache } from 'lru-cache';
import type { Hash, PeerId } from '../../domain/ids.ts';
import type { Notification } from '../../domain/notification.ts';
import type { OffenceRecorder } from '../../domain/offence.ts';
import type { InvalidBlockReport, InvalidSubtreeReport, RejectedTxReport } from '../../domain/report.ts';
import { shownText } from '../../lib/shown-text.ts';
import type { Rate } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ConsumedMessage, MessageHandler } from '../../ports/consumer.ts';
import type { Logger } from '../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import type { PublishOutcome } from '../../ports/p2p-node.ts';
import type { PeerHistories } from '../../ports/peer-histories.ts';
import type { TracedKind, Traces } from '../../ports/traces.ts';
import { CUT_MARK, cutText } from '../../wire/cut-text.ts';
import type { RejectedTxMessage } from '../../wire/rejected-tx.ts';
import { noteAtHost } from '../scores/datahub-notes.ts';
import { ownReasons } from './own-reasons.ts';
import { type AttributionView, type BlameView, blockPenalty, subtreePenalty } from './penalty.ts';
import { RejectedTxLimits } from './rejected-tx-limits.ts';

export interface ReportDependencies {
  readonly blocks: AttributionView;
  readonly subtrees: AttributionView;
  readonly offences: OffenceRecorder;
  /** The DataHubs that peers have, as they say. */
  readonly dataHubs: BlameView['dataHubs'];
  /** On message-bus: an invalid subtree is a failure of its peer, which costs reputation. Absent: it costs points. */
  readonly histories: Pick<PeerHistories, 'record'> | undefined;
  /** The last known state: asking the service for each report would lose the reports read while it is down. */
  readonly isSyncing: () => boolean;
  /** Whether the last known FSM state is RUNNING, or none is known. */
  readonly isRunning: () => boolean;
  /** Whether this node announces rejected transactions at all: `listen_mode` is full. */
  readonly announcesRejected: boolean;
  readonly rejectedTxRate: Rate;
  /** `p2p_report_own_reasons`: texts of reasons for which nobody is penalized. */
  readonly ownReasons: readonly string[];
  /** Called with each block or subtree for which a peer is penalized, once per author. */
  readonly provedInvalid?: (kind: 'block' | 'subtree', hash: Hash) => void;
  /** undefined while tracing is off. */
  readonly traces?: Traces | undefined;
  readonly ownId: PeerId;
  /** Publishes a transaction that our own validator rejected. */
  readonly announce: (message: RejectedTxMessage) => Promise<PublishOutcome>;
  /** Called for each announcement. */
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

type Kind = 'invalid_block' | 'invalid_subtree' | 'rejected_tx';
/** What a report led to; a closed set, the values of a metric's label. */
type Outcome =
  | 'charged'
  | 'failure_recorded'
  | 'repeated'
  | 'announced'
  | 'suppressed'
  | 'unattributed'
  | 'ambiguous'
  | 'own'
  | 'own_reason'
  | 'not_ours'
  | 'busy'
  | 'undecodable';

/** A block or subtree and its author are charged once in this time, however often it is reported. */
const REPEAT_MS = 10 * 60_000;
const MAX_REMEMBERED = 10_000;

/** At six bytes per escaped character, a message stays below the 16 KiB that nodes like this one accept. */
const MAX_REASON_BYTES = 2500;

/** Why a rejected transaction of ours is not announced; the values of a metric's label. */
const SUPPRESS_REASONS = ['listen_mode', 'not_running', 'repeated', 'rate'] as const;
type SuppressReason = (typeof SUPPRESS_REASONS)[number];

export interface ReportHandlers {
  readonly invalidBlocks: MessageHandler<InvalidBlockReport>;
  readonly invalidSubtrees: MessageHandler<InvalidSubtreeReport>;
  readonly rejectedTxs: MessageHandler<RejectedTxReport>;
}

/** Handlers of the three topics. A record that cannot be decoded is counted and skipped; the consumer commits it. */
export function validationReports(deps: ReportDependencies): ReportHandlers {
  const reports = deps.metrics.counter(
    'teranode_p2p_reports_total',
    'Reports of our own validation read from Kafka, by kind and outcome',
    ['kind', 'outcome'],
  );
  const charged = {
    blocks: chargedPairs('invalid_block_report', deps),
    subtrees: chargedPairs('invalid_subtree_report', deps),
  };
  const isOwnReason = ownReasons(deps.ownReasons);
  // Content that fails while the node catches up or syncs is old history. On message-bus it is not when the report of a
  // block names the peer that the block came from.
  const unlessSyncing = async (act: () => Outcome | Promise<Outcome>) => (deps.isSyncing() ? 'busy' : await act());
  return {
    invalidBlocks: handler<InvalidBlockReport>('invalid_block', deps, reports, async (report, topic) => {
      if (deps.traces !== undefined) recordReport(deps.traces, 'block', report);
      if (isOwnReason(report.reason)) return 'own_reason';
      const penalize = () => penalizeBlock(report, topic, deps, charged.blocks);
      return deps.histories !== undefined && report.peerId !== '' ? penalize() : await unlessSyncing(penalize);
    }),
    invalidSubtrees: handler<InvalidSubtreeReport>('invalid_subtree', deps, reports, async (report, topic) => {
      if (deps.traces !== undefined) recordReport(deps.traces, 'subtree', report);
      if (isOwnReason(report.reason)) return 'own_reason';
      return await unlessSyncing(() => penalizeSubtree(report, topic, deps, charged.subtrees));
    }),
    rejectedTxs: handler<RejectedTxReport>('rejected_tx', deps, reports, rejectedTxAnnouncer(deps)),
  };
}

function handler<T>(
  kind: Kind,
  deps: ReportDependencies,
  reports: Counter,
  act: (report: T, topic: string) => Promise<Outcome>,
): MessageHandler<T> {
  return async ({ value, topic, offset }: ConsumedMessage<T>) => {
    if (!value.ok) {
      reports.add(1, { kind, outcome: 'undecodable' });
      deps.log.debug({ kind, offset: String(offset), fault: value.fault }, 'failed to decode a report');
      return;
    }
    const outcome = await act(value.message, topic);
    reports.add(1, { kind, outcome });
    deps.log.debug({ kind, outcome, ...value.message }, 'report handled');
  };
}

function recordReport(
  traces: Traces,
  kind: TracedKind,
  { hash, reason, peerId }: InvalidBlockReport | InvalidSubtreeReport,
): void {
  const attributes = { result: 'invalid', reason, author: peerId || undefined };
  traces.record({ kind, hash, name: 'report', isFailed: true, attributes });
}

function penalizeBlock(
  report: InvalidBlockReport,
  topic: string,
  deps: ReportDependencies,
  charged: ChargedPairs,
): Outcome {
  const { hash, peerUrl } = report;
  noteAtHost(deps.offences, peerUrl, 'invalid_block', { topic, hash });
  const penalty = blockPenalty(report, { ...deps, announced: deps.blocks });
  if (penalty.outcome !== 'charged') return penalty.outcome;
  if (isRepeated(charged, hash, penalty.author)) return 'repeated';
  deps.provedInvalid?.('block', hash);
  return addPoints(penalty.author, 'invalid_block', hash, topic, deps);
}

async function penalizeSubtree(
  report: InvalidSubtreeReport,
  topic: string,
  deps: ReportDependencies,
  charged: ChargedPairs,
): Promise<Outcome> {
  const { hash, peerUrl } = report;
  const { histories } = deps;
  noteAtHost(deps.offences, peerUrl, 'invalid_subtree', { topic, hash });
  const penalty = subtreePenalty(report, { ...deps, announced: deps.subtrees }, histories !== undefined);
  if (penalty.outcome !== 'charged') return penalty.outcome;
  if (isRepeated(charged, hash, penalty.author)) return 'repeated';
  deps.provedInvalid?.('subtree', hash);
  if (histories === undefined) return addPoints(penalty.author, 'invalid_subtree', hash, topic, deps);
  await histories.record(penalty.author, { type: 'failure' });
  return 'failure_recorded';
}

function addPoints(
  author: PeerId,
  reason: 'invalid_block' | 'invalid_subtree',
  hash: Hash,
  topic: string,
  { offences }: ReportDependencies,
): Outcome {
  offences.addScore(author, reason, { role: 'author', rule: `${reason}_report`, topic, hash });
  return 'charged';
}

type ChargedPairs = LRUCache<string, true>;

/** Pairs of a hash and its author; the ones seen longest ago are evicted. */
function chargedPairs(kind: string, { clock, metrics }: ReportDependencies): ChargedPairs {
  const charged: ChargedPairs = new LRUCache({
    max: MAX_REMEMBERED,
    ttl: REPEAT_MS,
    ttlResolution: 0,
    perf: { now: () => clock.monotonic() },
  });
  const help = 'Entries that validation rules remember';
  const gauge = { name: 'teranode_p2p_rule_entries', help, labels: { kind } };
  gaugeWithBound(metrics, gauge, () => charged.size, MAX_REMEMBERED);
  return charged;
}

/** Whether the author was charged for this hash lately; remembers it. */
function isRepeated(charged: ChargedPairs, hash: Hash, author: PeerId): boolean {
  const key = `${hash} ${author}`;
  if (charged.has(key)) return true;
  charged.set(key, true);
  return false;
}

/** Transactions that a peer announced are not ours to announce, nor those that we reject while not RUNNING. */
function rejectedTxAnnouncer(deps: ReportDependencies): (report: RejectedTxReport) => Promise<Outcome> {
  const suppressed = deps.metrics.counter(
    'teranode_p2p_rejected_tx_publish_suppressed_total',
    'Rejected transactions of our own validator that were not announced, by reason',
    ['reason'],
  );
  const limits = new RejectedTxLimits(deps, deps.rejectedTxRate);
  const suppress = (reason: SuppressReason, outcome: Outcome = 'suppressed') => {
    suppressed.add(1, { reason });
    return outcome;
  };
  for (const reason of SUPPRESS_REASONS) suppressed.add(0, { reason });
  return async (report) => {
    if (report.peerId !== '') return 'not_ours';
    if (!deps.announcesRejected) return suppress('listen_mode');
    if (!deps.isRunning()) return suppress('not_running', 'busy');
    const turn = limits.take(report.txId);
    if (turn !== 'ok') return suppress(turn);
    try {
      await announceRejected(report, deps);
    } catch (error) {
      limits.forget(report.txId);
      throw error;
    }
    return 'announced';
  };
}

async function announceRejected(report: RejectedTxReport, deps: ReportDependencies): Promise<void> {
  const reason = cutText(report.reason, MAX_REASON_BYTES, CUT_MARK);
  const peerId = deps.ownId;
  const outcome = await deps.announce({ txId: report.txId, reason, peerId });
  if (outcome === 'published')
    deps.notify({
      type: 'rejected_tx',
      isOwn: true,
      atMs: deps.clock.now(),
      hash: report.txId,
      reason: shownText(reason),
      peerId,
    });
}
