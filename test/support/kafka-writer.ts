// Writes records to a real broker as the node's other services do, independent of our own producer.
import { Producer } from '@platformatic/kafka';

export async function writeTopic(broker: string, topic: string, values: readonly Buffer[]): Promise<void> {
  const producer = new Producer({ clientId: 'writer', bootstrapBrokers: [broker], retries: 5 });
  try {
    await producer.send({ messages: values.map((value) => ({ topic, value })), acks: -1 });
  } finally {
    await producer.close();
  }
}
