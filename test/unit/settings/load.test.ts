// Real settings files in several contexts; which values are refused, and how.
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { advertiseMultiaddr, parseMultiaddr } from '../../../src/adapters/libp2p/addresses.ts';
import { loadSettings, type Settings } from '../../../src/settings/load.ts';
import { topicPrefix } from '../../../src/settings/topic-names.ts';
import { bootstrapPeers, wireNames } from '../../../src/settings/wire.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { REPO } from '../../support/repo.ts';
import { loadText, MINIMAL_SETTINGS, PRIVATE_NETWORK, problemsOf } from '../../support/settings.ts';

const DATA = join(REPO, 'test/data/settings');
/** Of RFC 8032, test 1: seed and public key. */
const KEY =
  '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';

function folderWith(local?: string, file = 'teranode-2025-09-settings.conf'): string {
  const folder = temporaryFolder('settings');
  copyFileSync(join(DATA, file), join(folder, 'settings.conf'));
  if (local !== undefined) copyFileSync(join(DATA, local), join(folder, 'settings_local.conf'));
  return folder;
}

/** A pattern stands for a text that matches it. */
function expectSettings(settings: Settings, expected: object): void {
  for (const [key, value] of Object.entries(expected)) {
    const actual = settings[key as keyof Settings];
    if (value instanceof RegExp) expect(actual).toMatch(value);
    else expect(actual).toEqual(value);
  }
}

describe('the settings that Teranode shipped in September 2025', () => {
  test.each([
    [
      'dev',
      undefined,
      {
        network: 'regtest',
        listen_mode: 'listen_only',
        p2p_listen_addresses: ['127.0.0.1'],
        p2p_http_listen_address: 'localhost:9906',
        kafka_blocksConfig: /^memory:\/\/localhost:9092\/blocks\?partitions=1&/,
      },
    ],
    [
      'docker.m',
      'docker-settings_local.conf',
      {
        network: 'regtest',
        listen_mode: 'listen_only',
        p2p_static_peers: [],
        p2p_grpc_address: 'peer:9904',
        kafka_subtreesConfig: /^kafka:\/\/kafka-shared:9092\/subtrees-teranode\?.*flush_messages=1/,
      },
    ],
    [
      'docker.host.teranode1',
      undefined,
      {
        network: 'regtest',
        clientName: 'teranode1',
        p2p_port: 19905,
        p2p_http_listen_address: 'localhost:19906',
        asset_httpPublicAddress: 'http://localhost:18090/api/v1',
        p2p_grpc_address: 'localhost:19904',
      },
    ],
    [
      'docker.teranode2',
      undefined,
      { clientName: 'teranode2', p2p_port: 9905, blockchain_grpcAddress: 'teranode2:8087' },
    ],
    [
      'operator.mainnet',
      undefined,
      {
        network: 'mainnet',
        blockassembly_grpcAddress: 'k8s:///block-assembly.teranode.svc.cluster.local:8085',
        p2p_peer_cache_dir: '/data/teranode',
      },
    ],
    [
      'operator.teratestnet',
      undefined,
      { network: 'teratestnet', blockassembly_grpcMaxRetries: 5, blockassembly_grpcRetryBackoff: 5000 },
    ],
    ['teratestnet', 'teranode-2025-09-settings_local.conf', { network: 'teratestnet', p2p_ban_duration: 86_400_000 }],
    [
      'teratestnet.stu',
      'teranode-2025-09-settings_local.conf',
      {
        clientName: 'Stu',
        logLevel: 'DEBUG',
        p2p_ban_duration: 60_000,
        asset_httpPublicAddress: 'https://freemans13.ngrok.dev/api/v1',
      },
    ],
    ['dev.system.test', 'teratestnet-settings_local.conf', { blockchain_store: 'sqlite:///blockchain' }],
  ] as const)('validate in context %s', (context, local, expected) => {
    const { settings } = loadSettings({ folder: folderWith(local), env: {}, context });
    expectSettings(settings, expected);
    expect(wireNames(settings)).toEqual(['go-p2p']);
    expect(settings).toMatchObject({
      p2p_dht_use_private: true,
      p2p_optimise_retries: true,
      p2p_bootstrap_persistent: true,
      p2p_share_private_addresses: false,
      p2p_block_topic: 'block',
      p2p_mining_on_topic: 'miningon',
      p2p_shared_key: '9ce675c11a3cf8fc964fcfb6eb12748221b0622f98e248c8473324d5ffb3ee2e',
    });
  });

  test('refuses unknown names only in settings that are read', () => {
    const folder = folderWith('teranode-2025-09-settings_local.conf');
    const problems = problemsOf(() => loadSettings({ folder, env: {}, context: 'operator.mainnet.prod' }));
    expect(problems.find(({ key }) => key === 'clientName')?.expected).toBe(
      'text (unknown name ${clientSuffix} (clientName -> clientSuffix): define clientSuffix in a settings file or in the environment)',
    );
    const { settings } = loadSettings({ folder, env: { clientSuffix: '7' }, context: 'operator.mainnet.prod' });
    expect(settings.clientName).toBe('prod-mainnet-7');
  });
});

describe('the settings that Teranode shipped in November 2025', () => {
  const PORTS = { p2p_port: 9905, p2p_http_listen_address: ':9906', p2p_grpc_listen_address: ':9904' };

  test.each([
    ['dev', { network: 'regtest', listen_mode: 'listen_only', p2p_dht_mode: 'client', p2p_enable_nat: true }],
    ['dev.legacy.mainnet', { network: 'mainnet', p2p_dht_mode: 'client' }],
    ['docker.m', { ...PORTS, network: 'regtest', p2p_grpc_address: 'peer:9904', p2p_static_peers: [] }],
    [
      'docker.host.teranode1',
      {
        clientName: 'teranode1',
        p2p_port: 19905,
        p2p_static_peers: [
          '/dns/localhost/tcp/29905/p2p/12D3KooWG6aCkDmi5tqx4G4AvVDTQdSVvTSzzQvk1vh9CtSR8KEW',
          '/dns/localhost/tcp/39905/p2p/12D3KooWHHeTM3aK4s9DKS6DQ7SbBb7czNyJsPZtQiUKa4fduMB9',
        ],
      },
    ],
    [
      'docker.teranode2',
      { clientName: 'teranode2', blockchain_store: 'postgres://miner2:miner2@postgres:5432/teranode2' },
    ],
    ['docker.ss.teranode1', { clientName: 'teranode1', p2p_http_listen_address: '0.0.0.0:9906' }],
    ['operator', { ...PORTS, network: 'mainnet', p2p_dht_mode: 'server', p2p_peer_cache_dir: '/data/teranode' }],
    [
      'operator.mainnet',
      {
        ...PORTS,
        network: 'mainnet',
        blockchain_grpcAddress: 'k8s:///blockchain.teranode.svc.cluster.local:8087',
        kafka_blocksConfig: /\/blocks-teranode\?/,
      },
    ],
    ['operator.mainnet.stage.1', { ...PORTS, network: 'mainnet', p2p_private_key: /^[0-9a-f]{128}$/ }],
    ['operator.testnet', { ...PORTS, network: 'testnet' }],
    ['operator.teratestnet', { ...PORTS, network: 'teratestnet' }],
    ['teratestnet', { network: 'teratestnet', p2p_dht_mode: 'off' }],
    ['', { ...PORTS, network: 'mainnet', listen_mode: 'full', p2p_dht_mode: 'off' }],
  ] as const)('validate in context "%s"', (context, expected) => {
    const folder = folderWith(undefined, 'teranode-2025-11-settings.conf');
    const { settings } = loadSettings({ folder, env: {}, context });
    expectSettings(settings, expected);
    expect(wireNames(settings)).toEqual(['message-bus']);
    expect(settings.p2p_bootstrap_peers).toHaveLength(6);
    expect(settings.p2p_share_private_addresses).toBe(false);
  });

  test.each(['docker', 'docker.ci', 'docker.ss'])(
    'are refused in context %s, where no context below it names the user of the database',
    (context) => {
      const folder = folderWith(undefined, 'teranode-2025-11-settings.conf');
      const problems = problemsOf(() => loadSettings({ folder, env: {}, context }));
      expect(problems).toMatchObject([
        {
          key: 'blockchain_store',
          expected: expect.stringContaining(': define blockchainDBUserPwd in a settings file or in the environment'),
        },
      ]);
      const env = { blockchainDBUserPwd: 'miner1', blockchainDB: 'teranode1' };
      expect(loadSettings({ folder, env, context }).settings.network).toBe('regtest');
    },
  );
});

describe('the environment of the quickstart of April 2026', () => {
  const text = readFileSync(join(DATA, 'quickstart-2026-04.env'), 'utf8');
  const env = Object.fromEntries([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key, value] as const));

  test.each([
    ['the settings of November 2025', () => folderWith(undefined, 'teranode-2025-11-settings.conf')],
    ['our own settings', () => REPO],
  ])('validates with %s', (_what, folder) => {
    const { settings, context } = loadSettings({ folder: folder(), env });
    expect(context).toBe('docker.m');
    expect(settings).toMatchObject({
      network: 'testnet',
      clientName: 'teranode-default',
      listen_mode: 'listen_only',
      p2p_dht_mode: 'off',
      p2p_advertise_addresses: [],
      p2p_port: 9905,
      asset_httpPublicAddress: undefined,
      minminingtxfee: 0.00000001,
    });
    expect(wireNames(settings)).toEqual(['message-bus']);
  });
});

describe('joining a network on message-bus', () => {
  test.each(['mainnet', 'testnet', 'stn', 'teratestnet'])(
    'our own settings.conf needs nothing but network = %s and p2p_wire',
    (network) => {
      for (const context of ['dev', 'mainnet', 'docker']) {
        const { settings } = loadSettings({ folder: REPO, env: { network, p2p_wire: 'message-bus' }, context });
        expect(bootstrapPeers(settings)).toEqual([`/dnsaddr/${network}.bootstrap.teranode.bsvb.tech`]);
        expect(topicPrefix(settings, 'message-bus')).toBe(`teranode/bitcoin/1.0.0/${network}`);
        expect(settings).toMatchObject({ p2p_port: 9905, listen_mode: 'full', p2p_dht_mode: undefined });
        // Our own DataHub, which peers cannot use; that is logged when the server has started.
        expect(settings.asset_httpAddress).toBeUndefined();
      }
    },
  );
});

describe('the settings context', () => {
  const text = `${MINIMAL_SETTINGS}clientName.docker.host = h\nclientName.mainnet = m\n`;

  test.each(['docker.host', 'docker.host.node7', 'mainnet', 'mainnet.prod', 'dev', '', undefined])(
    'may be %s: a key names it, or one above it',
    (SETTINGS_CONTEXT) => {
      const env = SETTINGS_CONTEXT === undefined ? {} : { SETTINGS_CONTEXT };
      expect(loadText(text, env).context).toBe(SETTINGS_CONTEXT || 'dev');
    },
  );

  test.each([
    ['docker', ''],
    ['docker.hots', 'did you mean docker.host?'],
    ['mainet', 'did you mean mainnet?'],
    ['Mainnet', 'did you mean mainnet?'],
    ['clientName', ''],
    ['x'.repeat(1000), ''],
  ])('must not be %s, which no key names', (SETTINGS_CONTEXT, hint) => {
    expect(problemsOf(() => loadText(text, { SETTINGS_CONTEXT }))).toEqual([
      {
        key: 'SETTINGS_CONTEXT',
        value: SETTINGS_CONTEXT.slice(0, 200),
        origin: 'environment SETTINGS_CONTEXT',
        expected: expect.stringMatching(/^context that a key .* names \(docker, mainnet, dev\)/),
      },
    ]);
    const [problem] = problemsOf(() => loadText(text, { SETTINGS_CONTEXT }));
    expect(problem?.expected.endsWith(hint)).toBe(true);
  });

  test('is refused together with all other problems, also where there are no files', () => {
    const problems = problemsOf(() => loadSettings({ folder: temporaryFolder('none'), env: {}, context: 'mainnet' }));
    expect(problems.length).toBeGreaterThan(2);
    expect(problems[0]).toMatchObject({ key: 'SETTINGS_CONTEXT', origin: 'option' });
  });
});

describe('grpc_admin_api_key', () => {
  const real = { network: 'testnet', p2p_http_listen_address: ':0', p2p_grpc_listen_address: ':0' };
  const local = { network: 'testnet', p2p_http_listen_address: 'localhost:0', p2p_grpc_listen_address: '[::1]:0' };
  const halfLocal = { ...local, p2p_http_listen_address: '0.0.0.0:0' };
  const secret = 'a-key-of-this-test-only-42';

  test.each([
    ['a placeholder', 'testkey', real],
    ['another placeholder', 'CHANGEME', real],
    ['a long placeholder', 'changemechangeme', real],
    ['nothing', '', real],
    ['a secret', secret, real],
    ['a short key with both listeners on loopback', 'short', local],
    ['a short key on regtest', 'short', { ...real, network: 'regtest' }],
  ])('may be %s', (_what, grpc_admin_api_key, env) => {
    const { settings } = loadText(MINIMAL_SETTINGS, { ...env, grpc_admin_api_key });
    expect(settings.grpc_admin_api_key).toBe(grpc_admin_api_key === '' ? undefined : grpc_admin_api_key);
  });

  test.each([
    ['a short key', 'short', real, 'at least 16 characters, or unset'],
    ['a short key with one listener beyond loopback', 'short', halfLocal, 'at least 16 characters, or unset'],
    ['a text that no header can carry', 'schlüssel-schlüssel', real, 'printable ASCII'],
  ])('must not be %s; the refusal says what to do and does not show it', (_what, grpc_admin_api_key, env, expected) => {
    const problems = problemsOf(() => loadText(MINIMAL_SETTINGS, { ...env, grpc_admin_api_key }));
    expect(problems).toEqual([
      {
        key: 'grpc_admin_api_key',
        value: '********',
        origin: 'environment grpc_admin_api_key',
        expected: expect.stringContaining(expected),
      },
    ]);
  });
});

describe('our own settings.conf', () => {
  test.each(['dev', 'docker', 'mainnet', 'testnet', 'stn', 'teratestnet'])('validates in context %s', (context) => {
    const { settings } = loadSettings({ folder: REPO, env: {}, context });
    expect(settings.p2p_allow_private_datahubs).toBe(context === 'dev' || context === 'docker');
    expect(settings.p2p_enable_nat_port_map).toBe(context !== 'dev');
    expect(settings.listen_mode).toBe('full');
    expect(settings.p2p_bootstrap_addresses).toEqual([]);
  });
});

describe('defaults and bounds', () => {
  test('a minimal file loads with the defaults of the Go service', () => {
    expect(loadText(MINIMAL_SETTINGS).settings).toMatchObject({
      p2p_dht_use_private: false,
      p2p_optimise_retries: false,
      p2p_bootstrap_persistent: false,
      p2p_share_private_addresses: true,
      p2p_conn_low_water: undefined,
      p2p_conn_high_water: undefined,
      p2p_conn_grace_period: undefined,
      p2p_peer_cache_ttl: undefined,
      p2p_author_rate: 500,
      p2p_author_burst: 10_000,
      p2p_verify_header_pow: true,
      p2p_node_status_topic: 'node_status',
      kafka_queue_max_messages: 100_000,
      kafka_queue_max_bytes: 67_108_864,
      logLevel: 'INFO',
    });
  });

  test('an empty number, boolean, duration or list means the default; an empty p2p_dht_public_bootstrap means none', () => {
    const { settings } = loadText(
      `${MINIMAL_SETTINGS}p2p_author_rate =\np2p_enable_relay =\np2p_ban_duration =\np2p_listen_addresses =\np2p_dht_public_bootstrap =`,
    );
    expect(settings).toMatchObject({
      p2p_author_rate: 500,
      p2p_enable_relay: true,
      p2p_ban_duration: 86_400_000,
      p2p_listen_addresses: ['0.0.0.0'],
      p2p_dht_public_bootstrap: [],
    });
  });

  test('nothing at all: every required key is named at once', () => {
    const keys = problemsOf(() => loadText('')).map(({ key }) => key);
    expect(keys).toEqual([
      'p2p_port',
      'p2p_block_topic',
      'p2p_subtree_topic',
      'p2p_rejected_tx_topic',
      'network',
      'p2p_handshake_topic',
      'p2p_mining_on_topic',
    ]);
  });

  test('message-bus needs neither the topics of go-p2p nor a shared key', () => {
    const keys = problemsOf(() => loadText('p2p_wire = message-bus\np2p_dht_use_private = true')).map(({ key }) => key);
    expect(keys).toEqual(['p2p_port', 'p2p_block_topic', 'p2p_subtree_topic', 'p2p_rejected_tx_topic', 'network']);
  });

  test.each([
    ['p2p_port', '65536'],
    ['p2p_port', '-1'],
    ['p2p_port', '99a'],
    ['network', 'moonnet'],
    ['listen_mode', 'loud'],
    ['p2p_listen_addresses', '127.0.0.1 | nowhere'],
    ['p2p_advertise_addresses', 'a b'],
    ['p2p_static_peers', '/ip4/1.2.3.4/tcp/9905'],
    ['p2p_bootstrapAddresses', 'nonsense'],
    ['p2p_private_key', 'abcd'],
    ['p2p_shared_key', 'xyz'],
    ['p2p_ban_duration', '1 day'],
    ['p2p_ban_duration', '0s'],
    ['p2p_ban_duration', '999ms'],
    ['p2p_ban_default_duration', '876001h'],
    ['p2p_peer_map_ttl', '0'],
    ['p2p_peer_map_cleanup_interval', '0s'],
    ['p2p_peer_map_cleanup_interval', '999us'],
    ['embedded_chain_mine_interval', '1000h'],
    ['embedded_chain_mine_interval', '0s'],
    ['embedded_chain_mine_interval', '2147483648ms'],
    ['p2p_handshake_topic_timeout', '597h'],
    ['grpc_retry_backoff', '0'],
    ['p2p_advertise_addresses', 'example.com:99999'],
    ['p2p_advertise_addresses', 'example.com:0'],
    ['p2p_advertise_addresses', '999.1.1.1'],
    ['p2p_advertise_addresses', '[zz]:1'],
    ['p2p_advertise_addresses', ':::'],
    ['p2p_advertise_addresses', '-x.example'],
    ['p2p_advertise_addresses', '/dns4/x.example'],
    ['p2p_advertise_addresses', '/dns4/x.example/tcp/0'],
    ['p2p_advertise_addresses', '/dns4/x.example/tcp/65536'],
    ['p2p_advertise_addresses', '/dns4/x y/tcp/1'],
    ['p2p_advertise_addresses', '/ip4/1.2.3/tcp/1'],
    ['p2p_advertise_addresses', '/ip4/1.2.3.4/udp/1'],
    ['p2p_advertise_addresses', '/ip4/1.2.3.4/tcp/1/ws'],
    ['p2p_advertise_addresses', '/dnsaddr/x.example'],
    ['p2p_advertise_addresses', '/tcp/1'],
    ['p2p_advertise_addresses', '/'],
    ['p2p_dht_public_bootstrap', 'garbage'],
    ['p2p_dht_public_bootstrap', '/ip4/1.2.3.4/tcp/1'],
    ['p2p_static_peers', '/ip4/1.2.3.4/tcp/99999/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY'],
    ['p2p_static_peers', '/ip4/1.2.3.4/tcp/1/p2p/nobody'],
    ['p2p_static_peers', '/ip4/1.2.3.4/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY'],
    ['p2p_private_key', 'ab'.repeat(64)],
    ['p2p_private_key', `${KEY.slice(0, 64)}${'00'.repeat(32)}`],
    ['p2p_private_key', `${KEY}${'00'.repeat(32)}`],
    ['p2p_private_key', `08011240${KEY.slice(0, 64)}${'00'.repeat(32)}`],
    ['p2p_private_key', `08011241${KEY}`],
    ['p2p_http_address', 'localhost:99999'],
    ['p2p_enable_relay', 'yes'],
    ['p2p_conn_high_water', '0'],
    ['kafka_blocksConfig', 'kafka://'],
    ['kafka_blocksConfig', 'kafka://a:9092/t?partitions=0'],
    ['blockchain_store', 'mysql://x'],
    ['asset_httpAddress', 'ftp://x'],
    ['p2p_http_listen_address', '9906'],
    ['p2p_http_listen_address', ':99999'],
    ['securityLevelHTTP', '2'],
    ['grpc_admin_api_key', 'two\nlines'],
    ['p2p_websocket_max_connections_per_source', '-2'],
    ['p2p_websocket_trusted_source_cidrs', '127.0.0.1'],
    ['p2p_websocket_trusted_source_cidrs', '127.0.0.1/33'],
    ['p2p_websocket_trusted_source_cidrs', '::1/129'],
    ['p2p_websocket_trusted_source_cidrs', 'all/0'],
    ['p2p_force_sync_peer', 'somebody'],
    ['p2p_block_topic', 'a topic'],
    ['p2p_policy_mode', 'maybe'],
  ])('refuses %s = %s and says what is expected', (key, value) => {
    const problems = problemsOf(() => loadText(MINIMAL_SETTINGS, { [key]: value }));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.origin).toBe(`environment ${key}`);
    expect(problems[0]?.expected.length).toBeGreaterThan(5);
  });

  test.each([
    ['embedded_chain_mine_interval', '1ms', 1],
    ['embedded_chain_mine_interval', '2147483647ms', 2_147_483_647],
    ['p2p_ban_duration', '876000h', 876_000 * 3_600_000],
    ['p2p_conn_grace_period', '0s', 0],
    ['p2p_max_wait_for_min_peers', '0s', 0],
    ['p2p_private_key', KEY, KEY],
    ['p2p_private_key', `08011240${KEY}`, `08011240${KEY}`],
    ['p2p_private_key', `${KEY}${KEY.slice(64)}`.toUpperCase(), `${KEY}${KEY.slice(64)}`.toUpperCase()],
    [
      'p2p_advertise_addresses',
      '1.2.3.4|1.2.3.4:5|x.example|x.example:65535|2001:db8::1|[2001:db8::1]:7',
      ['1.2.3.4', '1.2.3.4:5', 'x.example', 'x.example:65535', '2001:db8::1', '[2001:db8::1]:7'],
    ],
    [
      'p2p_advertise_addresses',
      '/dns4/x.example/tcp/9905 | /dns/y/tcp/1 | /ip4/1.2.3.4/tcp/65535 | /ip6/2001:DB8::1/tcp/2 | z.example:3',
      ['/dns4/x.example/tcp/9905', '/dns/y/tcp/1', '/ip4/1.2.3.4/tcp/65535', '/ip6/2001:db8::1/tcp/2', 'z.example:3'],
    ],
    [
      'p2p_advertise_addresses',
      '/dns4/x.example/tcp/9905/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY',
      ['/dns4/x.example/tcp/9905'],
    ],
    ['p2p_websocket_trusted_source_cidrs', '127.0.0.1/32|::1/128', ['127.0.0.1/32', '::1/128']],
    ['p2p_websocket_trusted_source_cidrs', 'none', ['none']],
    ['p2p_websocket_max_connections_per_source', '-1', -1],
    [
      'p2p_dht_public_bootstrap',
      '/dnsaddr/bootstrap.libp2p.io/ipfs/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
      ['/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'],
    ],
    ['p2p_policy_shadow_rules', 'Author_Rate | replay', ['author_rate', 'replay']],
  ])('accepts %s = %s', (key, value, expected) => {
    expect(loadText(MINIMAL_SETTINGS, { [key]: value }).settings).toMatchObject({ [key]: expected });
  });

  test('every accepted p2p_advertise_addresses value is usable by the node', () => {
    for (const host of [
      '1.2.3.4',
      'x.example',
      '2001:db8::1',
      '[2001:db8::1]',
      '[1.2.3.4]',
      'a..b',
      '_x',
      'x.',
      '1.2',
      ':',
    ])
      for (const port of ['', ':1', ':65535', ':65536', ':x']) {
        const load = () => loadText(MINIMAL_SETTINGS, { p2p_advertise_addresses: host + port });
        let isTaken = true;
        try {
          load();
        } catch {
          isTaken = false;
        }
        if (isTaken) expect(() => parseMultiaddr(advertiseMultiaddr(host + port, 1)).bytes).not.toThrow();
      }
    for (const address of [
      '/ip4/1.2.3.4/tcp/5',
      '/ip6/2001:db8::1/tcp/5',
      '/dns/x/tcp/5',
      '/dns4/a.b/tcp/5',
      '/dns6/_x/tcp/5',
    ]) {
      const { settings } = loadText(MINIMAL_SETTINGS, { p2p_advertise_addresses: address });
      expect(settings.p2p_advertise_addresses.map((each) => advertiseMultiaddr(each, 1))).toEqual([address]);
    }
  });

  test('rules between settings run when their own inputs are valid, so that all problems are reported at once', () => {
    const problems = problemsOf(() =>
      loadText(MINIMAL_SETTINGS, {
        p2p_port: 'x',
        p2p_conn_low_water: '500',
        p2p_conn_high_water: '499',
        p2p_shared_key: 'short',
        securityLevelHTTP: '1',
        server_keyFile: 'k',
      }),
    );
    expect(problems.map(({ key }) => key).sort()).toEqual([
      'p2p_conn_low_water',
      'p2p_port',
      'p2p_shared_key',
      'server_certFile',
    ]);
    expect(problems.find(({ key }) => key === 'p2p_conn_low_water')).toMatchObject({
      value: '500',
      origin: 'environment p2p_conn_low_water',
    });
    const wrongInput = problemsOf(() =>
      loadText(MINIMAL_SETTINGS, { p2p_conn_low_water: '500', p2p_conn_high_water: 'x' }),
    );
    expect(wrongInput.map(({ key }) => key)).toEqual(['p2p_conn_high_water']);
  });

  test('reports an unreadable settings file together with invalid settings', () => {
    const folder = folderWith();
    mkdirSync(join(folder, 'settings_local.conf'));
    const problems = problemsOf(() => loadSettings({ folder, env: { p2p_port: 'x' } }));
    expect(problems).toEqual([
      {
        key: 'settings_local.conf',
        value: join(folder, 'settings_local.conf'),
        origin: 'file',
        expected: expect.stringContaining('a readable text file'),
      },
      expect.objectContaining({ key: 'p2p_port' }),
    ]);
  });

  test('masks passwords in URLs, and other secrets completely', () => {
    const { effective } = loadText(MINIMAL_SETTINGS, {
      blockchain_store: 'postgres://u:pa@ss@h/db?sslmode=disable&sslpassword=hidden1',
      p2p_ban_store: 'postgres://h/db?user=u&password=hidden2',
      asset_httpPublicAddress: 'http://u:hidden3@h/',
      grpc_admin_api_key: 'scheme://hidden4-hidden4',
    });
    const shown = (key: string) => effective.find((each) => each.key === key)?.shown;
    expect(shown('blockchain_store')).toBe('postgres://u:********@h/db?sslmode=disable&sslpassword=********');
    expect(shown('p2p_ban_store')).toBe('postgres://h/db?user=u&password=********');
    expect(shown('asset_httpPublicAddress')).toBe('http://u:********@h/');
    expect(shown('grpc_admin_api_key')).toBe('********');
    expect(shown('asset_httpAddress')).toBe('http://localhost:8090/api/v1');
    const [refused] = problemsOf(() => loadText(MINIMAL_SETTINGS, { asset_httpAddress: 'ftp://u:pa@ss@h/' }));
    expect(refused?.value).toBe('ftp://u:********@h/');
  });

  test.each([
    [{ securityLevelHTTP: '1' }, ['server_certFile', 'server_keyFile']],
    [{ p2p_conn_low_water: '500', p2p_conn_high_water: '499' }, ['p2p_conn_low_water']],
    [{ p2p_shared_key: '', p2p_dht_use_private: 'true' }, ['p2p_shared_key']],
    [{ p2p_shared_key: '', p2p_dht_use_private: 'true', p2p_wire: 'both' }, ['p2p_shared_key']],
    [{ p2p_wire: 'both' }, ['p2p_dht_use_private']],
    [{ p2p_wire: 'both', ...PRIVATE_NETWORK, p2p_go_p2p_port: '9905' }, ['p2p_go_p2p_port']],
    [{ p2p_wire: 'message-bus', clientName: '' }, ['clientName']],
    [{ p2p_wire: 'message-bus', clientName: '矿工 <>' }, ['clientName']],
    [{ p2p_handshake_topic: '', p2p_mining_on_topic: '' }, ['p2p_handshake_topic', 'p2p_mining_on_topic']],
    [{ KAFKA_TLS_CERT_FILE: 'x' }, ['KAFKA_TLS_KEY_FILE']],
  ])('rules between settings: %j', (env, keys) => {
    expect(problemsOf(() => loadText(MINIMAL_SETTINGS, env as Record<string, string>)).map(({ key }) => key)).toEqual(
      keys,
    );
  });

  test.each([
    { p2p_conn_low_water: '500' },
    { p2p_conn_high_water: '10' },
    { p2p_shared_key: '' },
    { p2p_shared_key: '', p2p_dht_use_private: 'true', p2p_wire: 'message-bus' },
    { p2p_wire: 'both', ...PRIVATE_NETWORK },
    { p2p_wire: 'both', ...PRIVATE_NETWORK, p2p_port: '0', p2p_go_p2p_port: '0' },
    { p2p_go_p2p_port: '9905' },
    { p2p_wire: 'go-p2p', clientName: '' },
    { p2p_wire: 'message-bus', clientName: '矿工1' },
    { p2p_handshake_topic: '', p2p_mining_on_topic: '', p2p_dht_mode: 'off' },
  ])('settings that do not contradict each other: %j', (env) => {
    expect(() => loadText(MINIMAL_SETTINGS, env as Record<string, string>)).not.toThrow();
  });

  test('the limits and origins of Teranode’s WebSocket are those of ours', () => {
    const { settings } = loadText(MINIMAL_SETTINGS, {
      p2p_websocket_max_connections: '7',
      p2p_websocket_allowed_origins: 'https://a.example|https://b.example',
    });
    const origins = ['https://a.example', 'https://b.example'];
    expect(settings).toMatchObject({ p2p_ws_max_clients: 7, p2p_ws_origins: origins, p2p_http_cors_origins: origins });
    const all = loadText(MINIMAL_SETTINGS, { p2p_websocket_allowed_origins: '' }).settings;
    expect(all).toMatchObject({ p2p_ws_origins: ['*'], p2p_http_cors_origins: ['*'] });
  });

  test('both spellings are accepted', () => {
    for (const key of ['p2p_http_listen_address', 'p2p_httpListenAddress']) {
      expect(loadText(MINIMAL_SETTINGS, { [key]: ':1234' }).settings.p2p_http_listen_address).toBe(':1234');
    }
    expect(
      loadText(MINIMAL_SETTINGS, { securityLevelGRPC: '1', server_certFile: 'c', server_keyFile: 'k' }).settings
        .security_level_grpc,
    ).toBe(1);
  });
});

test.each([
  ['', undefined],
  ['http://localhost:4318', 'http://localhost:4318'],
  ['https://collector.example/v1/traces', 'https://collector.example/v1/traces'],
  ['jaeger:4318', 'http://jaeger:4318'],
  ['jaeger-agent.jaeger.svc.cluster.local:4318', 'http://jaeger-agent.jaeger.svc.cluster.local:4318'],
])('takes the collector of traces %j as an URL and as Teranode’s files name it', (text, expected) => {
  expect(loadText(MINIMAL_SETTINGS, { tracing_collector_url: text }).settings.tracing_collector_url).toBe(expected);
});

test.each([
  ['tracing_SampleRate', '1.5'],
  ['tracing_SampleRate', '-0.1'],
  ['tracing_collector_url', 'ftp://collector'],
  ['tracing_collector_url', 'a host:4318'],
])('refuses %s = %s', (key, text) => {
  expect(problemsOf(() => loadText(MINIMAL_SETTINGS, { [key]: text }))).toMatchObject([{ key }]);
});
