// A node whose blockchain service, which holds its key, is not there when it starts.
import { afterEach, describe, expect, test } from 'vitest';
import { begin } from '../support/begun-server.ts';
import { freePort } from '../support/kafka-broker.ts';
import { servicesAt } from '../support/network.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { waitFor } from '../support/wait.ts';

const running: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

async function startServices(options: Parameters<typeof ReferenceServiceProcess.start>[0]) {
  const services = await ReferenceServiceProcess.start(options);
  running.push(services);
  return services;
}

describe('a blockchain service that is down at start', () => {
  const WAITS = 'waiting for blockchain service';

  test('is awaited, and the server becomes ready when it comes up', async () => {
    const port = await freePort();
    const http = await freePort();
    const begun = begin({ ...servicesAt(`127.0.0.1:${port}`), p2p_http_listen_address: `127.0.0.1:${http}` });
    await begun.awaitLine(WAITS);
    const asked = async (path: string) => (await fetch(`http://127.0.0.1:${http}${path}`)).status;
    await waitFor(async () => (await asked('/health/live')) === 200, { timeoutMs: 30_000, what: 'an answer' });
    expect(await asked('/health/ready')).toBe(503);
    await startServices({ port });
    await begun.awaitLine('ready');
    await waitFor(async () => (await asked('/health/ready')) === 200, { timeoutMs: 30_000, what: 'readiness' });
    expect(await begun.stop()).toBe(0);
  });

  test('does not prevent a stop, which ends with exit code 0', async () => {
    const begun = begin(servicesAt(`127.0.0.1:${await freePort()}`));
    await begun.awaitLine(WAITS);
    expect(await begun.stop()).toBe(0);
  });

  test('does not prevent a stop when it is killed while the server waits for the FSM to leave IDLE', async () => {
    const services = await startServices({ fsmState: 'IDLE' });
    const begun = begin(servicesAt(services.address));
    await waitFor(async () => (await services.counts('WaitUntilFSMTransitionFromIdleState')).calls > 0, {
      timeoutMs: 30_000,
      what: 'the wait',
    });
    await services.kill();
    await begun.awaitLine('waiting for the blockchain service');
    expect(await begun.stop()).toBe(0);
  });
});
