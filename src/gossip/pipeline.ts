// The way of a message: envelope guards, decode, message guards, handler, effects. It runs inside gossip's validator, synchronously, so
// that what is rejected is not forwarded either; a failure of ours never reaches gossip.

import type { Hash } from '../domain/ids.ts';
import type { Clock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { GossipMessage, RelayDecision, TopicHandler } from '../ports/p2p-node.ts';
import type { FaultCode } from '../wire/fault.ts';
import type { TopicKind, TopicMessages, WireFormat } from '../wire/format.ts';
import type { Effect } from './effects.ts';
import { GUARDS, type GuardView, POLICY_RULES } from './guards.ts';
import { HANDLERS } from './handlers/index.ts';
import { sampled } from './limits/sampled.ts';
import { ACCEPTED, ignored, rejected, type SkipReason, type Verdict } from './verdict.ts';

export interface PipelineDependencies {
  readonly wire: Pick<WireFormat, 'decode'>;
  readonly view: GuardView;
  readonly execute: (effects: readonly Effect[]) => void;
  /** True for a rule that is in shadow: what it objects to is noted and passes. */
  readonly isShadow: (rule: SkipReason) => boolean;
  /** Told of each verdict, for whoever looks; must be cheap. */
  readonly judged?: (envelope: GossipMessage, verdict: Verdict) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Bytes that are no JSON come from listeners of other kinds: not relayed, and nobody's offence. */
const NOT_JSON: ReadonlySet<FaultCode> = new Set(['not_json', 'not_object']);

interface Counters {
  readonly verdicts: Counter;
  readonly faults: Counter;
  readonly shadowed: Counter;
}

/** Seconds. A message takes tens of microseconds; what takes longer keeps all others waiting. */
const HANDLER_BUCKETS = [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1];

/** Judges the messages of one topic; never throws. */
export function topicPipeline<K extends TopicKind>(kind: K, deps: PipelineDependencies): TopicHandler {
  const { metrics } = deps;
  const counters: Counters = {
    verdicts: metrics.counter('teranode_p2p_gossip_messages_total', 'Gossip messages by verdict', [
      'topic',
      'relay',
      'reason',
    ]),
    faults: metrics.counter('teranode_p2p_decode_faults_total', 'Messages that could not be decoded', [
      'topic',
      'fault',
    ]),
    shadowed: metrics.counter('teranode_p2p_shadowed_total', 'Messages that a rule in shadow would have stopped', [
      'topic',
      'rule',
    ]),
  };
  const handlerTime = metrics.histogram(
    'teranode_p2p_gossip_handler_seconds',
    'Time of a message in the pipeline: guards, decoding, handler, effects',
    HANDLER_BUCKETS,
    ['topic'],
  );
  counters.verdicts.add(0, { topic: kind, relay: 'ignore', reason: 'handler_failed' });
  const labels = { topic: kind };
  const failed = sampled<unknown>(deps.clock, (error, untold) =>
    deps.log.error({ topic: kind, err: error, untold }, 'message handling failed'),
  );
  return (envelope): RelayDecision => {
    const startedMs = performance.now();
    const verdict = safely(kind, envelope, deps, counters, failed);
    const reason = verdict.process ? 'processed' : verdict.reason;
    counters.verdicts.add(1, { topic: kind, relay: verdict.relay, reason });
    deps.judged?.(envelope, verdict);
    if (!verdict.process) {
      deps.log.trace({ topic: kind, reason, author: envelope.author, relay: envelope.relay }, 'message skipped');
    }
    handlerTime.observe((performance.now() - startedMs) / 1000, labels);
    return verdict.relay;
  };
}

function safely<K extends TopicKind>(
  kind: K,
  envelope: GossipMessage,
  deps: PipelineDependencies,
  counters: Counters,
  failed: (error: unknown) => void,
): Verdict {
  try {
    return judge(kind, envelope, deps, counters);
  } catch (error) {
    failed(error);
    return ignored('handler_failed');
  }
}

function judge<K extends TopicKind>(
  kind: K,
  envelope: GossipMessage,
  deps: PipelineDependencies,
  counters: Counters,
): Verdict {
  const { view } = deps;
  for (const guard of GUARDS[kind].envelope) {
    const verdict = guard(envelope, view);
    if (verdict !== undefined && !passesInShadow(verdict, kind, envelope, undefined, deps, counters)) return verdict;
  }
  const decoded = deps.wire.decode[kind](envelope.bytes);
  if (!decoded.ok) {
    counters.faults.add(1, { topic: kind, fault: decoded.fault.code });
    const verdict = verdictOfFault(decoded.fault.code);
    charge(verdict, envelope, undefined, deps);
    return verdict;
  }
  const message: TopicMessages[K] = decoded.message;
  for (const guard of GUARDS[kind].message) {
    const verdict = guard(message, envelope, view);
    if (verdict !== undefined && !passesInShadow(verdict, kind, envelope, message, deps, counters)) return verdict;
  }
  deps.execute(HANDLERS[kind](message, envelope, view));
  view.passed(envelope);
  return ACCEPTED;
}

/** Charges the author with what the verdict says; true when the rule is in shadow, and the message goes on all the same. */
function passesInShadow(
  verdict: Verdict,
  kind: TopicKind,
  envelope: GossipMessage,
  message: object | undefined,
  deps: PipelineDependencies,
  counters: Counters,
): boolean {
  charge(verdict, envelope, message, deps);
  if (verdict.process || !POLICY_RULES.has(verdict.reason) || !deps.isShadow(verdict.reason)) return false;
  counters.shadowed.add(1, { topic: kind, rule: verdict.reason });
  return true;
}

function charge(
  verdict: Verdict,
  envelope: GossipMessage,
  message: object | undefined,
  deps: PipelineDependencies,
): void {
  if (verdict.process || verdict.offence === undefined) return;
  const hash = message !== undefined && 'hash' in message ? (message.hash as Hash) : undefined;
  const { author, topic } = envelope;
  deps.execute([{ type: 'offence', author, reason: verdict.offence, rule: verdict.reason, topic, hash }]);
}

/** Bytes that are no JSON charge nobody; JSON that no implementation writes does, but only where its form leaves no doubt. */
function verdictOfFault(code: FaultCode): Verdict {
  if (NOT_JSON.has(code)) return ignored('not_json');
  return code === 'hash_form' ? rejected('hash_form', 'protocol_violation') : rejected('decode');
}
