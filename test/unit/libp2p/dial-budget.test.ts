import type { Connection, DialTransportOptions } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Dial, DialBudget, PER_MACHINE, PER_PORT } from '../../../src/adapters/libp2p/connections/dial-budget.ts';
import { OperatorAddresses } from '../../../src/adapters/libp2p/connections/operator-addresses.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

const MINUTE_MS = 60_000;
const REFUSED = { code: 'EDIALREFUSED' };

let nowMs: number;
let metrics: RecordedMetrics;
let operators: OperatorAddresses;
let budget: DialBudget;

beforeEach(() => {
  nowMs = 0;
  metrics = new RecordedMetrics();
  operators = new OperatorAddresses();
  budget = new DialBudget({ metrics, nowMs: () => nowMs, isExempt: (address) => operators.has(address) });
});

const connects: Dial = async () => ({}) as Connection;
const fails: Dial = async () => {
  throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
};
const options = (signal = new AbortController().signal) => ({ signal }) as DialTransportOptions;
const dial = (address: string, outcome: Dial = connects, signal?: AbortSignal) =>
  budget.limited(outcome)(multiaddr(address), options(signal));
const refusals = (reason: string) => metrics.count('teranode_p2p_dials_refused_total', { reason });

/** How many of the dials were made, the n-th to `at(n)`. */
async function made(count: number, at: (n: number) => string, outcome: Dial = connects): Promise<number> {
  let dials = 0;
  const counting: Dial = (address, how) => {
    dials += 1;
    return outcome(address, how);
  };
  for (let n = 0; n < count; n += 1) await dial(at(n), counting).catch(() => undefined);
  return dials;
}

describe('dials are limited', () => {
  test.each([
    ['of an IP and port, whatever peer they look for', (n: number) => `/ip4/192.0.2.1/tcp/9905/p2p/${peer(n)}`],
    ['of a port within a /64', (n: number) => `/ip6/2001:db8::${n + 1}/tcp/9905`],
    ['of a port below one domain', (n: number) => `/dns4/n${n}.example.org/tcp/9905`],
  ])('%s', async (_what, at) => {
    expect(await made(50, at)).toBe(PER_PORT.rate.burst);
    expect(refusals('port_rate')).toBe(50 - PER_PORT.rate.burst);
    nowMs += MINUTE_MS;
    expect(await made(50, (n) => at(n + 50))).toBe(PER_PORT.rate.perSecond * 60);
    expect(await made(1, () => '/ip4/198.51.100.1/tcp/9905')).toBe(1);
  });

  test.each([
    ['an IPv4 address', (n: number) => `/ip4/192.0.2.1/tcp/${n + 1}`],
    ['this machine', (n: number) => `/ip4/127.0.0.1/tcp/${n + 1}`],
    [
      'an IPv4 address in three forms',
      (n: number) => `/ip6/${['::ffff:102:304', '64:ff9b::102:304', '2002:102:304::1'][n % 3]}/tcp/${n + 1}`,
    ],
    ['a /64', (n: number) => `/ip6/2001:db8::${n + 1}/tcp/${n + 1}`],
    ['a relay', (n: number) => `/ip4/192.0.2.1/tcp/${n + 1}/p2p/${peer(1)}/p2p-circuit/p2p/${peer(2)}`],
  ])('of all ports of %s', async (_what, at) => {
    expect(await made(200, at)).toBe(PER_MACHINE.rate.burst);
    expect(refusals('machine_rate')).toBe(200 - PER_MACHINE.rate.burst);
  });

  test('by a cool-down of a port after failures, which doubles and ends with a success', async () => {
    const at = () => '/ip4/192.0.2.1/tcp/9905';
    expect(await made(20, at, fails)).toBe(PER_PORT.freeFailures);
    nowMs += 5000;
    expect(await made(20, at, fails)).toBe(1);
    nowMs += 9999;
    expect(await made(20, at, fails)).toBe(0);
    nowMs += 1;
    expect(await made(1, at)).toBe(1);
    expect(await made(PER_PORT.freeFailures - 1, at, fails)).toBe(PER_PORT.freeFailures - 1);
    expect(await made(1, at)).toBe(1);
  });

  test('by a cool-down of a machine where all ports fail', async () => {
    expect(await made(50, (n) => `/ip4/192.0.2.1/tcp/${n + 1}`, fails)).toBe(PER_MACHINE.freeFailures);
    expect(refusals('machine_cool_down')).toBe(50 - PER_MACHINE.freeFailures);
  });

  test('but not by dials that their caller gave up at once', async () => {
    const at = '/ip4/192.0.2.1/tcp/9905';
    for (let n = 0; n < PER_PORT.freeFailures; n += 1)
      await expect(dial(at, fails, AbortSignal.abort())).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(dial(at)).resolves.toBeDefined();
  });
});

describe('what others say about a machine does not keep this node from a peer that it reached there', () => {
  const known = `/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}`;
  const lies = [
    ['at dead ports', (n: number) => `/ip4/192.0.2.1/tcp/${n + 1}/p2p/${peer(n + 2)}`],
    ['at its own port', (n: number) => `/ip4/192.0.2.1/tcp/9905/p2p/${peer(n + 2)}`],
  ] as const;

  test.each(lies)('invented peers %s', async (_where, at) => {
    await dial(known);
    await made(200, at, fails);
    expect(await made(1, at)).toBe(0);
    expect(await made(1, () => known)).toBe(1);
  });

  test('and its own address has limits too', async () => {
    await dial(known);
    expect(await made(50, () => known)).toBe(PER_PORT.rate.burst);
    nowMs += MINUTE_MS;
    expect(await made(50, () => known, fails)).toBe(PER_PORT.freeFailures);
  });
});

test('dials that fail side by side begin one cool-down, the shortest', async () => {
  const { promise, reject } = Promise.withResolvers<Connection>();
  const dials = Array.from({ length: 30 }, (_, n) => dial(`/ip4/192.0.2.1/tcp/${n + 1}`, () => promise));
  nowMs += 1000;
  reject(new Error('refused'));
  await Promise.allSettled(dials);
  nowMs += 5000;
  expect(await made(1, () => '/ip4/192.0.2.1/tcp/100')).toBe(1);
});

test('the operator’s own address is exempt, other peer IDs at the same machine are not', () => {
  operators.add(multiaddr(`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}`));
  expect(budget.isExempt(multiaddr(`/ip4/192.0.2.1/tcp/9905/p2p/${peer(1)}`))).toBe(true);
  expect(budget.isExempt(multiaddr(`/ip4/192.0.2.1/tcp/9905/p2p/${peer(2)}`))).toBe(false);
  expect(budget.isExempt(multiaddr('/ip4/192.0.2.1/tcp/9905'))).toBe(false);
});

test('the tables are bounded', async () => {
  for (let n = 0; n < PER_PORT.max + 10; n += 1)
    await dial(`/ip4/10.0.${n >> 8}.${n & 255}/tcp/1`).catch((error) => expect(error).toMatchObject(REFUSED));
  expect(metrics.gaugeValue('teranode_p2p_dial_budgets', { kind: 'machine' })).toBe(PER_MACHINE.max);
  expect(metrics.gaugeValue('teranode_p2p_dial_budgets', { kind: 'port' })).toBe(PER_PORT.max);
});
