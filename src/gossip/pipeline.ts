// The path of a message: envelope validators, decoding, message validators, handler, effects. It runs synchronously
// inside gossipsub's validator, so a rejected message is not forwarded either. An exception of ours never reaches
// gossipsub.

import type { Hash } from '../domain/ids.ts';
import { GOSSIP_RULES, type OffenceRow } from '../domain/offences.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { GossipMessage, TopicHandler, ValidationDecision } from '../ports/p2p-node.ts';
import type { Traces } from '../ports/traces.ts';
import type { FaultCode } from '../wire/fault.ts';
import type { TopicKind } from '../wire/format.ts';
import type { Effect } from './effects.ts';
import { GUARDS, type GuardView, POLICY_RULES } from './guards.ts';
import { HANDLERS } from './handlers/index.ts';
import { SLOW_MESSAGE_MS } from './limits/rates.ts';
import { sampled } from './limits/sampled.ts';
import type { Decoders, ReceivedMessages } from './messages.ts';
import { ACCEPTED, ignored, rejected, type SkipReason, type ValidationResult } from './validation-result.ts';

/** A valid message, who wrote and who brought it, and what its handler asked for. */
export type ProcessedMessage = {
  [K in TopicKind]: {
    readonly kind: K;
    readonly message: ReceivedMessages[K];
    readonly envelope: GossipMessage;
    readonly effects: readonly Effect[];
  };
}[TopicKind];

export interface PipelineDependencies {
  readonly decode: Decoders;
  readonly view: GuardView;
  readonly execute: (effects: readonly Effect[]) => void;
  /** True for a rule in shadow mode: what it would stop is recorded and passes. */
  readonly isShadow: (rule: SkipReason) => boolean;
  /** Called with each result, for the recent results that operators can list; must be cheap. */
  readonly onResult?: (envelope: GossipMessage, result: ValidationResult) => void;
  /** Called with each message that was processed and its effects, after they ran; must be cheap and not throw. */
  readonly onProcessed?: (processed: ProcessedMessage) => void;
  /** Takes the time that a message took and returns the one that counts, in ms; for captures and replays. */
  readonly handlingMs?: ((ms: number) => number) | undefined;
  /** undefined while tracing is off. */
  readonly traces?: Traces | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Bytes that are not JSON come from listeners of another kind: ignored without penalty. */
const NOT_JSON: ReadonlySet<FaultCode> = new Set(['not_json', 'not_object']);

interface Counters {
  readonly results: (result: ValidationResult) => void;
  readonly faults: Counter;
  readonly forms: (form: 'plain' | 'envelope') => void;
  readonly shadowed: Counter;
}

/** Seconds. A message takes tens of microseconds; a slower one delays all others. */
const HANDLER_BUCKETS = [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1];

/** The handler that validates and processes the messages of one topic. It never throws. */
export function topicPipeline<K extends TopicKind>(kind: K, deps: PipelineDependencies): TopicHandler {
  const { metrics } = deps;
  const results = metrics.counter(
    'teranode_p2p_gossip_messages_total',
    'Messages received from peers, by topic, by whether they were forwarded, and why',
    ['topic', 'relay', 'reason'],
  );
  const forms = metrics.counter(
    'teranode_p2p_gossip_forms_total',
    'Messages decoded, by topic and form: plain (go-p2p) or envelope (message-bus)',
    ['topic', 'form'],
  );
  // What nearly every message has is labelled once, not once per message.
  const processed = { topic: kind, relay: 'accept', reason: 'processed' };
  const formLabels = { plain: { topic: kind, form: 'plain' }, envelope: { topic: kind, form: 'envelope' } };
  const counters: Counters = {
    results: (result) =>
      results.add(
        1,
        result === ACCEPTED
          ? processed
          : { topic: kind, relay: result.decision, reason: result.process ? 'processed' : result.reason },
      ),
    forms: (form) => forms.add(1, formLabels[form]),
    faults: metrics.counter('teranode_p2p_decode_faults_total', 'Messages that failed to decode, by topic and fault', [
      'topic',
      'fault',
    ]),
    shadowed: metrics.counter('teranode_p2p_shadowed_total', 'Messages that a rule in shadow mode would have stopped', [
      'topic',
      'rule',
    ]),
  };
  const handlerTime = metrics.histogram(
    'teranode_p2p_gossip_handler_seconds',
    'Time a message spends in the pipeline: validators, decoding, handler, effects',
    HANDLER_BUCKETS,
    ['topic'],
  );
  results.add(0, { topic: kind, relay: 'ignore', reason: 'handler_failed' });
  const labels = { topic: kind };
  const failed = sampled<unknown>(deps.clock, (error, suppressed) =>
    deps.log.error({ topic: kind, err: error, suppressed }, 'failed to handle gossip message'),
  );
  return (envelope): ValidationDecision => {
    const startedMs = performance.now();
    const result = safely(kind, envelope, startedMs, deps, counters, failed);
    counters.results(result);
    deps.onResult?.(envelope, result);
    if (!result.process) {
      const { author, receivedFrom } = envelope;
      deps.log.trace({ topic: kind, reason: result.reason, author, receivedFrom }, 'message skipped');
    }
    const ms = performance.now() - startedMs;
    handlerTime.observe(ms / 1000, labels);
    const countedMs = deps.handlingMs === undefined ? ms : deps.handlingMs(ms);
    if (countedMs > SLOW_MESSAGE_MS) deps.view.spent(envelope.author, countedMs);
    return result.decision;
  };
}

function safely<K extends TopicKind>(
  kind: K,
  envelope: GossipMessage,
  startedMs: number,
  deps: PipelineDependencies,
  counters: Counters,
  failed: (error: unknown) => void,
): ValidationResult {
  try {
    return validate(kind, envelope, startedMs, deps, counters);
  } catch (error) {
    failed(error);
    return ignored('handler_failed');
  }
}

function validate<K extends TopicKind>(
  kind: K,
  envelope: GossipMessage,
  startedMs: number,
  deps: PipelineDependencies,
  counters: Counters,
): ValidationResult {
  const { view } = deps;
  for (const guard of GUARDS[kind].envelope) {
    const result = guard(envelope, view);
    if (result !== undefined && !passesInShadow(result, kind, envelope, undefined, deps, counters)) return result;
  }
  const decoded = deps.decode[kind](envelope.bytes);
  if (!decoded.ok) {
    counters.faults.add(1, { topic: kind, fault: decoded.fault.code });
    const result = resultOfFault(decoded.fault.code);
    penalize(result, envelope, undefined, deps);
    return result;
  }
  const message: ReceivedMessages[K] = decoded.message;
  counters.forms(decoded.form ?? 'plain');
  const validatingMs = deps.traces === undefined ? 0 : performance.now();
  const refusal = refusalOf(kind, message, envelope, deps, counters);
  if (deps.traces !== undefined && (kind === 'block' || kind === 'subtree') && 'hash' in message)
    recordReceipt(deps.traces, kind, message.hash, envelope, refusal ?? ACCEPTED, { startedMs, validatingMs });
  if (refusal !== undefined) return refusal;
  const effects = HANDLERS[kind](message, envelope, view);
  deps.execute(effects);
  view.passed(envelope);
  deps.onProcessed?.({ kind, message, envelope, effects } as ProcessedMessage);
  return ACCEPTED;
}

/** The result of the first validator of the message that objects, unless its rule is in shadow mode. */
function refusalOf<K extends TopicKind>(
  kind: K,
  message: ReceivedMessages[K],
  envelope: GossipMessage,
  deps: PipelineDependencies,
  counters: Counters,
): ValidationResult | undefined {
  for (const guard of GUARDS[kind].message) {
    const result = guard(message, envelope, deps.view);
    if (result !== undefined && !passesInShadow(result, kind, envelope, message, deps, counters)) return result;
  }
  return undefined;
}

function recordReceipt(
  traces: Traces,
  kind: 'block' | 'subtree',
  hash: Hash,
  { topic, author, receivedFrom }: GossipMessage,
  result: ValidationResult,
  { startedMs, validatingMs }: { readonly startedMs: number; readonly validatingMs: number },
): void {
  if (!traces.takes(kind, hash)) return;
  const reason = result.process ? undefined : result.reason;
  const attributes = { topic, author, received_from: receivedFrom, decision: result.decision, reason };
  const isFailed = result.decision === 'reject';
  traces.record({ kind, hash, name: 'receive', startedMs, isFailed, attributes });
  const decided = { decision: result.decision, reason };
  traces.record({ kind, hash, name: 'validate', startedMs: validatingMs, isFailed, attributes: decided });
}

/**
 * Penalizes the author as the result says. True when the rule is in shadow mode, so that the message passes all the
 * same.
 */
function passesInShadow(
  result: ValidationResult,
  kind: TopicKind,
  envelope: GossipMessage,
  message: object | undefined,
  deps: PipelineDependencies,
  counters: Counters,
): boolean {
  penalize(result, envelope, message, deps);
  if (result.process || !POLICY_RULES.has(result.reason) || !deps.isShadow(result.reason)) return false;
  counters.shadowed.add(1, { topic: kind, rule: result.reason });
  return true;
}

function penalize(
  result: ValidationResult,
  envelope: GossipMessage,
  message: object | undefined,
  deps: PipelineDependencies,
): void {
  if (result.process || result.isFree === true) return;
  const { view, execute, isShadow } = deps;
  const { reason: rule } = result;
  const row: OffenceRow = GOSSIP_RULES[rule];
  if (row.reason === undefined || (row.isFreeOnBus === true && view.wire === 'message-bus')) return;
  const hash = message !== undefined && 'hash' in message ? (message.hash as Hash) : undefined;
  const { author, topic, receivedFrom, seqno } = envelope;
  const isDirect = receivedFrom === author;
  if (!isDirect && !isShadow(rule)) view.chargeSource(receivedFrom);
  // Others may play an old message again: its author has paid.
  if (isDirect || !view.mayBeOld(author, seqno))
    execute([{ type: 'offence', author, reason: row.reason, rule, topic, hash }]);
}

/** The rule that a fault of the decoder breaks. */
export function ruleOfFault(code: FaultCode): 'not_json' | 'hash_form' | 'decode' {
  if (NOT_JSON.has(code)) return 'not_json';
  return code === 'hash_form' ? 'hash_form' : 'decode';
}

/** Bytes that are not JSON come from listeners of another kind. */
function resultOfFault(code: FaultCode): ValidationResult {
  const rule = ruleOfFault(code);
  return rule === 'not_json' ? ignored(rule) : rejected(rule);
}
