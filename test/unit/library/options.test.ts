import { expect, test } from 'vitest';
import { P2PError } from '../../../src/lib/errors.ts';
import { endpoints } from '../../../src/library/endpoints.ts';
import { headers } from '../../../src/library/headers.ts';
import { listen } from '../../../src/library/listener.ts';
import { listenSettings, queueBounds, type SETTINGS_OF_OPTION, silenceBounds } from '../../../src/library/options.ts';
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

test('an older Node.js, which lacks Promise.withResolvers, is refused at the call by the version that is needed', () => {
  const { withResolvers } = Promise;
  try {
    Object.assign(Promise, { withResolvers: undefined });
    expect(() => listenSettings('mainnet', {})).toThrow('needs Node.js 22.22 or newer');
  } finally {
    Object.assign(Promise, { withResolvers });
  }
});

const WRONG = {
  network: ['nonet', ''],
  bootstrapPeers: [['10.0.0.1:9905'], [''], 'none', [7]],
  wire: ['both', 'udp', ''],
  sharedKey: ['secret', '', ' ', null, 7],
  allowPrivateIps: ['perhaps', 7],
  topicPrefix: ['two words', '', 7],
  privateKey: ['x', '', '00'.repeat(64), null],
  listenAddresses: [['localhost'], '127.0.0.1', ['']],
  port: [70_000, -1, 1.5, 'http', Number.NaN],
  maxPeers: [0, -1, Number.NaN, 'many', 1e9],
} as const satisfies Readonly<Record<keyof typeof SETTINGS_OF_OPTION, readonly unknown[]>>;

test.each(Object.entries(WRONG).flatMap(([name, values]) => values.map((value) => [name, value] as const)))(
  'a wrong value of %s is refused at the call by the name of the option, once: %j',
  (name, value) => {
    const { network = 'regtest', ...options } = { bootstrapPeers: [], [name]: value } as { network?: string };
    const message = (run: () => unknown) => {
      try {
        run();
      } catch (error) {
        if (error instanceof P2PError && error.code === 'SETTINGS_INVALID') return error.message;
        throw error;
      }
      throw new Error('nothing was refused');
    };
    for (const open of [listen, headers, endpoints]) {
      const text = message(() => open(network as 'regtest', options as object));
      expect(text.match(new RegExp(`\\b${name} = `, 'g'))).toHaveLength(1);
      expect(text).not.toMatch(/\w_\w|chainCfgParams/);
    }
  },
);

test('a secret option is not shown in the error about it', () => {
  for (const name of ['sharedKey', 'privateKey'])
    expect(() => listenSettings('mainnet', { [name]: 'hunter2' })).toThrow(/^(?!.*hunter2)/);
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

test('an invalid recheck interval and a silence bound for an unknown topic are refused at the call', () => {
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
