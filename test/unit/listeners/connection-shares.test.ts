// Who gets a connection when there are many: shares per address, the reserve, and what is closed to make room.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import { AddressRanges } from '../../../src/adapters/listeners/client-address.ts';
import {
  ConnectionShares,
  type ConnectionSharesOptions,
  connectionKey,
} from '../../../src/adapters/listeners/connection-shares.ts';
import { RecordedMetrics } from '../../fakes/recorders.ts';

let ports = 1;

class FakeSocket extends EventEmitter {
  readonly remotePort = ports++;
  destroyed = false;
  readonly remoteAddress: string;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
}

function shared(options: Partial<ConnectionSharesOptions> = {}) {
  const metrics = new RecordedMetrics();
  const shares = new ConnectionShares(
    { metrics },
    { name: 'http', maxConnections: 6, maxPerAddress: 3, reserve: 2, ...options },
  );
  /** A connection; busy: with an open request. */
  const connect = (address: string, isBusy = false) => {
    const socket = new FakeSocket(address);
    const isAdmitted = shares.admit(socket as unknown as Socket);
    const key = connectionKey(socket);
    if (isBusy && isAdmitted) shares.begin(key);
    return { socket, key, isAdmitted };
  };
  const refused = (reason: string) => metrics.count('teranode_p2p_http_connections_refused_total', { reason });
  return { shares, metrics, connect, refused };
}

const ATTACKER = '192.0.2.1';
const OTHER = '198.51.100.1';

describe('an address with its share', () => {
  test('pays for a further connection with its oldest one that has no open request', () => {
    const { connect, refused } = shared();
    const [busy, quiet, newer] = [connect(ATTACKER, true), connect(ATTACKER), connect(ATTACKER)];
    const other = connect(OTHER);
    expect(connect(ATTACKER).isAdmitted).toBe(true);
    expect([busy, quiet, newer, other].map(({ socket }) => socket.destroyed)).toEqual([false, true, false, false]);
    expect(refused('quiet')).toBe(1);
  });

  test('all of whose connections have open requests gets no more, and others do', () => {
    const { connect, refused } = shared({ reserve: 0 });
    for (let i = 0; i < 3; i += 1) expect(connect(ATTACKER, true).isAdmitted).toBe(true);
    expect(connect(ATTACKER).isAdmitted).toBe(false);
    expect(refused('too_many_of_address')).toBe(1);
    expect(connect(OTHER).isAdmitted).toBe(true);
  });

  test('may have more when a request ended, or its range has no share', () => {
    const { shares, connect } = shared({ reserve: 0 });
    const { key } = connect(ATTACKER);
    const { ended } = shares.begin(key);
    for (let i = 0; i < 2; i += 1) connect(ATTACKER, true);
    expect(connect(ATTACKER).isAdmitted).toBe(false);
    ended();
    expect(connect(ATTACKER).isAdmitted).toBe(true);
    const trusted = shared({ reserve: 0, unlimited: [new AddressRanges(['192.0.2.0/24'])] });
    for (let i = 0; i < 6; i += 1) expect(trusted.connect(ATTACKER, true).isAdmitted).toBe(true);
  });

  test('is a /64 for IPv6', () => {
    const { connect } = shared({ reserve: 0 });
    for (let i = 1; i <= 3; i += 1) expect(connect(`2001:db8:0:1::${i}`, true).isAdmitted).toBe(true);
    expect(connect('2001:db8:0:1:ffff::1').isAdmitted).toBe(false);
    expect(connect('2001:db8:0:2::1').isAdmitted).toBe(true);
  });
});

test('a full listener makes room with a quiet connection of the address that has the most', () => {
  const { connect, refused } = shared({ reserve: 0 });
  const few = connect('192.0.2.9');
  const many = [connect(ATTACKER, true), connect(ATTACKER), connect(ATTACKER)];
  const some = [connect('192.0.2.7'), connect('192.0.2.7')];
  expect(connect(OTHER).isAdmitted).toBe(true);
  expect([few, ...many, ...some].map(({ socket }) => socket.destroyed)).toEqual([
    ...[false, false, true, false],
    ...[false, false],
  ]);
  expect(refused('quiet')).toBe(1);
});

describe('the reserve of a full listener', () => {
  const fill = (connect: ReturnType<typeof shared>['connect']) => {
    for (const address of ['192.0.2.1', '192.0.2.2']) for (let i = 0; i < 3; i += 1) connect(address, true);
  };

  test('is open to loopback for everything, to others restricted', () => {
    const { shares, connect } = shared();
    fill(connect);
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.2']) {
      const operator = connect(address);
      expect([operator.isAdmitted, shares.isRestricted(operator.key)]).toEqual([true, false]);
    }
    const probe = connect(OTHER);
    expect([probe.isAdmitted, shares.isRestricted(probe.key)]).toEqual([true, true]);
  });

  test('is restricted for loopback too when loopback has its share', () => {
    const { shares, connect } = shared();
    for (let i = 0; i < 3; i += 1) expect(shares.isRestricted(connect('127.0.0.1', true).key)).toBe(false);
    const further = connect('127.0.0.1');
    expect([further.isAdmitted, shares.isRestricted(further.key)]).toEqual([true, true]);
  });

  test('closes its own oldest quiet connection for a newer one', () => {
    const { connect, refused } = shared();
    fill(connect);
    const first = connect(OTHER);
    connect(OTHER);
    expect(connect('203.0.113.1').isAdmitted).toBe(true);
    expect(first.socket.destroyed).toBe(true);
    expect(refused('quiet')).toBe(1);
  });

  test('that is full closes connections of the address with most of them first, and none of loopback', () => {
    const { shares, connect } = shared({ reserve: 4 });
    fill(connect);
    const [operator, probe, first, second] = [
      connect('127.0.0.1'),
      connect(OTHER),
      connect(ATTACKER),
      connect(ATTACKER),
    ];
    const further = [connect(ATTACKER), connect(ATTACKER), connect(ATTACKER)];
    expect([operator, probe, first, second].map(({ socket }) => socket.destroyed)).toEqual([false, false, true, true]);
    expect(further.map(({ socket }) => socket.destroyed)).toEqual([true, false, false]);
    for (let i = 1; i <= 9; i += 1) connect(`203.0.113.${i}`);
    expect([operator.socket.destroyed, shares.isRestricted(operator.key)]).toEqual([false, false]);
    expect(connect('::1').isAdmitted).toBe(true);
  });

  test('refuses when all of it have open requests', () => {
    const { connect, refused } = shared();
    fill(connect);
    for (let i = 0; i < 2; i += 1) connect('127.0.0.1', true);
    expect(connect(OTHER).isAdmitted).toBe(false);
    expect(connect(ATTACKER).isAdmitted).toBe(false);
    expect([refused('too_many'), refused('too_many_of_address')]).toEqual([1, 1]);
  });
});

test('closes a connection that makes no request in time, sooner in the reserve, and forgets it', () => {
  vi.useFakeTimers();
  try {
    const { shares, connect, refused, metrics } = shared({ maxConnections: 2, firstRequestMs: 8000 });
    const [silent, asking] = [connect(ATTACKER), connect('192.0.2.9')];
    shares.begin(asking.key).ended();
    connect(OTHER);
    expect(metrics.gaugeValue('teranode_p2p_http_connections')).toBe(3);
    vi.advanceTimersByTime(2000);
    expect(refused('silent')).toBe(1);
    vi.advanceTimersByTime(6000);
    expect(refused('silent')).toBe(2);
    expect([silent.socket.destroyed, asking.socket.destroyed]).toEqual([true, false]);
    expect(metrics.gaugeValue('teranode_p2p_http_connections')).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
