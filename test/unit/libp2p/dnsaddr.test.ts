// What TXT records of a listed name may say, and how much of it is read.
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { OperatorAddresses } from '../../../src/adapters/libp2p/connections/operator-addresses.ts';
import { dnsaddrResolver, isDnsaddr, resolveDnsaddr } from '../../../src/adapters/libp2p/discovery/dnsaddr.ts';
import { peer } from '../../fakes/ban-parts.ts';

const [A, B] = [peer(1), peer(2)];
const AT_A = `/ip4/192.0.2.1/tcp/9905/p2p/${A}`;
const AT_B = `/dns4/b.example/tcp/9905/p2p/${B}`;

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Resolves an address against these records, and counts the names that are asked for. */
function setUp(table: Readonly<Record<string, readonly (string | readonly string[])[]>>) {
  const asked: string[] = [];
  const resolveTxt = async (name: string) => {
    asked.push(name);
    const records = table[name];
    if (records === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return records.map((record) => (typeof record === 'string' ? [record] : record));
  };
  const resolve = (address: string) => resolveDnsaddr(multiaddr(address), resolveTxt, new AbortController().signal);
  return { resolve, resolveTxt, asked };
}

test('addresses with a peer ID are taken, whatever else the records hold', async () => {
  const { resolve, asked } = setUp({
    '_dnsaddr.boot.example': [
      `dnsaddr=${AT_A}`,
      ['dnsaddr=/dns4/b.exa', `mple/tcp/9905/p2p/${B}`],
      `dnsaddr=${AT_A}`,
      'dnsaddr=/ip4/192.0.2.3/tcp/9905',
      `dnsaddr=/ip4/192.0.2.3/udp/9905/p2p/${A}`,
      'dnsaddr=/ip4/192.0.2.3/tcp/9905/p2p/nobody',
      'dnsaddr=nonsense',
      AT_A,
      `dnsaddr=/dns4/${'x'.repeat(600)}/tcp/1/p2p/${A}`,
    ],
  });
  expect(await resolve('/dnsaddr/boot.example')).toEqual([AT_A, AT_B]);
  expect(asked).toEqual(['_dnsaddr.boot.example']);
});

test('an address with a peer ID stands for that peer only', async () => {
  const { resolve } = setUp({ '_dnsaddr.boot.example': [`dnsaddr=${AT_A}`, `dnsaddr=${AT_B}`] });
  expect(await resolve(`/dnsaddr/boot.example/p2p/${B}`)).toEqual([AT_B]);
});

test('names within the records are resolved once, and not beyond', async () => {
  const { resolve, asked } = setUp({
    '_dnsaddr.boot.example': ['dnsaddr=/dnsaddr/eu.example', 'dnsaddr=/dnsaddr/gone.example', `dnsaddr=${AT_A}`],
    '_dnsaddr.eu.example': [`dnsaddr=${AT_B}`, 'dnsaddr=/dnsaddr/boot.example'],
  });
  expect(await resolve('/dnsaddr/boot.example')).toEqual([AT_A, AT_B]);
  expect(asked).toEqual(['_dnsaddr.boot.example', '_dnsaddr.eu.example', '_dnsaddr.gone.example']);
});

test('the number of records, of nested names and of addresses is limited', async () => {
  const names = Array.from({ length: 100 }, (_each, i) => `dnsaddr=/dnsaddr/n${i}.example`);
  const addresses = Array.from({ length: 100 }, (_each, i) => `dnsaddr=/ip4/192.0.2.${i}/tcp/9905/p2p/${A}`);
  const nested = Object.fromEntries(names.map((_each, i) => [`_dnsaddr.n${i}.example`, addresses]));
  const { resolve, asked } = setUp({ '_dnsaddr.boot.example': names, ...nested });
  expect(await resolve('/dnsaddr/boot.example')).toHaveLength(64);
  expect(asked).toHaveLength(9);
});

test('a name that does not exist, and one whose lookup does not end, are errors', async () => {
  await expect(setUp({}).resolve('/dnsaddr/boot.example')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  const hanging = resolveDnsaddr(multiaddr('/dnsaddr/boot.example'), () => new Promise(() => {}), AbortSignal.abort());
  const outcome = expect(hanging).rejects.toThrow('no answer about _dnsaddr.boot.example within 5000 ms');
  await vi.advanceTimersByTimeAsync(5000);
  await outcome;
});

test('libp2p is given addresses, and only for names', async () => {
  const { resolveTxt } = setUp({ '_dnsaddr.boot.example': [`dnsaddr=${AT_A}`] });
  const operators = new OperatorAddresses();
  operators.add(multiaddr('/dnsaddr/boot.example'));
  const resolver = dnsaddrResolver(resolveTxt, operators);
  expect(resolver.canResolve(multiaddr(AT_A))).toBe(false);
  expect(isDnsaddr(multiaddr('/dnsaddr/boot.example'))).toBe(true);
  const resolve = async (address: string) =>
    (await resolver.resolve(multiaddr(address), {} as Parameters<typeof resolver.resolve>[1])).map(String);
  expect(await resolve('/dnsaddr/boot.example')).toEqual([AT_A]);
  expect(operators.has(multiaddr(AT_A))).toBe(true);
  // Not a name that a peer claims.
  expect(await resolve(`/dnsaddr/boot.example/p2p/${A}`)).toEqual([]);
});
