// Brings a topic to what its URL says: created when missing, configured anew when it exists.
import { askBroker, hasError, type KafkaConnection } from './connection.ts';

/** Kafka's resource type "topic", and the operation "set" of an incremental change. */
const TOPIC_RESOURCE = 2;
const SET = 0;

/** Resolves when the topic is there with its configuration; throws what the broker says otherwise, TIMEOUT when the signal aborts. */
export async function ensureTopic(connection: KafkaConnection, signal: AbortSignal): Promise<'created' | 'configured'> {
  const { url } = connection;
  const configs = topicConfiguration(connection);
  return await askBroker(connection, signal, async (admin) => {
    // By name first: creating what exists is an error that cannot be told apart without reading texts.
    if ((await admin.listTopics()).includes(url.topic)) {
      await admin.incrementalAlterConfigs({
        resources: [
          {
            resourceType: TOPIC_RESOURCE,
            resourceName: url.topic,
            configs: configs.map((config) => ({ ...config, configOperation: SET })),
          },
        ],
      });
      return 'configured';
    }
    try {
      await admin.createTopics({ topics: [url.topic], partitions: url.partitions, replicas: url.replication, configs });
    } catch (error) {
      // Somebody else was faster.
      if (!hasError(error, ['TOPIC_ALREADY_EXISTS'])) throw error;
    }
    return 'created';
  });
}

/** As the Go services create topics. */
function topicConfiguration({ url }: KafkaConnection): { name: string; value: string }[] {
  const retention = String(url.retentionMs);
  return [
    { name: 'retention.ms', value: retention },
    { name: 'delete.retention.ms', value: String(Math.max(0, url.retentionMs)) },
    // A segment has an end even when records have none.
    { name: 'segment.ms', value: url.retentionMs > 0 ? retention : '604800000' },
    { name: 'segment.bytes', value: String(url.segmentBytes) },
  ];
}
