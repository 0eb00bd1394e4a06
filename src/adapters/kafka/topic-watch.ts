// Notices that a topic is no longer the one that a consumer began to read: deleted, created again, or with more
// partitions. The client itself keeps asking for the topic that it found first.
import { backoffMs } from '../../lib/backoff.ts';
import { pause } from '../../lib/pause.ts';
import type { KafkaConnection } from './connection.ts';
import { type SharedAdmin, shareAdmin } from './shared-admin.ts';

export interface TopicWatchOptions {
  /** Between two checks. */
  readonly intervalMs: number;
}

/**
 * The client's own view of a topic is at most five seconds old, so every member of a group knows what two checks in a
 * row have found.
 */
const DEFAULTS: TopicWatchOptions = { intervalMs: 5000 };
const CHECKS = 2;
const CHECK_DEADLINE_MS = 5000;
/** While the broker is down: the interval doubles up to this. */
const MAX_INTERVAL_MS = 30_000;
const MISSING = 'missing';

/**
 * Resolves when the topic has changed since the first check, or the signal aborts. A broker that does not answer says
 * nothing about its topics. All who watch topics of the same brokers share one connection, which stays open.
 */
export async function topicChanged(
  connection: KafkaConnection,
  signal: AbortSignal,
  { intervalMs }: TopicWatchOptions = DEFAULTS,
): Promise<void> {
  const admin = shareAdmin(connection);
  let first: string | undefined;
  let failures = 0;
  try {
    for (let differing = 0; !signal.aborted; ) {
      const now = await check(admin, connection.url.topic, signal).catch(() => undefined);
      failures = now === undefined ? failures + 1 : 0;
      // Whoever has just created a topic may not see it at once.
      if (first === undefined && now !== MISSING) first = now;
      if (now !== undefined) differing = now === first ? 0 : differing + 1;
      if (differing === CHECKS) return;
      await pause(Math.max(intervalMs, backoffMs({ firstMs: intervalMs, lastMs: MAX_INTERVAL_MS }, failures)), signal);
    }
  } finally {
    admin.release();
  }
}

/** ID and partitions of the topic, in a form that can be compared. */
async function check(shared: SharedAdmin, topic: string, signal: AbortSignal): Promise<string> {
  return await shared.use(
    async (admin) => {
      // By name first: only the text of the error tells that a topic is missing.
      if (!(await admin.listTopics()).includes(topic)) return MISSING;
      const found = (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic);
      return `${found?.id} ${found?.partitionsCount}`;
    },
    CHECK_DEADLINE_MS,
    signal,
  );
}
