// Rows of a Go deployment as they may stand there.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { legacyBans } from '../../../src/bans/list/legacy-bans.ts';
import { peer } from '../../fakes/ban-parts.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const UNTIL_MS = Date.UTC(2026, 5, 1, 12, 0, 0);

const row = (key: string, expiration: string, subnet = '') => ({ key, subnet, expiration });
const read = (key: string, expiration = '2099-01-01T00:00:00Z', subnet = '') =>
  legacyBans([row(key, expiration, subnet)], NOW_MS);

describe('times', () => {
  test.each([
    ['2026-06-01T12:00:00Z', 0],
    ['2026-06-01T12:00:00.5Z', 500],
    ['2026-06-01T12:00:00.123456789Z', 123],
    ['2026-06-01T12:00:00.000001Z', 0],
    ['2026-06-01T14:00:00+02:00', 0],
    ['2026-06-01T06:30:00.25-05:30', 250],
    ['2026-06-01T12:00:00+00:00', 0],
    ['2026-06-01t12:00:00z', 0],
    ['2026-06-01 12:00:00+00:00', 0],
    ['2026-06-01 12:00:00.75 +0000 UTC', 750],
    ['2026-06-01 14:00:00 +0200 CEST m=+86400.000000001', 0],
  ])('reads %s', (text, ms) => {
    expect(read('192.0.2.1', text).bans).toMatchObject([{ untilMs: UNTIL_MS + ms }]);
  });

  test.each([
    '',
    '2099',
    '99',
    'never',
    'garbage 2099',
    '2099-01-01',
    '2099-01-01T00:00:00',
    '4102444800',
    '2099-13-01T00:00:00Z',
    '2099-01-01T25:00:00Z',
    '2099-01-01T00:00:00Z; DROP TABLE bans',
    'Sat, 01 Jan 2099 00:00:00 GMT',
    '２099-01-01T00:00:00Z',
  ])('counts a row with the time %j as unreadable', (text) => {
    expect(read('192.0.2.1', text)).toEqual({ bans: [], unreadable: 1 });
  });

  test('neither imports a ban that has ended nor counts it as unreadable', () => {
    for (const text of ['2025-12-31T23:59:59.999Z', '2026-01-01T00:00:00Z', '0001-01-01T00:00:00Z'])
      expect(read('192.0.2.1', text)).toEqual({ bans: [], unreadable: 0 });
    expect(read('192.0.2.1', '2026-01-01T00:00:00.001Z').bans).toHaveLength(1);
  });

  test('reads every time that Go writes, with any offset, to the millisecond', () => {
    const offset = fc.integer({ min: -14 * 60, max: 14 * 60 });
    fc.assert(
      fc.property(fc.integer({ min: NOW_MS + 1, max: Date.UTC(9998, 0, 1) }), offset, (ms, minutes) => {
        const local = new Date(ms + minutes * 60_000).toISOString().slice(0, -1);
        const abs = Math.abs(minutes);
        const zone = `${minutes < 0 ? '-' : '+'}${String(Math.floor(abs / 60)).padStart(2, '0')}:${String(abs % 60).padStart(2, '0')}`;
        expect(read('192.0.2.1', `${local}${zone}`).bans[0]?.untilMs).toBe(ms);
      }),
    );
  });
});

describe('keys', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1/32', '192.0.2.1', 'address'],
    ['192.0.2.77/24', '192.0.2.0/24', '192.0.2.0/24', 'subnet'],
    ['::ffff:192.0.2.1', '', '192.0.2.1', 'address'],
    ['2001:DB8:0:0::1', '', '2001:db8::1', 'address'],
    ['[2001:db8::1]:9905', '', '2001:db8::1', 'address'],
    ['192.0.2.1:9905', '', '192.0.2.1', 'address'],
    [peer(1), '', peer(1), 'peer'],
    ['no key at all', '192.0.2.77/24', '192.0.2.0/24', 'subnet'],
    ['', '2001:db8::/32', '2001:db8::/32', 'subnet'],
  ])('reads the key %j with the subnet %j as %s', (key, subnet, canonical, kind) => {
    expect(read(key, undefined, subnet).bans).toMatchObject([
      { key: canonical, kind, source: 'imported', createdAtMs: NOW_MS, causedBy: undefined },
    ]);
  });

  test.each(['', 'example.com', '192.0.2.0/33', 'x'.repeat(10_000)])(
    'counts a row with the key %j as unreadable',
    (key) => {
      expect(read(key)).toEqual({ bans: [], unreadable: 1 });
    },
  );

  test('uses the latest end of several spellings of one key, in any order', () => {
    const rows = [
      row('192.0.2.1', '2026-06-01T12:00:00Z'),
      row('::ffff:192.0.2.1', '2027-06-01T12:00:00Z'),
      row('192.0.2.1:80', '2025-06-01T12:00:00Z'),
      row('192.0.2.1/32', '2026-12-01T12:00:00Z'),
      row('192.0.2.2', '2026-06-01T12:00:00Z'),
    ];
    for (const each of [rows, rows.toReversed()]) {
      const { bans, unreadable } = legacyBans(each, NOW_MS);
      expect(unreadable).toBe(0);
      expect(bans.map(({ key, untilMs }) => [key, untilMs]).sort()).toEqual([
        ['192.0.2.1', Date.UTC(2027, 5, 1, 12)],
        ['192.0.2.2', UNTIL_MS],
      ]);
    }
  });

  test('keeps the original text as evidence, limited in length', () => {
    const long = `192.0.2.1${' '.repeat(100)}`;
    expect(read(long).bans[0]?.evidence).toBe(long);
    expect(read('x'.repeat(5000), undefined, '192.0.2.0/24').bans[0]?.evidence).toHaveLength(128);
  });
});
