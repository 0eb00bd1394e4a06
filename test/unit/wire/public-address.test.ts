// Which hosts lead to the public internet, and which are one machine.
import { describe, expect, test } from 'vitest';
import { isPrivateHost, isPublicAddress, machineOf, plainHost } from '../../../src/wire/public-address.ts';

describe('public addresses', () => {
  test.each([
    '1.1.1.1',
    '11.22.33.44',
    '172.32.0.1',
    '192.169.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '2a01:4f8::1',
    '::ffff:8.8.8.8',
  ])('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
    expect(isPrivateHost(address)).toBe(false);
  });

  test.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:10.0.0.1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::a00:1',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:a00:1::',
    '3fff::1',
    '4000::1',
    '5f00::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fec0::1',
    'ff02::1',
  ])('%s is not a public address', (address) => {
    expect(isPublicAddress(address)).toBe(false);
    expect(isPrivateHost(address)).toBe(true);
  });

  test.each(['example.org', '', 'nothing', '1.2.3.4.5'])('%j is not an address', (text) => {
    expect(isPublicAddress(text)).toBe(false);
  });
});

test.each([
  ['hub.example.org', false],
  ['localhost', true],
  ['hub.localhost', true],
  ['printer', true],
  ['a.local', true],
  ['a.internal', true],
  ['a.home.arpa', true],
  ['localhost.example.org', false],
])('the name %s is private: %s', (host, isPrivate) => {
  expect(isPrivateHost(host)).toBe(isPrivate);
});

test.each([
  ['[2600::1]', '2600::1'],
  ['Hub.Example.ORG.', 'hub.example.org'],
  ['1.2.3.4', '1.2.3.4'],
  ['[::ffff:1.2.3.4]', '1.2.3.4'],
])('host %s is %s', (hostname, host) => {
  expect(plainHost(hostname)).toBe(host);
});

test.each([
  ['1.2.3.4', '1.2.3.4'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['2600:1:2:3::1', '2600:1:2:3::/64'],
  ['2600:1:2:3:ffff::9', '2600:1:2:3::/64'],
  ['hub.example.org', 'hub.example.org'],
])('%s belongs to the machine %s', (host, machine) => {
  expect(machineOf(host)).toBe(machine);
});
