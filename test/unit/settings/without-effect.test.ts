// What a start says about keys that change nothing.
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { logNotices, logUnfollowedChain } from '../../../src/app/log-notices.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { recordingLogger } from '../../fakes/recorders.ts';
import { temporaryFolder } from '../../support/cleanup.ts';
import { REPO } from '../../support/repo.ts';
import { loadText, MINIMAL_SETTINGS, PRIVATE_NETWORK } from '../../support/settings.ts';

const noticesOf = (text: string, env: Readonly<Record<string, string>> = {}) =>
  loadText(MINIMAL_SETTINGS + text, env).notices;
const keysOf = (text: string, env: Readonly<Record<string, string>> = {}) =>
  noticesOf(text, env).withoutEffect.map(({ key }) => key);

function noticesOfFile(file: string, context: string) {
  const folder = temporaryFolder('settings');
  copyFileSync(join(REPO, 'test/data/settings', file), join(folder, 'settings.conf'));
  return loadSettings({ folder, env: {}, context }).notices;
}

describe('settings without effect', () => {
  test('are named with a reason when a file or the environment gives them a value', () => {
    const { withoutEffect } = noticesOf('p2p_enable_mdns = false\np2p_peer_id =\n', { p2p_health_check_enabled: 'no' });
    expect(withoutEffect).toEqual([
      { key: 'p2p_health_check_enabled', reason: expect.stringMatching(/./) },
      { key: 'p2p_enable_mdns', reason: 'mDNS discovery is not supported: list local peers in p2p_static_peers' },
    ]);
  });

  test('are those of the chosen context only', () => {
    const text = 'p2p_enable_mdns.docker = true\np2p_relay_peers.dev.x = a\np2p_peer_id.dev = b\n';
    expect(keysOf(text)).toEqual(['p2p_peer_id']);
  });

  test('include settings of the wire that is not in force', () => {
    const ofBoth = { p2p_dht_mode: 'off', p2p_bootstrapAddresses: '', p2p_go_p2p_port: '1', ...PRIVATE_NETWORK };
    const both = Object.entries(ofBoth)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join('');
    const ofGoP2p = ['p2p_handshake_topic', 'p2p_mining_on_topic'];
    expect(keysOf(both, { p2p_wire: 'message-bus' })).toEqual([
      ...ofGoP2p,
      'p2p_go_p2p_port',
      'p2p_shared_key',
      'p2p_dht_use_private',
    ]);
    expect(keysOf(both, { p2p_wire: 'go-p2p' })).toEqual(['p2p_dht_mode', 'p2p_go_p2p_port']);
    expect(keysOf(both, { p2p_wire: 'both' })).toEqual([]);
    const waits = 'p2p_min_peers_for_sync = 2\np2p_max_wait_for_min_peers = 5s\n';
    expect(keysOf(waits, { p2p_wire: 'go-p2p' })).toEqual([]);
    expect(keysOf(both + waits, { p2p_wire: 'both' })).toEqual([
      'p2p_min_peers_for_sync',
      'p2p_max_wait_for_min_peers',
    ]);
    expect(noticesOf('', { ...PRIVATE_NETWORK, p2p_wire: 'message-bus' }).withoutEffect).toContainEqual({
      key: 'p2p_shared_key',
      reason: 'used only on go-p2p, which is not in force (p2p_wire)',
    });
  });

  test('include the shared key where the network is not private', () => {
    const key = PRIVATE_NETWORK.p2p_shared_key;
    expect(noticesOf('', { p2p_shared_key: key }).withoutEffect).toEqual([
      { key: 'p2p_shared_key', reason: 'used only when p2p_dht_use_private is true' },
    ]);
    expect(keysOf('p2p_shared_key =\n')).toEqual([]);
    expect(keysOf('', PRIVATE_NETWORK)).toEqual([]);
  });

  test('do not include settings of other services', () => {
    const text = 'p2p_port_coinbase = 9999\ncoinbase_p2p_peer_id = x\nlegacy_listen_addresses = :1\nP2P_PORT = 9905\n';
    expect(noticesOf(text)).toEqual({ withoutEffect: [], unknown: [] });
  });

  test('of the file of September 2025 are two at most, of the one of November 2025 the topics of go-p2p too', () => {
    const september = noticesOfFile('teranode-2025-09-settings.conf', 'docker.host.teranode1');
    expect(september.withoutEffect.map(({ key }) => key)).toEqual(['p2p_sync_stuck_retry_threshold', 'p2p_peer_id']);
    const november = noticesOfFile('teranode-2025-11-settings.conf', 'docker.m');
    expect(november.withoutEffect.map(({ key }) => key)).toEqual([
      'p2p_bestblock_topic',
      'p2p_dht_cleanup_interval',
      'p2p_handshake_topic',
      'p2p_mining_on_topic',
      'p2p_shared_key',
      'p2p_sync_stuck_retry_threshold',
    ]);
    expect([...september.unknown, ...november.unknown]).toEqual([]);
  });

  test('of our own settings.conf there are none', () => {
    for (const context of ['dev', 'docker', 'mainnet', 'testnet', 'stn', 'teratestnet'])
      expect(loadSettings({ folder: REPO, env: {}, context }).notices).toEqual({ withoutEffect: [], unknown: [] });
  });
});

describe('unknown settings', () => {
  test.each([
    ['p2p_bootstrap_peer', 'p2p_bootstrap_peers'],
    ['p2p_BootstrapAddresses', 'p2p_bootstrapAddresses'],
    ['p2p_banthreshold', 'p2p_ban_threshold'],
    ['p2p_conn_hihg_water', 'p2p_conn_high_water'],
    ['p2p_something_else', undefined],
    [`p2p_${'x'.repeat(1000)}`, undefined],
    ['dataFoler', 'dataFolder'],
    ['netwrok', 'network'],
    ['kafak_subtreesConfig', 'kafka_subtreesConfig'],
    ['blockchain_grpcAdress', 'blockchain_grpcAddress'],
    ['assset_httpPublicAddress', 'asset_httpPublicAddress'],
  ])('%s: the nearest known name is %s', (key, nearest) => {
    expect(noticesOf('', { [key]: 'x' }).unknown).toEqual([{ key: key.slice(0, 80), nearest }]);
  });

  test('do not include keys of other services and programs, nor variables of the files', () => {
    const env = { LOG_LEVEL: 'x', NETWORK: 'x', kafka_txmetaConfig: 'x', npm_config_cache: 'x', clientSuffix: '1' };
    expect(noticesOf('blocks = x\nclientNam = x\nclientName = ${clientNam}\n', env).unknown).toEqual([]);
    for (const file of ['teranode-2025-09-settings.conf', 'teranode-2025-11-settings.conf'])
      for (const context of ['dev', 'operator.mainnet', 'docker.host.teranode1.legacy'])
        expect(noticesOfFile(file, context).unknown).toEqual([]);
  });

  test('are reported up to a bound', () => {
    const text = Array.from({ length: 100 }, (_each, i) => `p2p_unknown_${i} = x`).join('\n');
    expect(noticesOf(text).unknown).toHaveLength(20);
  });
});

test('a list of allowed publishers is warned of, since it is not enforced; an empty one is not', () => {
  const log = recordingLogger();
  logNotices(log, noticesOf('p2p_allowed_publisher_ids = 12D3KooW'));
  logNotices(log, noticesOf('p2p_allowed_publisher_ids ='));
  const fields = { key: 'p2p_allowed_publisher_ids', reason: expect.stringContaining('ban single authors') };
  expect(log.lines).toEqual([{ level: 'warn', event: 'setting without effect', fields }]);
});

test('one line names all settings without effect, and each unknown one has a line of its own', () => {
  const log = recordingLogger();
  logNotices(log, noticesOf('p2p_enable_mdns = true\np2p_relay_peers = a\np2p_bloc_topic = x\np2p_foo = x'));
  logNotices(log, noticesOf(''));
  logNotices(log, undefined);
  expect(log.lines).toEqual([
    {
      level: 'info',
      event: 'settings without effect',
      fields: {
        settings: [
          { key: 'p2p_enable_mdns', reason: expect.any(String) },
          { key: 'p2p_relay_peers', reason: expect.any(String) },
        ],
      },
    },
    { level: 'warn', event: 'unknown setting', fields: { key: 'p2p_bloc_topic', nearest: 'p2p_block_topic' } },
    { level: 'warn', event: 'unknown setting', fields: { key: 'p2p_foo' } },
  ]);
});

test('a chain that follows no peer is warned of: blocks go to Kafka, and no blockchain service is named', () => {
  const warned = (env: Record<string, string>, hasOwnParts = false) => {
    const log = recordingLogger();
    logUnfollowedChain(log, loadSettings({ folder: REPO, env }).settings, hasOwnParts);
    return log.lines.map(({ level, event }) => `${level}: ${event}`);
  };
  const kafka = { kafka_blocksConfig: 'kafka://127.0.0.1:1/blocks' };
  expect(warned(kafka)).toEqual(['warn: own chain follows no peer']);
  expect(warned({ ...kafka, blockchain_grpcAddress: '127.0.0.1:2' })).toEqual([]);
  expect(warned(kafka, true)).toEqual([]);
  expect(warned({})).toEqual([]);
});
