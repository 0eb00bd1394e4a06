// HTTP responses while the node waits for the blockchain service, which stores its key.
import { expect, test } from 'vitest';
import { compose } from '../../src/app/compose.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const ORIGIN = 'https://explorer.example';

test('while the blockchain service is awaited, readiness names it and the HTTP settings apply', async () => {
  const [main, probes] = [await freePort(), await freePort()];
  const { settings } = loadSettings({
    folder: REPO,
    env: {
      p2p_http_listen_address: `127.0.0.1:${main}`,
      health_check_httpListenAddress: `127.0.0.1:${probes}`,
      p2p_http_cors_origins: ORIGIN,
      p2p_http_rate: '1',
      blockchain_grpcAddress: '127.0.0.1:1',
      grpc_max_retries: '0',
      dataFolder: temporaryFolder('waiting'),
    },
  });
  const givenUp = new AbortController();
  const composing = compose(settings, { log: recordingLogger(), signal: givenUp.signal }).catch((error) => error);
  try {
    const ask = async (port: number, path: string, headers: Record<string, string> = {}) =>
      await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await waitFor(async () => (await ask(main, '/health/live')).status === 200, { what: 'an answer' });
    await waitFor(async () => (await ask(probes, '/health/liveness')).status === 200, { what: 'an answer' });
    const texts = [await ask(main, '/health/ready'), await ask(probes, '/health/readiness')];
    for (const ready of texts) {
      expect([ready.status, await ready.text()]).toEqual([
        503,
        'blockchain: FAILED (waiting for the service, which holds our key)\n',
      ]);
    }
    for (const [port, path] of [
      [main, '/health/ready'],
      [probes, '/health/readiness'],
    ] as const) {
      const ready = await ask(port, path, { accept: 'application/json', origin: ORIGIN });
      expect(await ready.json()).toEqual({
        status: 'failed',
        checks: [
          {
            name: 'blockchain',
            ok: false,
            details: 'waiting for the service, which holds our key',
            tookMs: 0,
            atMs: expect.any(Number),
          },
        ],
      });
      expect(ready.headers.get('access-control-allow-origin')).toBe(ORIGIN);
      const elsewhere = await ask(port, path, { origin: 'https://elsewhere.example' });
      expect(elsewhere.headers.get('access-control-allow-origin')).toBeNull();
    }
    for (let i = 0; i < 10; i += 1) expect((await ask(main, '/metrics')).status).toBe(200);
    expect((await ask(main, '/metrics')).status).toBe(429);
  } finally {
    givenUp.abort();
    await composing;
  }
});
