// Retries that never give up, and leave out what cannot work. Time is moved by hand; the loop's own tick is short.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Dialer, type DialOutcome, type DialTarget, LAST_BACKOFF_MS } from '../../../src/adapters/libp2p/dialer.ts';
import type { PeerId } from '../../../src/wire/ids.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const PEER = 'p' as PeerId;

function setUp(outcomes: () => DialOutcome, optimiseRetries = true) {
  const connected = new Set<PeerId>();
  const dialled: { address: string; atMs: number }[] = [];
  const dialer = new Dialer(
    {
      log: recordingLogger(),
      dials: new RecordedMetrics().counter('dials'),
      nowMs: () => Date.now(),
      random: () => 0.5,
      isConnected: (peerId) => connected.has(peerId),
      connectedCount: () => connected.size,
      dial: async ({ address }) => {
        dialled.push({ address, atMs: Date.now() });
        const outcome = outcomes();
        if (outcome === 'connected') connected.add(PEER);
        return outcome === 'connected' ? { outcome, peerId: PEER } : { outcome };
      },
    },
    { optimiseRetries },
  );
  return { dialer, dialled, connected };
}

const target = (keep: DialTarget['keep'], peerId: PeerId | undefined = PEER): DialTarget => ({
  address: '/ip4/1.2.3.4/tcp/1',
  peerId,
  keep,
});

describe('dialer', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('backs off to a limit and never gives up', async () => {
    const { dialer, dialled } = setUp(() => 'failed');
    dialer.add([target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(30 * 60_000);
    dialer.stop();
    const gaps = dialled.slice(1).map(({ atMs }, i) => atMs - (dialled[i]?.atMs ?? 0));
    expect(gaps[0]).toBeLessThan(1000);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(LAST_BACKOFF_MS + 1000);
    expect(dialled.length).toBeGreaterThan(50);
  });

  test('a static peer that is lost is dialled again at once, though it failed often before', async () => {
    let works = false;
    const { dialer, dialled, connected } = setUp(() => (works ? 'connected' : 'failed'));
    dialer.add([target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(120_000);
    works = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(connected.has(PEER)).toBe(true);
    const before = dialled.length;
    connected.delete(PEER);
    dialer.peerLost(PEER);
    await vi.advanceTimersByTimeAsync(2000);
    expect(dialled.length).toBe(before + 1);
    dialer.stop();
  });

  test('what cannot work is left out until something changes, unless retries are not optimised', async () => {
    for (const [optimise, expected] of [
      [true, 1],
      [false, 5],
    ] as const) {
      const { dialer, dialled } = setUp(() => 'hopeless', optimise);
      dialer.add([target('always')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(dialled.length >= expected && (optimise ? dialled.length === 1 : true)).toBe(true);
      const before = dialled.length;
      dialer.networkChanged();
      await vi.advanceTimersByTimeAsync(LAST_BACKOFF_MS + 1000);
      expect(dialled.length).toBeGreaterThan(before);
      dialer.stop();
    }
  });

  test('a cached peer is dialled until it has been reached once', async () => {
    const { dialer, dialled, connected } = setUp(() => 'connected');
    dialer.add([target('until_connected')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(1000);
    connected.clear();
    dialer.peerLost(PEER);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled).toHaveLength(1);
    dialer.stop();
  });

  test('a bootstrap address that is not persistent is used again only when nobody is left', async () => {
    const { dialer, dialled, connected } = setUp(() => 'connected');
    dialer.add([target('when_alone')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(1000);
    connected.delete(PEER);
    connected.add('other' as PeerId);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled).toHaveLength(1);
    connected.clear();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled).toHaveLength(2);
    dialer.stop();
  });

  test('targets are bounded, and the same address counts once', async () => {
    const { dialer, dialled } = setUp(() => 'failed');
    dialer.add(
      Array.from({ length: 5000 }, (_each, i) => ({
        address: `/ip4/1.2.3.4/tcp/${i + 1}`,
        peerId: undefined,
        keep: 'until_connected' as const,
      })),
    );
    dialer.add([{ address: '/ip4/1.2.3.4/tcp/1', peerId: undefined, keep: 'always' }]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(100);
    expect(new Set(dialled.map(({ address }) => address)).size).toBe(1000);
    dialer.stop();
  });
});
