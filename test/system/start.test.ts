// What a newcomer does first: start a node, start a second one that joins it, stop them.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { base58btc } from 'multiformats/bases/base58';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

describe('npm start', () => {
  test('listens, logs its addresses, answers /health, and accepts a second node that has it as static peer', async () => {
    const first = await ServerProcess.start();
    const second = await ServerProcess.start({ settings: { p2p_static_peers: first.address } });
    try {
      expect(first.ready.listenAddresses.every((address) => address.endsWith(`/p2p/${first.peerId}`))).toBe(true);
      expect(first.ready.httpAddress).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(await first.get('/health')).toEqual({ status: 200, body: 'OK' });
      expect((await first.get('/health/live')).status).toBe(200);
      expect((await first.get('/health/ready')).status).toBe(200);
      await waitFor(async () => (await first.metric('teranode_p2p_connected_peers')) === 1, {
        what: 'the second node',
      });
      expect(await second.metric('teranode_p2p_connected_peers')).toBe(1);
    } finally {
      expect((await second.stop()).code).toBe(0);
      const stopped = await first.stop();
      expect(stopped.code).toBe(0);
      expect(stopped.ms).toBeLessThan(5000);
    }
    expect(first.output.json.at(-1)?.event).toBe('stopped');
  });

  test('writes only JSON lines to stdout, besides npm’s banner', async () => {
    const server = await ServerProcess.start();
    await server.stop();
    expect(server.output.text.filter((line) => line !== '' && !line.startsWith('> '))).toEqual([]);
    expect(server.output.json.every((line) => typeof line.event === 'string' && typeof line.level === 'string')).toBe(
      true,
    );
  });

  test('logs only the ready line and the file of its new key with logLevel ERROR or FATAL', async () => {
    for (const logLevel of ['ERROR', 'FATAL']) {
      const server = await ServerProcess.start({ settings: { logLevel } });
      expect((await server.stop()).code).toBe(0);
      expect(server.output.json).toEqual([
        {
          level: 'info',
          time: expect.any(Number),
          event: 'generated admin key',
          file: join(server.dataFolder, 'admin.key'),
        },
        { ...server.ready, level: 'info', event: 'ready' },
      ]);
      const again = await ServerProcess.start({ settings: { logLevel }, dataFolder: server.dataFolder });
      expect((await again.stop()).code).toBe(0);
      expect(again.output.json.map(({ event }) => event)).toEqual(['ready']);
    }
  });

  test('works over IPv6 too', async () => {
    const first = await ServerProcess.start({ settings: { p2p_listen_addresses: '127.0.0.1 | ::1' } });
    const address = first.ready.listenAddresses.find((each) => each.startsWith('/ip6/::1/tcp/')) ?? '';
    const second = await ServerProcess.start({ settings: { p2p_listen_addresses: '::1', p2p_static_peers: address } });
    try {
      await waitFor(async () => (await second.metric('teranode_p2p_connected_peers')) === 1, {
        what: 'the connection over IPv6',
      });
    } finally {
      await Promise.all([first.stop(), second.stop()]);
    }
  });

  test('stops cleanly on Ctrl-C, even when pressed twice', async () => {
    const server = await ServerProcess.start();
    await server.interrupt();
    await waitFor(() => server.output.json.at(-1)?.event === 'stopped', { what: 'the end' });
  });

  test('reports all invalid settings at once and exits with code 2', async () => {
    const { code, errors } = await ServerProcess.runToEnd({
      settings: {
        p2p_port: 'ninety',
        p2p_static_peers: '/ip4/1.2.3.4/tcp/1',
        p2p_ban_duration: 'soon',
        // Too short for a listener that others reach.
        network: 'mainnet',
        p2p_grpc_listen_address: ':0',
        grpc_admin_api_key: 'shortkey',
      },
    });
    expect(code).toBe(2);
    for (const key of ['p2p_port = ninety', 'p2p_static_peers', 'p2p_ban_duration = soon', 'grpc_admin_api_key'])
      expect(errors).toContain(key);
    expect(errors).toContain('environment p2p_port');
    expect(errors).not.toContain('shortkey');
  });

  test('reports settings that would fail later at once, before anything is stored', async () => {
    const dataFolder = join(temporaryFolder('refused'), 'data');
    const wrong = {
      p2p_advertise_addresses: 'example.com:99999',
      p2p_dht_public_bootstrap: 'garbage',
      p2p_private_key: 'ab'.repeat(64),
      embedded_chain_headers: '/nonexistent',
      embedded_chain_mine_interval: '1000h',
      KAFKA_ENABLE_TLS: 'true',
      KAFKA_TLS_CA_FILE: '/nonexistent',
      kafka_blocksConfig: 'kafka://127.0.0.1:1/blocks',
      securityLevelHTTP: '1',
      server_certFile: '/etc/passwd',
      server_keyFile: '/nonexistent',
    };
    const { code, errors } = await ServerProcess.runToEnd({ settings: wrong, dataFolder });
    expect(code).toBe(2);
    const right = ['KAFKA_ENABLE_TLS', 'kafka_blocksConfig', 'securityLevelHTTP'];
    for (const key of Object.keys(wrong).filter((each) => !right.includes(each)))
      expect(errors).toContain(`[environment ${key}]`);
    expect(errors).not.toContain('abab');
    expect(existsSync(dataFolder)).toBe(false);
  });

  test('refuses a dataFolder that another node uses', async () => {
    const dataFolder = temporaryFolder('shared');
    const first = await ServerProcess.start({ dataFolder });
    const second = await ServerProcess.runToEnd({ dataFolder });
    await first.stop();
    expect(second.code).toBe(1);
    expect(second.errors).toContain('DATA_FOLDER_LOCKED');
  });

  test('leaves no lock behind when killed, and keeps its peer ID', async () => {
    const dataFolder = temporaryFolder('killed');
    const first = await ServerProcess.start({ dataFolder });
    await first.kill();
    const second = await ServerProcess.start({ dataFolder });
    await second.stop();
    expect(second.peerId).toBe(first.peerId);
  });

  test('reports a port that is in use', async () => {
    const first = await ServerProcess.start();
    const port = /tcp\/(\d+)/.exec(first.address)?.[1] ?? '';
    const second = await ServerProcess.runToEnd({ settings: { p2p_port: port } });
    await first.stop();
    expect(second.code).toBe(1);
    expect(second.errors).toContain('LISTEN_FAILED');
  });

  test('becomes ready without a broker, and readiness names what is missing', async () => {
    const server = await ServerProcess.start({ settings: { kafka_blocksConfig: 'kafka://127.0.0.1:1/blocks' } });
    const { status, body } = await server.get('/health/ready');
    expect(status).toBe(503);
    expect(body).toMatch(/kafka_blocks: FAILED/);
    expect(body).toMatch(/kafka_subtrees: ok/);
    // Nobody here reads what goes to Kafka.
    expect(server.output.json).toContainEqual(
      expect.objectContaining({ level: 'warn', event: 'own chain follows no peer' }),
    );
    const stopped = await server.stop();
    expect(stopped.code).toBe(0);
    expect(stopped.ms).toBeLessThan(5000);
  });

  test('takes its peer ID from the private key in the settings', async () => {
    const conf = readFileSync(new URL('../data/settings/teranode-2025-09-settings.conf', import.meta.url), 'utf8');
    for (const name of ['docker.teranode1', 'docker.teranode2']) {
      const hex =
        new RegExp(`^p2p_private_key\\.${name.replace('.', '\\.')}\\s*=\\s*(\\S+)`, 'm').exec(conf)?.[1] ?? '';
      const server = await ServerProcess.start({ settings: { p2p_private_key: hex } });
      await server.stop();
      // 64 or 96 bytes: the public half is the second 32.
      const key = Buffer.concat([Buffer.from('002408011220', 'hex'), Buffer.from(hex.slice(64, 128), 'hex')]);
      expect(server.peerId).toBe(base58btc.encode(key).slice(1));
    }
  });
});
