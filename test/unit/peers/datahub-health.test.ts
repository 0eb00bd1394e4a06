// Who is asked, how often, and what is held of it. The network is a fake; the clock is moved by hand.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { DataHubHealth, type DataHubHealthOptions } from '../../../src/peers/datahub/datahub-health.ts';
import { ALIVE, DEAD, FakeProber } from '../../fakes/datahub-prober.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const SECOND = 1000;
const INTERVAL = 30 * SECOND;
const MINUTE = 60 * SECOND;

function setUp(options: DataHubHealthOptions = {}, random = () => 0) {
  const clock = new FakeClock();
  const prober = new FakeProber(clock);
  const metrics = new RecordedMetrics();
  const health = new DataHubHealth({ prober, clock, log: recordingLogger(), metrics, random }, options);
  const claimed: string[] = [];
  health.watch(() => claimed);
  /** Looks each second for so long, as the loop does, or more rarely. */
  const pass = async (ms: number, stepMs = SECOND) => {
    for (let left = ms; left > 0; left -= stepMs) {
      health.round();
      await settled();
      clock.advance(stepMs);
    }
  };
  return { clock, prober, metrics, health, claimed, pass };
}

/** Lets everything run that waits for no time. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function gapsOf(times: readonly number[]): number[] {
  return times.slice(1).map((time, i) => time - (times[i] ?? 0));
}

function timesOf(prober: FakeProber, host: string): number[] {
  return prober.asked.filter((each) => each.host === host).map(({ atMs }) => atMs);
}

const hub = (i: number) => `http://hub${i}.example.org/api/v1`;

afterEach(() => {
  vi.useRealTimers();
});

describe('one DataHub request per host and interval', () => {
  test('sends one request for 10,000 URLs of one host with different paths and ports', async () => {
    const { prober, claimed, pass, metrics } = setUp({ maxHosts: 10_000 });
    for (let i = 0; i < 10_000; i += 1) claimed.push(`http://victim.example.org:${1 + i}/${i}`);
    await pass(3 * INTERVAL, 5 * SECOND);
    const times = timesOf(prober, 'victim.example.org');
    expect(times).toHaveLength(3);
    expect(Math.min(...gapsOf(times))).toBeGreaterThanOrEqual(INTERVAL);
    expect(metrics.gaugeValue('teranode_p2p_datahub_hosts')).toBe(1);
    expect(metrics.count('teranode_p2p_datahub_refused_total', { reason: 'full' })).toBeGreaterThan(0);
  });

  test('sends one request for URLs of one host that change every second', async () => {
    const { prober, claimed, pass } = setUp();
    for (let i = 0; i < 120; i += 1) {
      claimed.splice(0, 1, `http://victim.example.org/${i}`);
      await pass(SECOND);
    }
    expect(Math.min(...gapsOf(timesOf(prober, 'victim.example.org')))).toBeGreaterThanOrEqual(INTERVAL);
  });

  test.each([
    ['IPv4', () => ['11.22.33.44']],
    ['one network of IPv6', (i: number) => [`2600:1:2:3::${i.toString(16)}`]],
    ['one address in two forms', (i: number) => [i % 2 === 0 ? '11.22.33.44' : '::ffff:11.22.33.44']],
  ])('treats a thousand names of one machine (%s) as one machine', async (_name, addresses) => {
    const { prober, claimed, pass } = setUp();
    for (let i = 0; i < 1000; i += 1) {
      claimed.push(hub(i));
      prober.resolves(`hub${i}.example.org`, addresses(i + 1));
    }
    await pass(4 * INTERVAL, 5 * SECOND);
    const times = prober.asked.map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThanOrEqual(3);
    expect(Math.min(...gapsOf(times))).toBeGreaterThanOrEqual(INTERVAL);
  });

  test('checks names that share a machine in turn', async () => {
    const { prober, claimed, pass, health } = setUp();
    for (let i = 0; i < 3; i += 1) {
      claimed.push(hub(i));
      prober.resolves(`hub${i}.example.org`, ['11.1.1.1']);
    }
    await pass(4 * INTERVAL);
    expect(claimed.map((url) => health.state(url))).toEqual(['healthy', 'healthy', 'healthy']);
  });

  test('sends one request to a host that a thousand hosts redirect to, and uses its answer for all', async () => {
    const { prober, claimed, pass, health } = setUp();
    const victim = 'http://victim.example.org/api';
    claimed.push(victim);
    prober.set('victim.example.org', DEAD);
    for (let i = 0; i < 900; i += 1) {
      claimed.push(hub(i));
      prober.set(`hub${i}.example.org`, { redirectsTo: victim });
    }
    await pass(2 * INTERVAL, 5 * SECOND);
    expect(Math.min(...gapsOf(timesOf(prober, 'victim.example.org')))).toBeGreaterThanOrEqual(INTERVAL);
    expect(health.state(hub(5))).toBe('unhealthy');
  });

  test('draws no conclusion from a redirect to a host that was asked but is not known', async () => {
    const { prober, claimed, pass, health } = setUp();
    for (const i of [1, 2]) {
      claimed.push(hub(i));
      prober.set(`hub${i}.example.org`, { redirectsTo: 'http://elsewhere.example.org/' });
    }
    await pass(SECOND);
    expect([health.state(hub(1)), health.state(hub(2))]).toEqual(['healthy', 'unknown']);
  });

  test('takes a redirect within the host as an answer without a second request', async () => {
    const { prober, claimed, pass, health } = setUp();
    claimed.push(hub(1));
    prober.set('hub1.example.org', { redirectsTo: 'https://hub1.example.org/other' });
    await pass(SECOND);
    expect(prober.asked).toHaveLength(1);
    expect(health.state(hub(1))).toBe('healthy');
  });
});

describe('bounds of the DataHub checks', () => {
  test('runs a few checks at a time and keeps a slot for hosts that answer', async () => {
    const { prober, claimed, pass, clock } = setUp();
    claimed.push(hub(0));
    await pass(SECOND);
    for (let i = 1; i < 50; i += 1) {
      claimed.push(hub(i));
      prober.set(`hub${i}.example.org`, 'hangs');
    }
    clock.advance(INTERVAL);
    await pass(INTERVAL);
    expect(prober.peak).toBe(4);
    expect(timesOf(prober, 'hub0.example.org')).toHaveLength(2);
  });

  test('starts the next waiting host when a check ends', async () => {
    const { prober, claimed, pass } = setUp({ maxParallel: 2 });
    for (let i = 0; i < 6; i += 1) {
      claimed.push(hub(i));
      prober.set(`hub${i}.example.org`, 'hangs');
    }
    await pass(SECOND);
    expect(prober.asked.map(({ host }) => host)).toEqual(['hub0.example.org']);
    prober.release();
    await settled();
    expect(prober.asked.map(({ host }) => host)).toEqual(['hub0.example.org', 'hub1.example.org']);
  });

  test('bounds hosts and requests per interval, whatever peers claim', async () => {
    const { prober, claimed, pass, metrics } = setUp({ maxHosts: 20 });
    for (let round = 0; round < 30; round += 1) {
      claimed.splice(0);
      for (let i = 0; i < 50; i += 1) claimed.push(hub(round * 50 + i));
      await pass(SECOND);
      expect(metrics.gaugeValue('teranode_p2p_datahub_hosts')).toBeLessThanOrEqual(20);
    }
    expect(prober.asked.length).toBeLessThanOrEqual(metrics.gaugeValue('teranode_p2p_datahub_charged_bound'));
    expect(metrics.gaugeValue('teranode_p2p_datahub_charged')).toBeLessThanOrEqual(60);
  });

  test('does not check a text that is not a URL', async () => {
    const { prober, claimed, pass, metrics } = setUp();
    claimed.push(
      '',
      'nothing',
      'file:///etc/passwd',
      'ftp://a.example.org',
      `http://a.example.org/${'x'.repeat(3000)}`,
    );
    await pass(SECOND);
    expect(prober.visits).toEqual([]);
    expect(metrics.count('teranode_p2p_datahub_refused_total', { reason: 'form' })).toBe(5);
  });
});

describe('states of a DataHub', () => {
  test('is unknown, healthy or unhealthy, and changes at the next check', async () => {
    const { prober, claimed, pass, health, metrics } = setUp();
    claimed.push(hub(1), hub(2));
    prober.set('hub2.example.org', DEAD);
    expect(health.state(hub(1))).toBe('unknown');
    await pass(SECOND);
    expect([health.state(hub(1)), health.state(hub(2))]).toEqual(['healthy', 'unhealthy']);
    prober.set('hub1.example.org', DEAD);
    await pass(INTERVAL);
    expect(health.state(hub(1))).toBe('unhealthy');
    expect(metrics.count('teranode_p2p_datahub_checks_total', { outcome: 'dead', reason: 'status' })).toBe(3);
    expect(metrics.gaugeValue('teranode_p2p_datahub_urls')).toBe(2);
  });

  test('backs off from a failing host from 30 s up to 10 minutes, and returns to normal once it answers', async () => {
    const { prober, claimed, pass } = setUp();
    claimed.push(hub(1));
    prober.set('hub1.example.org', DEAD);
    await pass(40 * MINUTE);
    const seconds = gapsOf(timesOf(prober, 'hub1.example.org')).map((ms) => ms / SECOND);
    expect(seconds).toEqual([30, 60, 120, 240, 480, 600, 600]);
    prober.set('hub1.example.org', ALIVE);
    await pass(12 * MINUTE);
    expect(gapsOf(timesOf(prober, 'hub1.example.org')).at(-1)).toBe(INTERVAL);
  });

  test('stays unhealthy through the longest back-off', async () => {
    const { prober, claimed, pass, health } = setUp();
    claimed.push(hub(1));
    prober.set('hub1.example.org', DEAD);
    for (let i = 0; i < 40; i += 1) {
      await pass(MINUTE);
      expect(health.state(hub(1))).toBe('unhealthy');
    }
  });

  test('does not check a URL that nobody claims any more, and expires its healthy state', async () => {
    const { claimed, prober, pass, health, metrics } = setUp();
    claimed.push(hub(1));
    await pass(SECOND);
    claimed.splice(0);
    await pass(4 * MINUTE);
    expect(health.state(hub(1))).toBe('healthy');
    await pass(MINUTE);
    expect(health.state(hub(1))).toBe('unknown');
    expect(prober.asked).toHaveLength(1);
    await pass(6 * MINUTE);
    expect(metrics.gaugeValue('teranode_p2p_datahub_hosts')).toBe(0);
  });

  test('is not misled or delayed by invented paths of a host', async () => {
    const { claimed, prober, pass, health } = setUp();
    const real = 'http://hub.example.org/api/v1';
    claimed.push(real);
    await pass(SECOND);
    for (let i = 0; i < 100; i += 1) {
      claimed.push(`http://hub.example.org/${i}`);
      prober.set(`http://hub.example.org/${i}`, DEAD);
    }
    for (let i = 0; i < 20; i += 1) {
      await pass(MINUTE);
      expect(health.state(real)).toBe('healthy');
    }
  });

  test('checks a real path that comes after invented ones, at its host’s back-off', async () => {
    const { claimed, prober, pass, health } = setUp();
    for (let i = 0; i < 8; i += 1) {
      claimed.push(`http://hub.example.org/${i}`);
      prober.set(`http://hub.example.org/${i}`, DEAD);
    }
    const real = 'http://hub.example.org/api/v1';
    claimed.push(real);
    await pass(60 * MINUTE);
    expect(health.state(real)).toBe('healthy');
  });

  test('adds jitter that only lengthens the interval', async () => {
    const { claimed, prober, pass } = setUp({}, () => 0.5);
    claimed.push(hub(1));
    await pass(2 * MINUTE);
    expect(gapsOf(timesOf(prober, 'hub1.example.org'))).toEqual([32_000, 32_000, 32_000]);
  });
});

describe('start and stop of the DataHub checks', () => {
  test('runs a round every second; a prober that throws counts as a failed check', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { health, prober, claimed, clock } = setUp();
    vi.spyOn(prober, 'probe').mockRejectedValueOnce(new Error('broken'));
    claimed.push(hub(1));
    health.start();
    health.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(health.state(hub(1))).toBe('unhealthy');
    clock.advance(INTERVAL);
    await vi.advanceTimersByTimeAsync(SECOND);
    expect(health.state(hub(1))).toBe('healthy');
    await health.stop();
  });

  test('aborts running checks on stop, which may be called twice, and starts none afterwards', async () => {
    const { health, prober, claimed, pass, metrics } = setUp();
    claimed.push(hub(1));
    prober.set('hub1.example.org', 'hangs');
    await pass(SECOND);
    await Promise.all([health.stop(), health.stop()]);
    expect(metrics.gaugeValue('teranode_p2p_datahub_checks_running')).toBe(0);
    claimed.push(hub(2));
    await pass(INTERVAL);
    health.start();
    expect(prober.asked).toHaveLength(1);
    expect(health.state(hub(1))).toBe('unknown');
  });

  test('stops in time when a prober ignores its deadline', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { health, prober, claimed } = setUp();
    vi.spyOn(prober, 'probe').mockReturnValue(new Promise(() => {}));
    claimed.push(hub(1));
    health.round();
    const stopped = health.stop();
    await vi.advanceTimersByTimeAsync(SECOND);
    await stopped;
  });
});
