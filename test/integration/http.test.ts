// Health checks and metrics of the node, as other programs request them.
import { afterEach, describe, expect, test } from 'vitest';
import { HttpServer, type HttpServerOptions } from '../../src/adapters/http/server/http-server.ts';
import { PrometheusMetrics } from '../../src/adapters/metrics/prometheus.ts';
import { recordingLogger } from '../fakes/recorders.ts';

const started: HttpServer[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((server) => server.stop()));
});

async function serve(options: Partial<HttpServerOptions> = {}, ready = true): Promise<string> {
  const metrics = new PrometheusMetrics();
  const counter = metrics.counter('teranode_p2p_test_total', 'A counter', ['kind']);
  counter.add(2, { kind: 'a' });
  counter.add(1, { kind: 'b' });
  metrics.gauge('teranode_p2p_test_length', 'A gauge', () => 7, { topic: 't' });
  const sources = {
    health: async (live: boolean) =>
      live || ready
        ? { status: 200, message: 'OK', checks: [] }
        : { status: 503, message: 'kafka: FAILED', checks: [] },
    scrape: () => metrics.scrape(),
  };
  const server = new HttpServer(
    { log: recordingLogger(), sources },
    { listenAddress: '127.0.0.1:0', tls: undefined, routes: 'full', ...options },
  );
  started.push(server);
  await server.start();
  return server.address() ?? '';
}

describe('HTTP', () => {
  test('health as Go answers it; any origin is allowed', async () => {
    const response = await fetch(`http://${await serve()}/health`);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('OK');
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('liveness and readiness', async () => {
    const address = await serve({}, false);
    expect((await fetch(`http://${address}/health/live`)).status).toBe(200);
    const ready = await fetch(`http://${address}/health/ready`);
    expect([ready.status, await ready.text()]).toEqual([503, 'kafka: FAILED']);
    expect((await fetch(`http://${address}/nothing`)).status).toBe(404);
  });

  test('serves only the health checks on health_check_httpListenAddress', async () => {
    const address = await serve({ routes: 'probes' });
    const ok = await fetch(`http://${address}/health`);
    expect([ok.status, await ok.text()]).toEqual([200, 'OK']);
    expect((await fetch(`http://${address}/health/readiness`)).status).toBe(200);
    expect((await fetch(`http://${address}/health/liveness`)).status).toBe(200);
    expect((await fetch(`http://${address}/metrics`)).status).toBe(404);
  });

  test('metrics: counters keep counting between scrapes', async () => {
    const address = await serve();
    for (let i = 0; i < 2; i += 1) {
      const body = await (await fetch(`http://${address}/metrics`)).text();
      expect(body).toContain('teranode_p2p_test_total{kind="a"} 2');
      expect(body).toContain('teranode_p2p_test_total{kind="b"} 1');
      expect(body).toContain('teranode_p2p_test_length{topic="t"} 7');
    }
  });

  test('a port in use is an error with a code', async () => {
    const address = await serve();
    await expect(serve({ listenAddress: address })).rejects.toMatchObject({ code: 'LISTEN_FAILED' });
  });
});
