// Retries that never give up, and that skip dials that cannot work. Time is moved by hand; the dialer's own tick is
// short.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  Dialer,
  type DialOutcome,
  type DialTarget,
  LAST_BACKOFF_MS,
  PARALLEL_DIALS,
  SETTLED_MS,
} from '../../../src/adapters/libp2p/discovery/dialer.ts';
import type { DialRhythm } from '../../../src/adapters/libp2p/node-options.ts';
import type { PeerId } from '../../../src/domain/ids.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

const PEER = 'p' as PeerId;

/** `takesMs`: how long a dial of an address is under way. */
function setUp(
  outcomes: () => DialOutcome,
  optimiseRetries = true,
  takesMs: (address: string) => number = () => 0,
  rhythm?: DialRhythm,
) {
  const connected = new Set<PeerId>();
  const dialled: { address: string; atMs: number }[] = [];
  const underWay = new Set<string>();
  const log = recordingLogger();
  const room = { count: Number.POSITIVE_INFINITY };
  let mostUnderWay = 0;
  const dialer = new Dialer(
    {
      log,
      dials: new RecordedMetrics().counter('dials'),
      nowMs: () => Date.now(),
      random: () => 0.5,
      isConnected: (peerId) => connected.has(peerId),
      connectedCount: () => connected.size,
      room: () => room.count,
      dial: async ({ address }) => {
        dialled.push({ address, atMs: Date.now() });
        underWay.add(address);
        mostUnderWay = Math.max(mostUnderWay, underWay.size);
        const ms = takesMs(address);
        if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
        underWay.delete(address);
        const outcome = outcomes();
        if (outcome === 'connected') connect();
        return outcome === 'connected' ? { outcome, peerId: PEER } : { outcome };
      },
    },
    { optimiseRetries, rhythm },
  );
  /** The peer gets a connection, whichever side dialled. */
  function connect(): void {
    connected.add(PEER);
    dialer.peerConnected(PEER);
  }
  function disconnect(): void {
    connected.delete(PEER);
    dialer.peerDisconnected(PEER);
    dialer.networkChanged();
  }
  return { dialer, dialled, connected, log, connect, disconnect, room, mostUnderWay: () => mostUnderWay };
}

function gapsOf(dialled: readonly { atMs: number }[]): number[] {
  return dialled.slice(1).map(({ atMs }, i) => atMs - (dialled[i]?.atMs ?? 0));
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
    const gaps = gapsOf(dialled);
    expect(gaps[0]).toBeLessThan(1000);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(LAST_BACKOFF_MS + 1000);
    expect(dialled.length).toBeGreaterThan(50);
  });

  test('a static peer that disconnects is dialled again at once, although it failed often before', async () => {
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
    dialer.peerDisconnected(PEER);
    await vi.advanceTimersByTimeAsync(2000);
    expect(dialled.length).toBe(before + 1);
    dialer.stop();
  });

  describe('with a rhythm', () => {
    const RHYTHM = { fastMs: 5000, fastForMs: 120_000, slowMs: 30_000 };
    const setUpWithRhythm = (outcomes: () => DialOutcome) => setUp(outcomes, true, () => 0, RHYTHM);

    test('a listed peer is dialed every 5 s for 2 minutes, then every 30 s', async () => {
      const { dialer, dialled } = setUpWithRhythm(() => 'failed');
      dialer.add([target('always')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(10 * 60_000);
      dialer.stop();
      const gaps = gapsOf(dialled);
      expect(gaps.slice(0, 24)).toEqual(Array(24).fill(5000));
      expect(new Set(gaps.slice(24))).toEqual(new Set([30_000]));
    });

    test('a peer that was lost is dialed soon, and then fast again', async () => {
      let works = true;
      const { dialer, dialled, disconnect } = setUpWithRhythm(() => (works ? 'connected' : 'failed'));
      dialer.add([target('always')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(10 * 60_000);
      works = false;
      disconnect();
      await vi.advanceTimersByTimeAsync(12_000);
      dialer.stop();
      expect(gapsOf(dialled.slice(1))).toEqual([5000, 5000]);
    });

    test('a peer that closes each connection at once is not dialed fast for ever', async () => {
      const { dialer, dialled, disconnect } = setUpWithRhythm(() => {
        setTimeout(disconnect, 10);
        return 'connected';
      });
      dialer.add([target('always')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(10 * 60_000);
      dialer.stop();
      expect(gapsOf(dialled).at(-1)).toBeGreaterThanOrEqual(30_000);
    });
  });

  describe('peers of a listed name', () => {
    const at = (address: string): DialTarget => ({ address, peerId: undefined, keep: 'always' });

    test('are dialed until the name resolves to others', async () => {
      const { dialer, dialled } = setUp(() => 'failed');
      dialer.start();
      dialer.add([at('listed')]);
      dialer.replaceGroup('name', [at('a'), at('b'), at('listed')]);
      await vi.advanceTimersByTimeAsync(1000);
      dialer.replaceGroup('name', [at('b'), at('c')]);
      dialled.length = 0;
      await vi.advanceTimersByTimeAsync(60_000);
      dialer.stop();
      expect(new Set(dialled.map(({ address }) => address))).toEqual(new Set(['listed', 'b', 'c']));
    });

    test('have failed when each was dialed in vain and none is connected', async () => {
      let outcome: DialOutcome = 'failed';
      const { dialer, disconnect } = setUp(() => outcome);
      expect(dialer.hasGroupFailed('name')).toBe(true);
      dialer.replaceGroup('name', [at('a'), at('b')]);
      expect(dialer.hasGroupFailed('name')).toBe(false);
      dialer.start();
      await vi.advanceTimersByTimeAsync(100);
      expect(dialer.hasGroupFailed('name')).toBe(true);
      outcome = 'connected';
      await vi.advanceTimersByTimeAsync(5000);
      expect(dialer.hasGroupFailed('name')).toBe(false);
      outcome = 'failed';
      disconnect();
      await vi.advanceTimersByTimeAsync(60_000);
      dialer.stop();
      expect(dialer.hasGroupFailed('name')).toBe(true);
    });

    test('are kept and protected from trimming although a cached peer has the same address', async () => {
      const { dialer, dialled, disconnect } = setUp(() => 'connected');
      dialer.add([target('until_connected')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(SETTLED_MS);
      dialer.replaceGroup('name', [target('always')]);
      expect(dialer.protects(PEER)).toBe(true);
      expect(dialer.hasGroupFailed('name')).toBe(false);
      disconnect();
      await vi.advanceTimersByTimeAsync(5000);
      dialer.stop();
      expect(dialled).toHaveLength(2);
    });

    test('belong to every name that resolved to them', async () => {
      const { dialer, dialled } = setUp(() => 'failed');
      dialer.replaceGroup('one', [at('a')]);
      dialer.replaceGroup('two', [at('a')]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(1000);
      expect(dialer.hasGroupFailed('one')).toBe(true);
      expect(dialer.hasGroupFailed('two')).toBe(true);
      dialer.replaceGroup('one', [at('b')]);
      dialled.length = 0;
      await vi.advanceTimersByTimeAsync(60_000);
      dialer.stop();
      expect(new Set(dialled.map(({ address }) => address))).toEqual(new Set(['a', 'b']));
    });
  });

  describe.each(['always', 'when_alone'] as const)('a peer that rejects us (kept: %s)', (keep) => {
    test.each([0, 100, SETTLED_MS - 1000])(
      'and closes each connection after %i ms is dialled like one that fails, and logged once',
      async (livesMs) => {
        const { dialer, dialled, connected, disconnect, log } = setUp(() => {
          setTimeout(disconnect, livesMs);
          return 'connected';
        });
        dialer.add([target(keep)]);
        dialer.start();
        await vi.advanceTimersByTimeAsync(30 * 60_000);
        dialer.stop();
        expect(connected.size).toBe(0);
        const gaps = gapsOf(dialled);
        expect(gaps[0]).toBeLessThan(1000 + livesMs);
        expect(Math.min(...gaps.slice(8))).toBeGreaterThanOrEqual(LAST_BACKOFF_MS + livesMs);
        expect(Math.max(...gaps)).toBeLessThanOrEqual(LAST_BACKOFF_MS + livesMs + 1000);
        expect(log.lines.filter(({ level }) => level === 'info')).toHaveLength(1);
      },
    );

    test('and closes them before the dial is over is dialled like one that fails', async () => {
      const { dialer, dialled, disconnect } = setUp(() => {
        queueMicrotask(disconnect);
        return 'connected';
      });
      dialer.add([target(keep)]);
      dialer.start();
      await vi.advanceTimersByTimeAsync(30 * 60_000);
      dialer.stop();
      expect(dialled.length).toBeLessThan(80);
    });
  });

  test('a peer that connects to us and disconnects at once is not dialled sooner', async () => {
    const { dialer, dialled, connect, disconnect } = setUp(() => {
      setTimeout(disconnect, 100);
      return 'connected';
    });
    dialer.add([target('always')]);
    dialer.start();
    for (let i = 0; i < 600; i += 1) {
      await vi.advanceTimersByTimeAsync(900);
      connect();
      await vi.advanceTimersByTimeAsync(100);
      disconnect();
    }
    dialer.stop();
    expect(dialled.length).toBeLessThan(30);
  });

  test('a static peer that restarts is dialled within a second, however often it had rejected us before', async () => {
    let refuses = true;
    const { dialer, dialled, connected, disconnect } = setUp(() => {
      if (refuses) setTimeout(disconnect, 100);
      return 'connected';
    });
    dialer.add([target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(5 * 60_000);
    refuses = false;
    await vi.advanceTimersByTimeAsync(LAST_BACKOFF_MS + 1000 + SETTLED_MS);
    expect(connected.has(PEER)).toBe(true);
    for (let restart = 0; restart < 3; restart += 1) {
      const before = dialled.length;
      disconnect();
      await vi.advanceTimersByTimeAsync(1000);
      expect(dialled).toHaveLength(before + 1);
      expect(connected.has(PEER)).toBe(true);
      await vi.advanceTimersByTimeAsync(SETTLED_MS);
    }
    dialer.stop();
  });

  test('a hopeless dial is not repeated until something changes, unless retries are not optimised', async () => {
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
    dialer.peerDisconnected(PEER);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled).toHaveLength(1);
    dialer.stop();
  });

  test('cached peers are dialled only while more peers are wanted, and listed ones always', async () => {
    const { dialer, dialled, room } = setUp(
      () => 'failed',
      true,
      () => 1000,
    );
    room.count = 2;
    const targets = Array.from({ length: 5 }, (_each, i) => ({ ...target('until_connected'), address: `cached ${i}` }));
    dialer.add([...targets, target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(500);
    expect(dialled.map(({ address }) => address)).toEqual([target('always').address, 'cached 0', 'cached 1']);
    room.count = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled.filter(({ address }) => address.startsWith('cached'))).toHaveLength(2);
    room.count = 5;
    await vi.advanceTimersByTimeAsync(500);
    dialer.stop();
    expect(dialled.filter(({ address }) => address.startsWith('cached'))).toHaveLength(7);
  });

  test('a bootstrap address that is not persistent is used again only when no peer is connected', async () => {
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

  test('the number of targets is limited, and the same address counts once', async () => {
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

  test('a hundred dead cached peers never delay a static one, which keeps its own schedule', async () => {
    const dead = Array.from(
      { length: 100 },
      (_each, i): DialTarget => ({
        address: `/ip4/10.0.0.1/tcp/${i + 1}`,
        peerId: undefined,
        keep: 'until_connected',
      }),
    );
    const { dialer, dialled, mostUnderWay } = setUp(
      () => 'failed',
      true,
      (address) => (address.includes('10.0.0.1') ? 10_000 : 0),
    );
    dialer.add(dead);
    dialer.start();
    dialer.add([target('always')]);
    await vi.advanceTimersByTimeAsync(8000);
    const atMs = dialled.filter(({ address }) => address === target('always').address).map((each) => each.atMs);
    const gaps = atMs.slice(1).map((each, i) => each - (atMs[i] ?? 0));
    // 500 ms, 1 s, 2 s, 4 s, each up to the next tick.
    for (const [i, backoffMs] of [500, 1000, 2000, 4000].entries()) {
      expect(gaps[i]).toBeGreaterThanOrEqual(backoffMs);
      expect(gaps[i]).toBeLessThanOrEqual(backoffMs + 250);
    }
    expect(mostUnderWay()).toBeLessThanOrEqual(PARALLEL_DIALS.cached + 1);
    await vi.advanceTimersByTimeAsync(70_000);
    expect(new Set(dialled.map(({ address }) => address)).size).toBe(101);
    dialer.stop();
  });

  test('parallel dials to static targets that hang are limited, and every target is dialled', async () => {
    const { dialer, dialled, mostUnderWay } = setUp(
      () => 'failed',
      true,
      () => 10_000,
    );
    dialer.add(Array.from({ length: 200 }, (_each, i) => ({ ...target('always'), address: `/ip4/10.0.0.1/tcp/${i}` })));
    dialer.start();
    await vi.advanceTimersByTimeAsync(50_000);
    expect(mostUnderWay()).toBe(PARALLEL_DIALS.listed);
    expect(new Set(dialled.map(({ address }) => address)).size).toBe(200);
    dialer.stop();
  });

  test('a dial that began before the network changed does not count as hopeless', async () => {
    const { dialer, dialled } = setUp(
      () => 'hopeless',
      true,
      () => 5000,
    );
    dialer.add([target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(1000);
    dialer.networkChanged();
    await vi.advanceTimersByTimeAsync(6000);
    expect(dialled).toHaveLength(2);
    dialer.stop();
  });

  test('retry makes every target due at once', async () => {
    const { dialer, dialled } = setUp(() => 'hopeless');
    dialer.add([target('always')]);
    dialer.start();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(dialled).toHaveLength(1);
    dialer.retry();
    await vi.advanceTimersByTimeAsync(0);
    expect(dialled).toHaveLength(2);
    dialer.stop();
  });
});
