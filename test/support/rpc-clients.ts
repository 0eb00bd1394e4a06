// Clients of the reference services for tests, stopped after each test, with what they logged and counted.
import { afterEach } from 'vitest';
import { GrpcBlockchainClient } from '../../src/adapters/services/blockchain-client.ts';
import type { ServiceOptions } from '../../src/adapters/services/service-channel.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import type { BlockchainNotification } from '../../src/ports/blockchain-client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';

export interface StartedClient {
  readonly client: GrpcBlockchainClient;
  readonly metrics: RecordedMetrics;
  readonly log: ReturnType<typeof recordingLogger>;
}

/** Shorter than in service, so that what fails does so soon. */
export const QUICK: Omit<ServiceOptions, 'address'> = {
  maxRetries: 40,
  retryBackoffMs: 20,
  times: { attemptMs: 500, callMs: 2000, keepAliveMs: 500, connectMs: 1000 },
};

const undo: (() => Promise<void> | void)[] = [];

/** To be called in a test file that uses `startClient` or `atEnd`. */
export function stopClientsAfterEach(): void {
  afterEach(async () => {
    for (const each of undo.splice(0).reverse()) await each();
  });
}

/** Runs when the test ends, latest first. */
export function atEnd(work: () => Promise<void> | void): void {
  undo.push(work);
}

export function freshParts() {
  return { metrics: new RecordedMetrics(), log: recordingLogger(), clock: systemClock };
}

export async function startClient(address: string, options: Partial<ServiceOptions> = {}): Promise<StartedClient> {
  const parts = freshParts();
  const client = new GrpcBlockchainClient(parts, { ...QUICK, address, ...options });
  atEnd(() => client.stop());
  await client.start(new AbortController().signal);
  return { client, ...parts };
}

export interface HeardNotifications {
  readonly all: BlockchainNotification[];
  /** Of `block` notifications, in order. */
  blocks(): BlockHash[];
  readonly stop: () => void;
}

export function listen(client: GrpcBlockchainClient, source = 'test'): HeardNotifications {
  const all: BlockchainNotification[] = [];
  const stop = client.subscribe(source, (notification) => all.push(notification));
  return { all, stop, blocks: () => all.flatMap((each) => (each.type === 'block' ? [each.hash] : [])) };
}
