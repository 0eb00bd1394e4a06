// A Kafka broker that hangs: the server becomes ready, names what is missing, and stops on SIGTERM.
import { Admin } from '@platformatic/kafka';
import { describe, expect, test } from 'vitest';
import { KafkaBroker } from '../support/kafka-broker.ts';
import { ServerProcess } from '../support/server-process.ts';
import { silentBroker } from '../support/silent-broker.ts';
import { waitFor } from '../support/wait.ts';

const TOPICS = {
  kafka_blocksConfig: 'blocks',
  kafka_subtreesConfig: 'subtrees',
  kafka_rejectedTxConfig: 'rejectedtx',
  kafka_invalidBlocksConfig: 'invalid-blocks',
  kafka_invalidSubtreesConfig: 'invalid-subtrees',
};

describe('a broker that accepts connections and never answers', () => {
  test('SIGTERM ends the process within five seconds, with exit code 0, also in the middle of a probe', async () => {
    const broker = await silentBroker();
    const urls = Object.entries(TOPICS).map(([key, topic]) => [key, `kafka://${broker.address}/${topic}`]);
    const server = await ServerProcess.start({
      settings: { ...Object.fromEntries(urls), embedded_chain_mine_interval: '100ms' },
    });
    try {
      await waitFor(() => broker.connections() >= urls.length, { what: 'producers and consumers' });
      const probed = server.get('/health/ready').catch(() => undefined);
      await waitFor(() => broker.connections() > urls.length, { what: 'the probe' });
      const stopped = await server.stop();
      await probed;
      expect(stopped.code).toBe(0);
      expect(stopped.ms).toBeLessThan(5000);
      await waitFor(() => broker.connections() === 0, { what: 'the end of the connections' });
    } finally {
      await server.kill().catch(() => {});
      await broker.stop();
    }
  });

  test('a broker that freezes while in use does not delay the end of the process either', async () => {
    const broker = await KafkaBroker.start();
    const urls = Object.entries(TOPICS).map(([key, topic]) => [key, `kafka://${broker.address}/${topic}`]);
    const server = await ServerProcess.start({
      settings: { ...Object.fromEntries(urls), network: 'regtest', embedded_chain_mine_interval: '100ms' },
    });
    try {
      await waitFor(async () => (await server.get('/health/ready')).status === 200, { what: 'readiness' });
      await waitFor(async () => (await consumers(broker.address)) === 3, { timeoutMs: 30_000, what: 'the consumers' });
      broker.freeze();
      const stopped = await server.stop();
      expect(stopped.code).toBe(0);
      expect(stopped.ms).toBeLessThan(5000);
    } finally {
      await server.kill().catch(() => {});
      await broker.stop();
    }
  });

  test('a broker whose host drops all packets does not delay it either', async () => {
    // TEST-NET-1: nobody answers there (RFC 5737).
    const urls = Object.entries(TOPICS).map(([key, topic]) => [key, `kafka://192.0.2.1:9092/${topic}`]);
    const server = await ServerProcess.start({ settings: Object.fromEntries(urls) });
    const probed = server.get('/health/ready').catch(() => undefined);
    const stopped = await server.stop();
    await probed;
    expect(stopped.code).toBe(0);
    expect(stopped.ms).toBeLessThan(5000);
  });
});

/** Members of the groups of our consumers. */
async function consumers(address: string): Promise<number> {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [address] });
  try {
    const groups = [...(await admin.listGroups()).keys()];
    const described = [...(await admin.describeGroups({ groups })).values()];
    return described.reduce((sum, { members }) => sum + members.size, 0);
  } finally {
    await admin.close();
  }
}
