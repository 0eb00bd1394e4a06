// One admin client, with its connection, for everybody in this process who asks the same brokers again and again.
import { Admin } from '@platformatic/kafka';
import { destroyClient, unlessAborted } from './client-lifetime.ts';
import { clientOptions, elseNextBroker, type KafkaConnection, RETRIES, sameBrokers } from './connection.ts';

export interface SharedAdmin {
  /**
   * Does the work on the shared client. Throws what the broker says, or TIMEOUT; the next work then begins with a new
   * client.
   */
  use<T>(work: (admin: Admin) => Promise<T>, deadlineMs: number, signal: AbortSignal): Promise<T>;
  /** Ends the client when nobody else holds it. May be called twice. */
  release(): void;
}

interface Entry {
  readonly connection: KafkaConnection;
  holders: number;
  client: Admin | undefined;
}

const entries = new Set<Entry>();

export function shareAdmin(connection: KafkaConnection): SharedAdmin {
  const entry = [...entries].find((each) => sameBrokers(each.connection, connection)) ?? newEntry(connection);
  entry.holders += 1;
  let isHeld = true;
  return {
    use: (work, deadlineMs, signal) => use(entry, work, deadlineMs, signal),
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      entry.holders -= 1;
      if (entry.holders > 0) return;
      entries.delete(entry);
      drop(entry);
    },
  };
}

function newEntry(connection: KafkaConnection): Entry {
  const entry = { connection, holders: 0, client: undefined };
  entries.add(entry);
  return entry;
}

async function use<T>(
  entry: Entry,
  work: (admin: Admin) => Promise<T>,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<T> {
  entry.client ??= new Admin(clientOptions(entry.connection, RETRIES.admin));
  const { client } = entry;
  const either = AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]);
  try {
    return await elseNextBroker(entry.connection, () => unlessAborted(either, () => work(client)));
  } catch (error) {
    // A caller that gives up says nothing about the client; others may be using it.
    if (!signal.aborted && entry.client === client) drop(entry);
    throw error;
  }
}

function drop(entry: Entry): void {
  if (entry.client !== undefined) destroyClient(entry.client);
  entry.client = undefined;
}
