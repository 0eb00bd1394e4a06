// What the libp2p nodes of the two wires are made with.
import { expect, test } from 'vitest';
import type { Libp2pNodeOptions } from '../../../src/adapters/libp2p/node-options.ts';
import { createNetworks, type NodeDependencies, type NodeFacts } from '../../../src/app/create-networks.ts';
import type { P2PNode } from '../../../src/ports/p2p-node.ts';
import { loadText, MINIMAL_SETTINGS, PRIVATE_NETWORK } from '../../support/settings.ts';

/** The options of both nodes, that of message-bus first. */
function optionsOf(env: Readonly<Record<string, string>>): readonly Libp2pNodeOptions[] {
  const { settings } = loadText(MINIMAL_SETTINGS, { p2p_wire: 'both', ...PRIVATE_NETWORK, ...env });
  const facts = { version: '1.0.0', dataFolder: '/nowhere' } as NodeFacts;
  const seen: Libp2pNodeOptions[] = [];
  const node = (_deps: NodeDependencies, options: Libp2pNodeOptions) => {
    seen.push(options);
    return {} as P2PNode;
  };
  createNetworks(settings, {} as NodeDependencies, facts, { node });
  return seen;
}

const ADDRESSES = [
  'a.example',
  'a.example:9905',
  'a.example:4001',
  '2001:db8::9905',
  '[2001:db8::1]:9905',
  '/dns4/a.example/tcp/9905',
  '/ip6/2001:db8::1/tcp/9905',
  '/dns4/a.example/tcp/4001',
];

test('the go-p2p node advertises its own port where an address names the one of message-bus', () => {
  const [bus, goP2p] = optionsOf({ p2p_advertise_addresses: ADDRESSES.join(' | ') });
  expect([bus?.port, bus?.advertiseAddresses]).toEqual([9905, ADDRESSES]);
  expect([goP2p?.port, goP2p?.advertiseAddresses]).toEqual([
    9907,
    [
      'a.example',
      'a.example:9907',
      'a.example:4001',
      '2001:db8::9905',
      '[2001:db8::1]:9907',
      '/dns4/a.example/tcp/9907',
      '/ip6/2001:db8::1/tcp/9907',
      '/dns4/a.example/tcp/4001',
    ],
  ]);
});

test('the go-p2p node with port 0 advertises the port it bound where an address names the one of message-bus', () => {
  const [, goP2p] = optionsOf({ p2p_advertise_addresses: ADDRESSES.join(' | '), p2p_go_p2p_port: '0' });
  expect(goP2p?.advertiseAddresses).toEqual([
    'a.example',
    'a.example',
    'a.example:4001',
    '2001:db8::9905',
    '[2001:db8::1]',
    'a.example',
    '2001:db8::1',
    '/dns4/a.example/tcp/4001',
  ]);
});

test('a node that is alone advertises the addresses of the settings', () => {
  const [goP2p] = optionsOf({ p2p_wire: 'go-p2p', p2p_advertise_addresses: 'a.example:9905' });
  expect(goP2p?.advertiseAddresses).toEqual(['a.example:9905']);
});

test('both nodes verify with the chosen verifier, and by default with the fastest', () => {
  expect(optionsOf({ p2p_verifier: 'node:crypto' }).map(({ verifier }) => verifier)).toEqual([
    'node:crypto',
    'node:crypto',
  ]);
  expect(optionsOf({}).map(({ verifier }) => verifier)).toEqual(['auto', 'auto']);
});
