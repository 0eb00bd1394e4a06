// What every BlockchainClient promises.
import { expect, test } from 'vitest';
import type { BlockHash } from '../../src/domain/ids.ts';
import type {
  BlockchainClient,
  BlockchainNotification,
  BlockHeaderRecord,
  FsmState,
} from '../../src/ports/blockchain-client.ts';
import { hashHeader } from '../../src/wire/header.ts';
import { waitFor } from './wait.ts';

export interface BlockchainUnderTest {
  readonly client: BlockchainClient;
  /** Adds a block on the tip. */
  extend(): Promise<BlockHeaderRecord>;
  setFsmState(state: FsmState): void;
  stop(): Promise<void>;
}

export function blockchainConformance(setUp: () => Promise<BlockchainUnderTest>): void {
  const with_ = async (work: (chain: BlockchainUnderTest) => Promise<void>) => {
    const chain = await setUp();
    try {
      await work(chain);
    } finally {
      await chain.stop();
    }
  };

  test('the best header follows the chain, and every header is found by its hash', () =>
    with_(async ({ client, extend }) => {
      const before = await client.bestBlockHeader();
      const added = await extend();
      const best = await client.bestBlockHeader();
      expect(best).toMatchObject({ hash: added.hash, height: before.height + 1, invalid: false });
      expect(hashHeader(best.header)).toBe(best.hash);
      expect(await client.blockHeader(added.hash)).toMatchObject({
        hash: added.hash,
        height: added.height,
        txCount: added.txCount,
      });
      expect(await client.blockHeader('0'.repeat(64) as BlockHash)).toBeUndefined();
    }));

  test('state is stored by key; an unknown key is undefined', () =>
    with_(async ({ client }) => {
      expect(await client.getState('k')).toBeUndefined();
      await client.setState('k', Buffer.from([0, 1, 255]));
      expect(Buffer.from((await client.getState('k')) ?? [])).toEqual(Buffer.from([0, 1, 255]));
      await client.setState('k', new Uint8Array());
      expect(await client.getState('k')).toHaveLength(0);
    }));

  test('a subscription starts with the tip and continues in order, and is silent after its end', () =>
    with_(async ({ client, extend }) => {
      const heard: BlockchainNotification[] = [];
      const tip = await client.bestBlockHeader();
      const unsubscribe = client.subscribe('test', (notification) => heard.push(notification));
      await waitFor(() => heard.length > 0, { what: 'the tip' });
      expect(heard[0]).toEqual({ type: 'block', hash: tip.hash });
      const { hash } = await extend();
      await waitFor(() => heard.some(({ type }) => type === 'mining_on'), { what: 'mining on' });
      expect(heard.slice(1).map(({ type }) => type)).toEqual(['subtree', 'block', 'mining_on']);
      expect(heard[2]).toEqual({ type: 'block', hash });
      unsubscribe();
      await extend();
      await new Promise((resolve) => setImmediate(resolve));
      expect(heard).toHaveLength(4);
    }));

  test('waiting ends when the FSM leaves IDLE, or when its signal aborts', () =>
    with_(async ({ client, setFsmState }) => {
      setFsmState('IDLE');
      const given = new AbortController();
      const up = client.waitUntilFsmLeavesIdle(given.signal);
      given.abort();
      await expect(up).rejects.toMatchObject({ name: 'AbortError' });
      const waiting = client.waitUntilFsmLeavesIdle(new AbortController().signal);
      setFsmState('RUNNING');
      await waiting;
      expect(await client.fsmState()).toBe('RUNNING');
      expect(await client.probe(1000)).toMatchObject({ ok: true });
    }));
}
