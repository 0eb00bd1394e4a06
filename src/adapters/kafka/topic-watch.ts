// Notices that a topic is no longer the one that a consumer began to read: deleted, made again, or with more partitions. The client itself goes on
// asking for what it once found.
import { setTimeout as sleep } from 'node:timers/promises';
import { askBroker, type KafkaConnection } from './connection.ts';

/** The client's own idea of a topic is five seconds old at the most: what two looks find, every member of a group knows. */
const LOOK_EVERY_MS = 5000;
const LOOK_DEADLINE_MS = 5000;
const LOOKS = 2;
const MISSING = 'missing';

/** Resolves when the topic has changed since the first look, or the signal aborts. A broker that is away tells nothing. */
export async function topicChanged(connection: KafkaConnection, signal: AbortSignal): Promise<void> {
  let first: string | undefined;
  for (let differing = 0; !signal.aborted && differing < LOOKS; ) {
    const now = await look(connection, signal).catch(() => undefined);
    // Who has just made a topic may not see it at once.
    if (first === undefined && now !== MISSING) first = now;
    if (now !== undefined) differing = now === first ? 0 : differing + 1;
    if (differing < LOOKS) await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

/** Id and partitions of the topic, in a form that can be compared. */
async function look(connection: KafkaConnection, signal: AbortSignal): Promise<string> {
  const { topic } = connection.url;
  const either = AbortSignal.any([signal, AbortSignal.timeout(LOOK_DEADLINE_MS)]);
  return await askBroker(connection, either, async (admin) => {
    // By name first: the error for what is missing can only be told by its text.
    if (!(await admin.listTopics()).includes(topic)) return MISSING;
    const found = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic);
    return `${found?.id} ${found?.partitionsCount}`;
  });
}
