// A start loads the libraries of what is on, and no others: they cost time and memory. Also what an import of the
// package does: nothing.
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endWithTests, temporaryFolder } from '../support/cleanup.ts';
import { collectLines } from '../support/json-lines.ts';
import { privateNetwork } from '../support/network.ts';
import { COMPILE_CACHE, REPO } from '../support/repo.ts';
import { waitFor } from '../support/wait.ts';

const PRELOADED = ['--import', join(REPO, 'test/support/loaded-packages.js')];
const SETTINGS = {
  ...privateNetwork('regtest'),
  p2p_port: '0',
  p2p_listen_addresses: '127.0.0.1',
  p2p_http_listen_address: '127.0.0.1:0',
  p2p_grpc_listen_address: '127.0.0.1:0',
  p2p_enable_nat_port_map: 'false',
  embedded_chain_lone_mine_interval: '',
};

const DHT = ['@libp2p/kad-dht'];
const NAT = ['@libp2p/autonat-v2', '@libp2p/circuit-relay-v2', '@libp2p/dcutr', '@libp2p/upnp-nat'];
const KAFKA = ['@platformatic/kafka'];
const POSTGRES = ['pg'];
const TRACES = ['@opentelemetry/sdk-trace', '@opentelemetry/exporter-trace-otlp-http'];
const PRETTY = ['pino-pretty'];
const REFLECTION = ['@grpc/reflection', 'protobufjs'];
const OPENAPI = ['@fastify/swagger', 'yaml'];
const VALIDATORS = ['ajv', '@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler'];
const OPTIONAL = [DHT, NAT, KAFKA, POSTGRES, TRACES, PRETTY, REFLECTION, OPENAPI, VALIDATORS].flat();

function start(settings: Record<string, string>, flag = '--json-logs') {
  const env = {
    ...{ PATH: process.env.PATH ?? '', ...COMPILE_CACHE, ...SETTINGS, dataFolder: temporaryFolder('loaded') },
    ...settings,
  };
  const args = [...PRELOADED, 'src/cli/main.ts', 'start', flag];
  const child = spawn(process.execPath, args, { cwd: REPO, env, stdio: ['ignore', 'pipe', 'inherit'] });
  endWithTests(child);
  const { json } = collectLines(child.stdout);
  const loaded = () => json.filter(({ event }) => event === 'package loaded').map(({ name }) => String(name));
  const optional = () => OPTIONAL.filter((name) => loaded().includes(name));
  const ready = () =>
    waitFor(() => json.find(({ event }) => event === 'ready'), { timeoutMs: 60_000, what: 'the start' });
  const stop = async () => {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  };
  return { loaded, optional, ready, stop };
}

describe('libraries that a start loads', () => {
  test('a node with everything off that can be off loads none of their libraries', async () => {
    const node = start({
      ...{ p2p_wire: 'message-bus', p2p_bootstrap_peers: 'none', p2p_dht_use_private: 'false', p2p_dht_mode: 'off' },
      ...{ p2p_enable_nat: 'false', p2p_enable_relay: 'false' },
    });
    await node.ready();
    expect(node.loaded()).toContain('libp2p');
    expect(node.optional()).toEqual([]);
    await node.stop();
  });

  test('the DHT and the services behind a NAT are loaded when they are on', async () => {
    const node = start({ p2p_enable_relay_service: 'true', p2p_enable_nat_port_map: 'true' });
    await node.ready();
    expect(node.optional()).toEqual([...DHT, ...NAT]);
    await node.stop();
  });

  test('the document of the API is made with its library when it is requested', async () => {
    const node = start({});
    const { httpAddress } = await node.ready();
    expect(node.optional()).not.toEqual(expect.arrayContaining(OPENAPI));
    const response = await fetch(`http://${httpAddress}/openapi.json`);
    expect(Object.keys((await response.json()).paths)).toContain('/api/v1/peers');
    await waitFor(() => OPENAPI.every((name) => node.loaded().includes(name)), { what: 'its library' });
    await node.stop();
  });

  test('the clients of Kafka and PostgreSQL, OpenTelemetry and the log for people are loaded when settings ask for them', async () => {
    const kafka = start({ kafka_blocksConfig: 'kafka://127.0.0.1:1/blocks' });
    const postgres = start({ p2p_ban_store: 'postgres://127.0.0.1:1/bans' });
    const traces = start({ tracing_enabled: 'true', tracing_collector_url: 'http://127.0.0.1:1' });
    const pretty = start({}, '--pretty');
    const nodes = [
      [kafka, KAFKA],
      [postgres, POSTGRES],
      [traces, TRACES],
      [pretty, PRETTY],
    ] as const;
    for (const [node, names] of nodes) {
      await waitFor(() => names.every((name) => node.loaded().includes(name)), {
        timeoutMs: 60_000,
        what: names.join(),
      });
      const others = [KAFKA, POSTGRES, TRACES, PRETTY].filter((each) => each !== names).flat();
      expect(node.loaded().filter((name) => others.includes(name))).toEqual([]);
      await node.stop();
    }
  });
});

test('an import of the package starts nothing: the process ends by itself, without output or files', () => {
  const folder = temporaryFolder('import');
  const script = `import ${JSON.stringify(join(REPO, 'src/index.ts'))};
    process.on('exit', () => process.stdout.write(JSON.stringify(process.getActiveResourcesInfo())));`;
  const options = { cwd: folder, encoding: 'utf8', timeout: 60_000 } as const;
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
    ...options,
    env: { PATH: process.env.PATH ?? '', HOME: folder },
  });
  expect(JSON.parse(output).filter((each: string) => !each.startsWith('Pipe'))).toEqual([]);
  expect(execFileSync('ls', ['-A', folder], { encoding: 'utf8' })).toBe('');
});
