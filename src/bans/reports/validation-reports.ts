// What the node's own validation says through Kafka: invalid blocks and subtrees are charged to the author that attribution knows, never to
// whoever claims a URL; our own rejected transactions are told to the network.

import type { Hash, PeerId } from '../../domain/ids.ts';
import type { Notification } from '../../domain/notification.ts';
import type { InvalidBlockReport, InvalidSubtreeReport, RejectedTxReport } from '../../domain/report.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ConsumedMessage, MessageHandler } from '../../ports/consumer.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { PublishOutcome } from '../../ports/p2p-node.ts';
import type { RejectedTxMessage } from '../../wire/rejected-tx.ts';
import { noteAtHost } from '../scores/datahub-notes.ts';
import type { PeerBanManager } from '../scores/peer-ban-manager.ts';

/** Who announced a hash, and with which URL. */
export interface AttributionView {
  announcementsOf(hash: Hash): readonly { readonly author: PeerId; readonly dataHubUrl: string }[];
  /** True when others announced it too, of whom nothing more is known. */
  hasForgotten(hash: Hash): boolean;
}

export interface ReportDependencies {
  readonly blocks: AttributionView;
  readonly subtrees: AttributionView;
  readonly scores: Pick<PeerBanManager, 'addScore'>;
  /** As last heard: asking for each report, a service that is away would have those lost that are read meanwhile. */
  readonly isSyncing: () => boolean;
  readonly ownId: PeerId;
  /** Publishes a transaction that our own validator rejected. */
  readonly announce: (message: RejectedTxMessage) => Promise<PublishOutcome>;
  /** Told of what was announced. */
  readonly notify: (notification: Notification) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

type Kind = 'invalid_block' | 'invalid_subtree' | 'rejected_tx';
/** What became of a report; a closed set. */
type Outcome = 'charged' | 'announced' | 'unattributed' | 'ambiguous' | 'own' | 'not_ours' | 'busy' | 'undecodable';

/** At six bytes a character, where all are escaped, a message stays below the 16 KiB that nodes like this one read. */
const MAX_REASON_CHARS = 2500;

export interface ReportHandlers {
  readonly invalidBlocks: MessageHandler<InvalidBlockReport>;
  readonly invalidSubtrees: MessageHandler<InvalidSubtreeReport>;
  readonly rejectedTxs: MessageHandler<RejectedTxReport>;
}

/** Handlers of the three topics. What cannot be decoded is counted and skipped; the consumer commits it. */
export function validationReports(deps: ReportDependencies): ReportHandlers {
  const reports = deps.metrics.counter('teranode_p2p_reports_total', 'Reports of our validation read from Kafka', [
    'kind',
    'outcome',
  ]);
  return {
    invalidBlocks: handler<InvalidBlockReport>('invalid_block', deps, reports, async (report, topic) =>
      chargeBlock(report, topic, deps),
    ),
    invalidSubtrees: handler<InvalidSubtreeReport>('invalid_subtree', deps, reports, async (report, topic) =>
      chargeSubtree(report, topic, deps),
    ),
    rejectedTxs: handler<RejectedTxReport>('rejected_tx', deps, reports, (report) => announceRejected(report, deps)),
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
      deps.log.debug({ kind, offset: String(offset), fault: value.fault }, 'report not decoded');
      return;
    }
    // What a node finds wrong while it catches up or syncs is old history, and what it then rejects is too.
    const outcome = deps.isSyncing() ? 'busy' : await act(value.message, topic);
    reports.add(1, { kind, outcome });
    deps.log.debug({ kind, outcome, ...value.message }, 'report handled');
  };
}

/**
 * The report does not say from where the block was fetched. Of several authors of one hash the honest ones cannot be told from one who serves
 * rubbish for a sound header, so only a lone author is charged.
 */
function chargeBlock({ hash }: InvalidBlockReport, topic: string, deps: ReportDependencies): Outcome {
  return charge(deps.blocks.announcementsOf(hash), deps.blocks, 'invalid_block', hash, topic, deps);
}

/**
 * The author whose announcement led to the URL that was fetched, if that is one alone. A subtree may also be fetched because of a block, from
 * whoever announced that: then its own author has nothing to do with what was served. A report without URL is like one of a block.
 */
function chargeSubtree({ hash, peerUrl }: InvalidSubtreeReport, topic: string, deps: ReportDependencies): Outcome {
  noteAtHost(deps.scores, peerUrl, 'invalid_subtree', { topic, hash });
  const all = deps.subtrees.announcementsOf(hash);
  const fetched = plainUrl(peerUrl);
  const led = fetched === '' ? all : all.filter(({ dataHubUrl }) => plainUrl(dataHubUrl) === fetched);
  return charge(led, deps.subtrees, 'invalid_subtree', hash, topic, deps);
}

/** Without slashes at the end, which clients add and take away. */
function plainUrl(url: string): string {
  let end = url.length;
  while (url.endsWith('/', end)) end -= 1;
  return url.slice(0, end);
}

function charge(
  announcements: ReturnType<AttributionView['announcementsOf']>,
  view: AttributionView,
  reason: 'invalid_block' | 'invalid_subtree',
  hash: Hash,
  topic: string,
  deps: ReportDependencies,
): Outcome {
  const [first, ...others] = announcements;
  if (first === undefined) return 'unattributed';
  if (others.length > 0 || view.hasForgotten(hash)) return 'ambiguous';
  if (first.author === deps.ownId) return 'own';
  deps.scores.addScore(first.author, reason, { role: 'author', rule: `${reason}_report`, topic, hash });
  return 'charged';
}

/** A transaction that a peer told of is not ours to repeat. */
async function announceRejected(report: RejectedTxReport, deps: ReportDependencies): Promise<Outcome> {
  if (report.peerId !== '') return 'not_ours';
  const reason = report.reason.slice(0, MAX_REASON_CHARS);
  const peerId = deps.ownId;
  const outcome = await deps.announce({ txId: report.txId, reason, peerId });
  if (outcome === 'published')
    deps.notify({ type: 'rejected_tx', isOwn: true, atMs: deps.clock.now(), hash: report.txId, reason, peerId });
  return 'announced';
}
