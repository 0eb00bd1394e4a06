// The probe that asks a broker for an answer, over a connection of its own: on those of a consumer an answer waits until its group has formed.
import type { ProbeResult } from '../../ports/producer.ts';
import { unlessAborted } from './client-lifetime.ts';
import { askBroker, deepestMessage, type KafkaConnection, sameBrokers } from './connection.ts';

interface ProbeUnderWay {
  readonly connection: KafkaConnection;
  readonly deadlineMs: number;
  readonly found: Promise<ProbeResult>;
  /** Ends it when nobody waits for it any more. */
  readonly unwanted: AbortController;
  askers: number;
}

/** One for each list of brokers at the most, each gone by its deadline. */
const underWay = new Set<ProbeUnderWay>();

/**
 * Connects anew and asks for the cluster's metadata; settles within the deadline, and at once when the signal aborts. Those who ask the same
 * brokers at once share one connection.
 */
export async function probeBroker(
  connection: KafkaConnection,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const isSame = (each: ProbeUnderWay) => each.deadlineMs === deadlineMs && sameBrokers(each.connection, connection);
  const probe = [...underWay].find(isSame) ?? begin(connection, deadlineMs);
  probe.askers += 1;
  try {
    return await unlessAborted(signal, () => probe.found);
  } catch (error) {
    return { ok: false, details: `${connection.url.brokers.join(',')}: ${deepestMessage(error)}` };
  } finally {
    probe.askers -= 1;
    if (probe.askers === 0) {
      underWay.delete(probe);
      probe.unwanted.abort();
    }
  }
}

function begin(connection: KafkaConnection, deadlineMs: number): ProbeUnderWay {
  const unwanted = new AbortController();
  const found = ask(connection, deadlineMs, unwanted.signal);
  const probe = { connection, deadlineMs, found, unwanted, askers: 0 };
  underWay.add(probe);
  return probe;
}

/** Never throws. */
async function ask(connection: KafkaConnection, deadlineMs: number, signal: AbortSignal): Promise<ProbeResult> {
  const brokers = connection.url.brokers.join(',');
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    return await askBroker(connection, AbortSignal.any([signal, deadline]), async (admin) => {
      const metadata = await admin.metadata({ topics: [], forceUpdate: true });
      return { ok: true, details: `${metadata.brokers.size} broker(s) at ${brokers}` };
    });
  } catch (error) {
    if (deadline.aborted) return { ok: false, details: `no answer from ${brokers} within ${deadlineMs} ms` };
    return { ok: false, details: `${brokers}: ${deepestMessage(error)}` };
  }
}
