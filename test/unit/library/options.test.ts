import { expect, test } from 'vitest';
import { endpoints } from '../../../src/library/endpoints.ts';
import { headers } from '../../../src/library/headers.ts';
import { listen } from '../../../src/library/listener.ts';
import { listenSettings, queueBounds, silenceBounds } from '../../../src/library/options.ts';
import { PSK } from '../../support/network.ts';

test('without options a listener of mainnet speaks message-bus and finds the network by its published name', () => {
  const settings = listenSettings('mainnet', {});
  expect(settings).toMatchObject({ network: 'mainnet', p2p_wire: 'message-bus', listen_mode: 'silent' });
  expect(settings.p2p_bootstrap_peers).toBeUndefined();
});

test.each([
  ['regtest', {}, 'bootstrapPeers is required on regtest'],
  ['mainnet', { wire: 'go-p2p', sharedKey: PSK }, 'bootstrapPeers is required on go-p2p'],
  ['mainnet', { wire: 'go-p2p', sharedKey: 'secret' }, 'sharedKey = ******** (expected 64 hex digits)'],
  ['mainnet', { bootstrapPeers: ['10.0.0.1:9905'] }, 'bootstrapPeers = 10.0.0.1:9905'],
  ['mainnet', { port: 70_000 }, 'port = 70000'],
  ['nonet', {}, 'network = nonet (expected mainnet'],
] as const)('options that cannot work are refused by their own names: %s %j', (network, options, message) => {
  expect(() => listenSettings(network as 'mainnet', options)).toThrow(message);
});

test('bounds out of range are refused', () => {
  expect(() => queueBounds({ maxQueuedEvents: 0 })).toThrow('invalid maxQueuedEvents = 0');
  expect(() => queueBounds({ maxQueuedBytes: Number.NaN })).toThrow('invalid maxQueuedBytes = NaN');
  expect(() => silenceBounds({ silentAfterMs: { block: 1 } })).toThrow('invalid silentAfterMs = 1');
  expect([...silenceBounds({ silentAfterMs: 60_000 })]).toEqual([['all', 60_000]]);
});

test.each([
  ['a header of another length', { anchor: { header: new Uint8Array(3), height: 1 } }, 'invalid anchor'],
  ['no header', { anchor: 'begin' }, 'invalid anchor'],
  ['a height below zero', { anchor: { header: new Uint8Array(80), height: -1 } }, 'invalid height of the anchor = -1'],
  ['part of a height', { anchor: { header: new Uint8Array(80), height: 1.5 } }, 'invalid height of the anchor = 1.5'],
  ['too deep', { depth: 2001 }, 'invalid depth = 2001'],
  ['too few headers', { maxHeaders: 99 }, 'invalid maxHeaders = 99'],
])('a chain that cannot begin is refused at the call, by headers() and by listen(): %s', (_what, chain, message) => {
  const refusal = expect.objectContaining({ code: 'SETTINGS_INVALID', message: expect.stringContaining(message) });
  expect(() => headers('mainnet', chain as object)).toThrow(refusal);
  expect(() => listen('mainnet', { chain: chain as object })).toThrow(refusal);
});

test('a time between checks that is none, and a silence of an unknown topic, are refused at the call', () => {
  expect(() => endpoints('mainnet', { recheckMs: Number.NaN })).toThrow('invalid recheckMs = NaN');
  expect(() => endpoints('mainnet', { recheckMs: 1000 })).toThrow('invalid recheckMs = 1000');
  const silentAfterMs = { blok: 60_000 } as object;
  expect(() => silenceBounds({ silentAfterMs })).toThrow('invalid topic blok of silentAfterMs (expected some of block');
});

test('no variable of the environment reaches the settings of a listener', () => {
  process.env.p2p_author_rate = '7';
  try {
    expect(listenSettings('mainnet', {}).p2p_author_rate).toBe(500);
  } finally {
    delete process.env.p2p_author_rate;
  }
});
