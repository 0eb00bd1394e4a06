// Lookups in the ban list with 10 and with 110,000 entries, in one run, beside node:net's BlockList; memory of the
// list. Prints JSON.
import { BlockList } from 'node:net';
import { SqliteBanStore } from '../src/adapters/sql/sqlite-ban-store.ts';
import { BanService } from '../src/bans/service.ts';
import type { BanEntry } from '../src/domain/ban.ts';
import { systemClock } from '../src/ports/clock.ts';

const ROUNDS = 5;
const LOOKUPS = 2_000_000;
const SIZES = [10, 110_000];
const OPTIONS = {
  defaultDurationMs: 1,
  maxEntries: 1_000_000,
  threshold: 100,
  durationMs: 1,
  isWhitelisted: () => false,
  isShadow: () => false,
};
const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const metrics = { counter: () => ({ add() {} }), gauge() {}, gauges() {}, histogram: () => ({ observe() {} }) };

/** Addresses, subnets of eight lengths, IPv6 and peers, as a list grows in practice. */
function entries(count: number): BanEntry[] {
  const untilMs = Date.now() + 86_400_000;
  return Array.from({ length: count }, (_each, i) => {
    const octets = [10 + (i >> 18), (i >> 10) & 255, (i >> 2) & 255, (i & 3) * 64];
    const key =
      i % 10 === 8
        ? `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::/64`
        : i % 10 === 9
          ? `${octets[0]}.${octets[1]}.${octets[2]}.0/24`
          : octets.join('.');
    const kind = key.includes('/') ? ('subnet' as const) : ('address' as const);
    return { key, kind, untilMs, createdAtMs: 0, reason: '', evidence: '', source: 'operator', causedBy: undefined };
  });
}

function texts(): string[] {
  return Array.from({ length: 4096 }, (_each, i) =>
    i % 4 === 3
      ? `2001:db8:${(i % 3).toString(16)}:${i.toString(16)}::1`
      : `${i % 2 ? 10 : 203}.${i & 255}.${(i * 7) & 255}.${(i % 4) * 64}`,
  );
}

function memory(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

async function ours(count: number) {
  const before = memory();
  const store = new SqliteBanStore({ log }, { path: ':memory:' });
  // As at a start: loaded from the store, not added one by one.
  store.loadBans = async () => entries(count);
  const bans = new BanService({ store, log, metrics, clock: systemClock }, OPTIONS);
  await bans.start(new AbortController().signal);
  const memoryMiB = Math.round(((memory() - before) / 1024 / 1024) * 10) / 10;
  const result = { ...measure((text) => bans.refusesAddress(text)), memoryMiB };
  await bans.stop();
  return result;
}

function blockList(count: number) {
  const list = new BlockList();
  for (const { key } of entries(count)) {
    const [address = '', prefix] = key.split('/');
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return measure((text) => list.check(text, text.includes(':') ? 'ipv6' : 'ipv4'), count > 1000 ? 2000 : 100_000);
}

function measure(check: (text: string) => boolean, lookups = LOOKUPS) {
  const all = texts();
  let banned = 0;
  for (let i = 0; i < Math.min(lookups, 50_000); i += 1) if (check(all[i % all.length] ?? '')) banned += 1;
  // Others on the machine only make it slower.
  let best = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    banned = 0;
    const started = process.cpuUsage();
    for (let i = 0; i < lookups; i += 1) if (check(all[i % all.length] ?? '')) banned += 1;
    const { user, system } = process.cpuUsage(started);
    best = Math.max(best, (lookups / (user + system)) * 1e6);
  }
  return { lookups, bannedShare: banned / lookups, lookupsPerCpuSecond: Math.round(best) };
}

const results = [];
for (const size of SIZES) results.push({ entries: size, ours: await ours(size), nodeBlockList: blockList(size) });
process.stdout.write(`${JSON.stringify({ node: process.version, results }, null, 2)}\n`);
