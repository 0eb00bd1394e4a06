// Reads all records of a topic from a real broker, independent of our own consumer.
import { Consumer } from '@platformatic/kafka';

/** Reads from the oldest record on until `enough` says so, or nothing came for `quietMs`. */
export async function readTopic(
  broker: string,
  topic: string,
  enough: (count: number) => boolean,
  quietMs = 5000,
): Promise<Buffer[]> {
  const consumer = new Consumer({
    clientId: 'reader',
    groupId: `reader-${topic}-${Math.random()}`,
    bootstrapBrokers: [broker],
    retries: 5,
  });
  const values: Buffer[] = [];
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false, maxWaitTime: 200 });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const quiet = () => {
        clearTimeout(timer);
        timer = setTimeout(resolve, quietMs);
      };
      quiet();
      stream.on('data', (message) => {
        if (message.value !== undefined) values.push(message.value as unknown as Buffer);
        if (enough(values.length)) resolve();
        else quiet();
      });
      stream.on('error', reject);
    });
  } finally {
    clearTimeout(timer);
    await stream.close();
    await consumer.close(true);
  }
  return values;
}
