// Who shares the slots of unfinished handshakes, and when a slot is free again.
import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import { MAX_PENDING_OF_ADDRESS, PendingInbound } from '../../../src/adapters/libp2p/connections/pending-inbound.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

function socket(host: string, port: number) {
  const events = new EventTarget();
  const remoteAddr = multiaddr(`/${host.includes(':') ? 'ip6' : 'ip4'}/${host}/tcp/${port}`);
  return Object.assign(events, { remoteAddr, close: () => events.dispatchEvent(new Event('close')) });
}

function setUp() {
  const metrics = new RecordedMetrics();
  const pending = new PendingInbound(metrics);
  const fill = (hosts: (i: number) => string) => {
    const sockets = Array.from({ length: MAX_PENDING_OF_ADDRESS }, (_each, i) => socket(hosts(i), 1000 + i));
    expect(sockets.map((each) => pending.take(each))).not.toContain(false);
    return sockets;
  };
  return { pending, fill, count: () => metrics.gaugeValue('teranode_p2p_pending_inbound_connections') };
}

test.each<[string, (i: number) => string, mine: string, others: string]>([
  ['an IPv4 address', () => '192.0.2.1', '192.0.2.1', '192.0.2.2'],
  ['an IPv4 address mapped to IPv6', () => '::ffff:192.0.2.1', '192.0.2.1', '::ffff:192.0.2.2'],
  ['a /64 of IPv6', (i) => `2001:db8:1:2::${i + 1}`, '2001:db8:1:2:ffff::1', '2001:db8:1:3::1'],
])('%s has its share of the slots and no more', (_what, hosts, mine, others) => {
  const { pending, fill } = setUp();
  fill(hosts);
  expect(pending.take(socket(mine, 1))).toBe(false);
  expect(pending.take(socket(others, 1))).toBe(true);
});

test('a slot is released once: when the handshake is over, or the socket is closed', () => {
  const { pending, fill, count } = setUp();
  const [first, second] = fill(() => '192.0.2.1');
  if (first === undefined || second === undefined) throw new Error('no sockets');
  pending.done({ remoteAddr: multiaddr(`${first.remoteAddr}/p2p/${peer(1)}`) });
  first.close();
  second.close();
  expect(count()).toBe(MAX_PENDING_OF_ADDRESS - 2);
  expect([1, 2, 3].map((port) => pending.take(socket('192.0.2.1', port)))).toEqual([true, true, false]);
});

test('relayed connections take no slot', () => {
  const { pending, count } = setUp();
  const remoteAddr = multiaddr(`/ip4/192.0.2.1/tcp/1/p2p/${peer(1)}/p2p-circuit`);
  const relayed = Object.assign(new EventTarget(), { remoteAddr });
  for (let i = 0; i <= MAX_PENDING_OF_ADDRESS; i += 1) expect(pending.take(relayed)).toBe(true);
  expect(count()).toBe(0);
});
