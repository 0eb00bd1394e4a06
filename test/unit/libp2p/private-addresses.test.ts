// Which private addresses a node connects to that does not allow them.
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import { PrivateAddresses } from '../../../src/adapters/libp2p/connections/private-addresses.ts';

test('private addresses are refused, public ones are not', () => {
  const addresses = new PrivateAddresses([]);
  expect(addresses.refuses('10.0.0.1')).toBe(true);
  expect(addresses.refuses('::ffff:127.0.0.1')).toBe(true);
  expect(addresses.refuses('8.8.8.8')).toBe(false);
});

test('listed IPs are allowed in either form, on any port', () => {
  const addresses = new PrivateAddresses(['/ip4/10.0.0.1/tcp/9905', '/ip6/fd00::1/tcp/9905']);
  expect(addresses.refuses('::ffff:10.0.0.1')).toBe(false);
  expect(addresses.refuses('fd00:0::1')).toBe(false);
  expect(addresses.refuses('10.0.0.2')).toBe(true);
});

test('what a listed name resolves to is allowed, and what another name resolves to is not', () => {
  const addresses = new PrivateAddresses(['/dns4/hub.local/tcp/9905']);
  expect(addresses.refuses('10.0.0.1', 'other.local')).toBe(true);
  expect(addresses.refuses('10.0.0.1')).toBe(true);
  expect(addresses.refuses('10.0.0.1', 'hub.local')).toBe(false);
  expect(addresses.refuses('10.0.0.1')).toBe(false);
});

test('the IP of a listed relay is allowed', () => {
  const id = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
  const addresses = new PrivateAddresses([`/ip4/10.0.0.5/tcp/9905/p2p/${id}/p2p-circuit/p2p/${id}`]);
  expect(addresses.refuses('10.0.0.5')).toBe(false);
  expect(addresses.refuses('10.0.0.6')).toBe(true);
});

test('neither private addresses nor names that are never public are stored, but for those that are listed', () => {
  const addresses = new PrivateAddresses(['/ip4/10.0.0.1/tcp/9905', '/dns4/hub.local/tcp/9905']);
  const refused = (text: string) => addresses.refusesAddress(multiaddr(text));
  for (const host of ['/ip4/10.0.0.2', '/ip6/fd00::1', '/ip6/64:ff9b::10.0.0.2', '/dns4/localhost', '/dns/db.internal'])
    expect([host, refused(`${host}/tcp/1`)]).toEqual([host, true]);
  for (const host of ['/ip4/10.0.0.1', '/dns4/hub.local', '/ip4/8.8.8.8', '/dns4/node.example'])
    expect([host, refused(`${host}/tcp/1`)]).toEqual([host, false]);
});
