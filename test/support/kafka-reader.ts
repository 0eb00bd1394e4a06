// Reads all records of a topic from a real broker, independent of our own consumer.
import { Consumer } from '@platformatic/kafka';

export interface KafkaRecord {
  /** Empty when there is none. */
  readonly key: string;
  readonly value: Buffer;
}

/** The values of `readRecords`. */
export async function readTopic(...args: Parameters<typeof readRecords>): Promise<Buffer[]> {
  return (await readRecords(...args)).map(({ value }) => value);
}

/** Reads from the oldest record on until `enough` says so, or nothing came for `quietMs`. */
export async function readRecords(
  broker: string,
  topic: string,
  enough: (count: number) => boolean,
  quietMs = 5000,
): Promise<KafkaRecord[]> {
  const consumer = new Consumer({
    clientId: 'reader',
    groupId: `reader-${topic}-${Math.random()}`,
    bootstrapBrokers: [broker],
    retries: 5,
  });
  const records: KafkaRecord[] = [];
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
        const { key, value } = message as unknown as { key?: Buffer; value?: Buffer };
        if (value !== undefined) records.push({ key: key?.toString() ?? '', value });
        if (enough(records.length)) resolve();
        else quiet();
      });
      stream.on('error', reject);
    });
  } finally {
    clearTimeout(timer);
    await stream.close();
    await consumer.close(true);
  }
  return records;
}
