// What the README promises to who has just cloned: its two commands, a node that mines, a second one that joins it.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { REPO } from '../support/repo.ts';
import { PLAIN_PATH, ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

/** The shipped settings.conf mines every 10 s. */
const BLOCK_DEADLINE_MS = 20_000;

describe('a fresh clone', () => {
  const clone = join(temporaryFolder('clone'), 'teranode-p2p');

  beforeAll(() => {
    execFileSync('git', ['clone', '--quiet', REPO, clone], { stdio: ['ignore', 'ignore', 'inherit'] });
    execFileSync('npm', ['ci'], {
      cwd: clone,
      env: { PATH: PLAIN_PATH, HOME: process.env.HOME ?? '' },
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: 280_000,
    });
  });

  test('npm ci && npm start: ready, healthy, a block mined; a second one started as the README says joins it', async () => {
    // In the place of the three ports that settings.conf fixes, so that two nodes compete for them as they would there.
    const ports = {
      P2P_PORT: String(await freePort()),
      P2P_HTTP_PORT: String(await freePort()),
      P2P_GRPC_PORT: String(await freePort()),
    };
    const first = await ServerProcess.start({ folder: clone, asShipped: true, settings: ports });
    let second: ServerProcess | undefined;
    try {
      expect(first.ready).toMatchObject({
        listenAddresses: [`/ip4/127.0.0.1/tcp/${ports.P2P_PORT}/p2p/${first.peerId}`],
        httpAddress: `127.0.0.1:${ports.P2P_HTTP_PORT}`,
        grpcAddress: `127.0.0.1:${ports.P2P_GRPC_PORT}`,
      });
      expect(existsSync(join(clone, 'data/admin.key'))).toBe(true);
      expect(await first.get('/health')).toEqual({ status: 200, body: 'OK' });

      second = await ServerProcess.start({
        folder: clone,
        asShipped: true,
        settings: { ...ports, ...secondNode(first.address) },
      });
      expect(second.peerId).not.toBe(first.peerId);
      for (const [node, other] of [
        [first, second],
        [second, first],
      ] as const) {
        await waitFor(async () => (await node.metric('teranode_p2p_connected_peers')) === 1, {
          what: 'the connection',
        });
        expect((await node.get('/api/v1/peers')).body).toContain(other.peerId);
      }

      const mined = await waitFor(() => first.output.json.find(({ event }) => event === 'block mined'), {
        timeoutMs: BLOCK_DEADLINE_MS,
        what: 'a block',
      });
      const { bestHeight } = JSON.parse((await first.get('/api/v1/sync')).body);
      expect(bestHeight).toBeGreaterThanOrEqual(Number(mined.height));
    } finally {
      await second?.stop();
      expect((await first.stop()).code).toBe(0);
    }
  });

  /** The variables before `npm start` in the README's command for a second node, its address replaced. */
  function secondNode(address: string): Record<string, string> {
    const readme = readFileSync(join(clone, 'README.md'), 'utf8');
    const command = /^((?:\w+=\S+ )*p2p_static_peers=\S+ (?:\w+=\S+ )*)npm start$/m.exec(readme)?.[1] ?? '';
    const variables = Object.fromEntries(
      [...command.matchAll(/(\w+)=(\S+) /g)].map(([, name, value]) => [name, value]),
    );
    expect(variables.p2p_static_peers).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/9905\/p2p\//);
    return { ...variables, p2p_static_peers: address };
  }
});
