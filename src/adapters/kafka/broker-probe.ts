// Probes a broker over a connection of its own: on a consumer's connection an answer waits until its group has formed.
import type { ProbeResult } from '../../ports/producer.ts';
import { unlessAborted } from './client-lifetime.ts';
import { askBroker, deepestMessage, type KafkaConnection, sameBrokers } from './connection.ts';

interface RunningProbe {
  readonly connection: KafkaConnection;
  readonly deadlineMs: number;
  readonly result: Promise<ProbeResult>;
  /** Ends the probe when its last caller has left. */
  readonly unwanted: AbortController;
  callers: number;
}

/** At most one for each list of brokers and deadline; each ends by its deadline. */
const running = new Set<RunningProbe>();

/**
 * Opens a connection and requests the cluster's metadata; settles within the deadline, and at once when the signal
 * aborts. Concurrent probes of the same brokers share one connection.
 */
export async function probeBroker(
  connection: KafkaConnection,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const isSame = (each: RunningProbe) => each.deadlineMs === deadlineMs && sameBrokers(each.connection, connection);
  const probe = [...running].find(isSame) ?? begin(connection, deadlineMs);
  probe.callers += 1;
  try {
    return await unlessAborted(signal, () => probe.result);
  } catch (error) {
    return { ok: false, details: `${connection.url.brokers.join(',')}: ${deepestMessage(error)}` };
  } finally {
    probe.callers -= 1;
    if (probe.callers === 0) {
      running.delete(probe);
      probe.unwanted.abort();
    }
  }
}

/** Names of all topics. Throws what the broker says, TIMEOUT after the deadline. */
export async function topicsAt(
  connection: KafkaConnection,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
  return await askBroker(connection, either, (admin) => admin.listTopics());
}

function begin(connection: KafkaConnection, deadlineMs: number): RunningProbe {
  const unwanted = new AbortController();
  const result = ask(connection, deadlineMs, unwanted.signal);
  const probe = { connection, deadlineMs, result, unwanted, callers: 0 };
  running.add(probe);
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
