import { describe, expect, test } from 'vitest';
import {
  allowsPrivateDataHubs,
  allowsPrivateIps,
  bootstrapPeers,
  speaks,
  wireChoice,
  wireNames,
} from '../../../src/settings/wire.ts';
import { loadText, MINIMAL_SETTINGS, PRIVATE_NETWORK } from '../../support/settings.ts';

const PEER = '/ip4/1.2.3.4/tcp/9905/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';

const settingsOf = (env: Readonly<Record<string, string>>) => loadText(MINIMAL_SETTINGS, env).settings;

describe('which wires are in force', () => {
  test.each([
    [{}, ['go-p2p'], 'p2p_wire, p2p_bootstrap_peers and p2p_dht_mode are unset'],
    [{ p2p_dht_mode: 'off' }, ['message-bus'], 'p2p_wire is unset and p2p_dht_mode is set'],
    [{ p2p_bootstrap_peers: PEER }, ['message-bus'], 'p2p_wire is unset and p2p_bootstrap_peers is set'],
    [{ p2p_wire: 'go-p2p', p2p_dht_mode: 'off' }, ['go-p2p'], 'p2p_wire = go-p2p'],
    [{ p2p_wire: 'message-bus' }, ['message-bus'], 'p2p_wire = message-bus'],
    [{ p2p_wire: 'both', ...PRIVATE_NETWORK }, ['message-bus', 'go-p2p'], 'p2p_wire = both'],
    [{ p2p_bootstrap_peers: '' }, ['go-p2p'], 'p2p_wire, p2p_bootstrap_peers and p2p_dht_mode are unset'],
  ] as const)('%j: %j', (env, names, reason) => {
    const settings = settingsOf(env);
    expect(wireChoice(settings)).toEqual({ names, reason });
    expect(wireNames(settings)).toEqual(names);
    for (const wire of ['go-p2p', 'message-bus'] as const)
      expect(speaks(settings, wire)).toBe((names as readonly string[]).includes(wire));
  });
});

describe('bootstrap peers of message-bus', () => {
  test.each(['mainnet', 'testnet', 'stn', 'teratestnet'])('unset on %s: the published name', (network) => {
    expect(bootstrapPeers(settingsOf({ network }))).toEqual([`/dnsaddr/${network}.bootstrap.teranode.bsvb.tech`]);
  });

  test.each(['regtest', 'tstn'])('unset on %s: none', (network) => {
    expect(bootstrapPeers(settingsOf({ network }))).toEqual([]);
  });

  test('set: those, and no published name beside them', () => {
    const both = `/dnsaddr/peers.example | ${PEER}`;
    expect(bootstrapPeers(settingsOf({ network: 'mainnet', p2p_bootstrap_peers: both }))).toEqual([
      '/dnsaddr/peers.example',
      PEER,
    ]);
  });

  test('none: no peers, and message-bus is in force', () => {
    const settings = settingsOf({ network: 'mainnet', p2p_bootstrap_peers: 'none' });
    expect(bootstrapPeers(settings)).toEqual([]);
    expect(wireNames(settings)).toEqual(['message-bus']);
    const { effective } = loadText(MINIMAL_SETTINGS, { p2p_bootstrap_peers: 'none' });
    expect(effective.find(({ key }) => key === 'p2p_bootstrap_peers')?.shown).toBe('none');
  });

  test('unset with static peers: none', () => {
    expect(bootstrapPeers(settingsOf({ network: 'mainnet', p2p_static_peers: PEER }))).toEqual([]);
  });
});

describe('private addresses', () => {
  test.each([
    [{ network: 'regtest' }, true],
    [{ network: 'mainnet' }, false],
    [{ network: 'mainnet', p2p_listen_addresses: '0.0.0.0 | ::' }, false],
    [{ network: 'mainnet', p2p_listen_addresses: '[::]' }, false],
    [{ network: 'mainnet', p2p_listen_addresses: '127.0.0.1' }, true],
    [{ network: 'mainnet', p2p_listen_addresses: '127.0.0.1 | [::1]' }, true],
    [{ network: 'mainnet', p2p_listen_addresses: '10.1.2.3' }, true],
    [{ network: 'mainnet', p2p_listen_addresses: '[fd00::1]' }, true],
    [{ network: 'mainnet', p2p_listen_addresses: '127.0.0.1 | 10.1.2.3' }, true],
    [{ network: 'mainnet', p2p_listen_addresses: '10.1.2.3 | 192.0.2.1' }, false],
    [{ network: 'regtest', p2p_allow_private_ips: 'false' }, false],
    [{ network: 'mainnet', p2p_allow_private_ips: 'true' }, true],
  ] as const)('%j: allowed %s', (env, isAllowed) => {
    expect(allowsPrivateIps(settingsOf(env), 'message-bus')).toBe(isAllowed);
    expect(allowsPrivateIps(settingsOf({ ...env, p2p_dht_use_private: 'false' }), 'go-p2p')).toBe(isAllowed);
  });

  test.each([
    [{ network: 'mainnet' }, true],
    [{ network: 'mainnet', p2p_allow_private_ips: 'false' }, false],
  ] as const)('on go-p2p with a shared key, %j: allowed %s', (env, isAllowed) => {
    expect(allowsPrivateIps(settingsOf({ ...env, ...PRIVATE_NETWORK }), 'go-p2p')).toBe(isAllowed);
  });

  test.each([
    [{ p2p_listen_addresses: '10.1.2.3' }, false],
    [{ p2p_listen_addresses: '127.0.0.1' }, true],
    [{ p2p_listen_addresses: '10.1.2.3', p2p_allow_private_ips: 'true' }, true],
    [{ p2p_listen_addresses: '127.0.0.1', p2p_allow_private_ips: 'false' }, false],
    [{ network: 'regtest' }, true],
  ] as const)('of DataHubs on message-bus, %j: allowed %s', (env, isAllowed) => {
    expect(allowsPrivateDataHubs(settingsOf({ network: 'mainnet', ...env }), 'message-bus')).toBe(isAllowed);
  });
});
