// The way of a message: envelope guards, decode, message guards, handler, effects. It runs inside gossip's validator, synchronously, so
// that what is rejected is not forwarded either; a failure of ours never reaches gossip.
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { GossipMessage, RelayDecision, TopicHandler } from '../ports/p2p-node.ts';
import type { FaultCode } from '../wire/fault.ts';
import type { Effect } from './effects.ts';
import { GUARDS, type GuardView } from './guards.ts';
import { HANDLERS } from './handlers/index.ts';
import { DECODERS, type ReadTopic, type TopicMessages } from './messages.ts';
import { ACCEPTED, ignored, rejected, type Verdict } from './verdict.ts';

export interface PipelineDependencies {
  readonly view: GuardView;
  readonly execute: (effects: readonly Effect[]) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Bytes that are no JSON come from listeners of other kinds: not relayed, and nobody's offence. */
const NOT_JSON: ReadonlySet<FaultCode> = new Set(['not_json', 'not_object']);

/** Judges the messages of one topic; never throws. */
export function topicPipeline<K extends ReadTopic>(kind: K, deps: PipelineDependencies): TopicHandler {
  const verdicts = deps.metrics.counter('teranode_p2p_gossip_messages_total', 'Gossip messages by verdict', [
    'topic',
    'relay',
    'reason',
  ]);
  const faults = deps.metrics.counter('teranode_p2p_decode_faults_total', 'Messages that could not be decoded', [
    'topic',
    'fault',
  ]);
  return (envelope): RelayDecision => {
    const verdict = safely(kind, envelope, deps, faults);
    const reason = verdict.process ? 'processed' : verdict.reason;
    verdicts.add(1, { topic: kind, relay: verdict.relay, reason });
    if (!verdict.process) {
      deps.log.trace({ topic: kind, reason, author: envelope.author, relay: envelope.relay }, 'message skipped');
    }
    return verdict.relay;
  };
}

function safely<K extends ReadTopic>(
  kind: K,
  envelope: GossipMessage,
  deps: PipelineDependencies,
  faults: Counter,
): Verdict {
  try {
    return judge(kind, envelope, deps, faults);
  } catch (error) {
    deps.log.error({ topic: kind, err: error }, 'message handling failed');
    return ignored('handler_failed');
  }
}

function judge<K extends ReadTopic>(
  kind: K,
  envelope: GossipMessage,
  deps: PipelineDependencies,
  faults: Counter,
): Verdict {
  const { view } = deps;
  for (const guard of GUARDS[kind].envelope) {
    const verdict = guard(envelope, view);
    if (verdict !== undefined) return verdict;
  }
  const decoded = DECODERS[kind](envelope.bytes);
  if (!decoded.ok) {
    faults.add(1, { topic: kind, fault: decoded.fault.code });
    return verdictOfFault(decoded.fault.code);
  }
  const message: TopicMessages[K] = decoded.message;
  for (const guard of GUARDS[kind].message) {
    const verdict = guard(message, envelope, view);
    if (verdict !== undefined) return verdict;
  }
  deps.execute(HANDLERS[kind](message, envelope));
  return ACCEPTED;
}

function verdictOfFault(code: FaultCode): Verdict {
  if (NOT_JSON.has(code)) return ignored('not_json');
  return rejected(code === 'hash_form' ? 'hash_form' : 'decode');
}
