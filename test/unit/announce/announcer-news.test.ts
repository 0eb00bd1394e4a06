// When a block is announced: after its subtrees are stored, and what a failed look-up of the FSM state changes.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Announcer, type AnnouncerOptions } from '../../../src/announce/announcer.ts';
import type { BlockNews, ChainNews, SubtreeNews } from '../../../src/chain/news.ts';
import type { BlockHash, PeerId, SubtreeHash } from '../../../src/domain/ids.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import type { FsmState } from '../../../src/ports/blockchain-client.ts';
import { publisherTo } from '../../fakes/networks.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { BEST } from '../../fakes/scripted-chain.ts';

const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;
const hashOf = (n: number) => n.toString(16).padStart(64, '0') as BlockHash;

function setUp(options: Partial<AnnouncerOptions> = {}) {
  const metrics = new RecordedMetrics();
  const listeners: ((news: ChainNews) => void)[] = [];
  const said: { kind: string; hash: string }[] = [];
  const notified: Notification[] = [];
  const announcer = new Announcer(
    {
      publisher: publisherTo(async (kind, bytes) => {
        said.push({ kind, hash: JSON.parse(Buffer.from(bytes).toString()).Hash });
        return 'published';
      }),
      ownId: OWN,
      chain: {
        subscribe: (listener) => {
          listeners.push(listener);
          return () => void listeners.splice(listeners.indexOf(listener), 1);
        },
        bestHeader: () => undefined,
      },
      notify: (each) => notified.push(each),
      clock: new FakeClock(),
      log: recordingLogger(),
      metrics,
    },
    { dataHubUrl: 'http://us', ...options },
  );
  announcer.start();
  const tell = async (...news: ChainNews[]) => {
    for (const each of news) for (const listener of listeners) listener(each);
    await vi.advanceTimersByTimeAsync(0);
  };
  const hashes = () => said.map(({ hash }) => hash);
  const count = (outcome: string) => metrics.count('teranode_p2p_announcements_total', { outcome });
  return { announcer, tell, said, hashes, notified, metrics, count };
}

type State = () => Promise<FsmState>;
const RUNNING: State = async () => 'RUNNING';

function block(n: number, subtreesSet: boolean, fsmState = RUNNING): BlockNews {
  const hash = hashOf(n);
  return { type: 'block', hash, subtreesSet, fsmState, header: async () => ({ ...BEST, hash, height: n }) };
}

function subtree(n: number, fsmState = RUNNING): SubtreeNews {
  return { type: 'subtree', hash: hashOf(n) as SubtreeHash, fsmState };
}

const set = (n: number): ChainNews => ({ type: 'block_subtrees_set', hash: hashOf(n) });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a block whose subtrees are not stored yet', () => {
  test('is announced when they are, once', async () => {
    const { tell, hashes } = setUp();
    await tell(block(1, false));
    await vi.advanceTimersByTimeAsync(1999);
    expect(hashes()).toEqual([]);
    await tell(set(1));
    expect(hashes()).toEqual([hashOf(1)]);
    await tell(set(1), block(1, true));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(hashes()).toEqual([hashOf(1)]);
  });

  test('is announced after 2 s when the service never says so', async () => {
    const { tell, hashes } = setUp();
    await tell(block(1, false));
    await vi.advanceTimersByTimeAsync(2000);
    expect(hashes()).toEqual([hashOf(1)]);
    await tell(set(1));
    expect(hashes()).toEqual([hashOf(1)]);
  });

  test('does not wait when the word comes with it, and other blocks and subtrees do not wait for it', async () => {
    const { tell, hashes } = setUp();
    await tell(block(1, false), subtree(7), block(2, true), block(3, false), set(3));
    expect(hashes()).toEqual([7, 2, 3].map(hashOf));
    await vi.advanceTimersByTimeAsync(2000);
    expect(hashes()).toEqual([7, 2, 3, 1].map(hashOf));
  });

  test('is announced at once when a hundred others wait already, so that memory stays bounded', async () => {
    const { tell, hashes, metrics } = setUp();
    const held = () => metrics.gaugeValue('teranode_p2p_announce_held_blocks');
    for (let n = 1; n <= 102; n += 1) await tell(block(n, false));
    expect([hashes(), held()]).toEqual([[1, 2].map(hashOf), 100]);
    await vi.advanceTimersByTimeAsync(2000);
    expect([hashes().length, held()]).toEqual([102, 0]);
  });

  test('is not announced after a stop', async () => {
    const { announcer, tell, hashes, metrics } = setUp();
    await tell(block(1, false));
    await announcer.stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect([hashes(), metrics.gaugeValue('teranode_p2p_announce_held_blocks')]).toEqual([[], 0]);
  });

  test('is not announced at all while the FSM is not RUNNING', async () => {
    const { tell, hashes, count } = setUp();
    await tell(
      block(1, false, async () => 'CATCHINGBLOCKS'),
      set(1),
    );
    await vi.advanceTimersByTimeAsync(10_000);
    expect([hashes(), count('silent')]).toEqual([[], 1]);
  });
});

describe('a failed look-up of the FSM state', () => {
  const failing = (grpcCode: string) => (): Promise<FsmState> =>
    Promise.reject(new P2PError('RPC_FAILED', 'no', { details: { grpcCode } }));

  test('keeps nothing from being announced when the service answers with an error', async () => {
    const { tell, hashes } = setUp();
    for (const [n, code] of ['INTERNAL', 'UNIMPLEMENTED', 'UNKNOWN'].entries())
      await tell(subtree(n, failing(code)), block(10 + n, true, failing(code)));
    expect(hashes()).toEqual([0, 10, 1, 11, 2, 12].map(hashOf));
  });

  test('because of an unknown state is a state that is not RUNNING', async () => {
    const { tell, hashes, count } = setUp();
    await tell(subtree(1, failing('DATA_LOSS')), block(2, true, failing('DATA_LOSS')));
    expect([hashes(), count('silent')]).toEqual([[], 2]);
  });

  test('while the service is down postpones what is announced, in order', async () => {
    const { tell, hashes } = setUp();
    let state: State = failing('UNAVAILABLE');
    await tell(
      subtree(1, () => state()),
      block(2, true, () => state()),
    );
    await vi.advanceTimersByTimeAsync(5000);
    expect(hashes()).toEqual([]);
    state = RUNNING;
    await vi.advanceTimersByTimeAsync(500);
    expect(hashes()).toEqual([1, 2].map(hashOf));
  });
});

test('our own blocks and subtrees are notified with our name, where we have one', async () => {
  const named = setUp({ clientName: 'A name' });
  await named.tell(subtree(1), block(2, true));
  expect(named.notified).toMatchObject([{ clientName: 'A name' }, { clientName: 'A name', height: 2 }]);
  const nameless = setUp();
  await nameless.tell(subtree(1), block(2, true));
  for (const each of nameless.notified) expect(each).not.toHaveProperty('clientName');
});
