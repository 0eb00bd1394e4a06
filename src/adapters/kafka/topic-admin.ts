// Makes a topic match its URL: creates it when it is missing, else configures it.
import type { Admin } from '@platformatic/kafka';
import { askBroker, hasError, type KafkaConnection } from './connection.ts';

/** Kafka's resource type `topic`, and the operation `set` of an incremental change. */
const TOPIC_RESOURCE = 2;
const SET = 0 as const;
/** Answers that a retry does not change: we may not configure the topic, or the broker has limits of its own. */
const REFUSED = ['TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED', 'POLICY_VIOLATION', 'INVALID_CONFIG'];

/**
 * Resolves when the topic exists: `unchanged` when the broker does not let us configure it. Throws what the broker
 * says, TIMEOUT when the signal aborts.
 */
export async function ensureTopic(
  connection: KafkaConnection,
  signal: AbortSignal,
): Promise<'created' | 'configured' | 'unchanged'> {
  const { url } = connection;
  const configs = topicConfiguration(connection);
  return await askBroker(connection, signal, async (admin) => {
    // By name first: only its text tells the error of creating an existing topic.
    if ((await admin.listTopics()).includes(url.topic)) {
      return await configure(admin, url.topic, configs);
    }
    try {
      await admin.createTopics({ topics: [url.topic], partitions: url.partitions, replicas: url.replication, configs });
    } catch (error) {
      // Another client was faster.
      if (!hasError(error, ['TOPIC_ALREADY_EXISTS'])) throw error;
    }
    return 'created';
  });
}

async function configure(
  admin: Admin,
  topic: string,
  configs: readonly Configuration[],
): Promise<'configured' | 'unchanged'> {
  const changes = configs.map((config) => ({ ...config, configOperation: SET }));
  const resource = { resourceType: TOPIC_RESOURCE, resourceName: topic, configs: changes } as const;
  try {
    await admin.incrementalAlterConfigs({ resources: [resource] });
    return 'configured';
  } catch (error) {
    if (hasError(error, REFUSED)) return 'unchanged';
    throw error;
  }
}

interface Configuration {
  readonly name: string;
  readonly value: string;
}

/** The configuration with which the Go services create topics. */
function topicConfiguration({ url }: KafkaConnection): Configuration[] {
  const retention = String(url.retentionMs);
  return [
    { name: 'retention.ms', value: retention },
    { name: 'delete.retention.ms', value: String(Math.max(0, url.retentionMs)) },
    // Segments are closed even when records are kept for ever.
    { name: 'segment.ms', value: url.retentionMs > 0 ? retention : '604800000' },
    { name: 'segment.bytes', value: String(url.segmentBytes) },
  ];
}
