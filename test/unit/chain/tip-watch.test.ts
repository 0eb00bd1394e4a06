// New tips and reorganisations of our own chain, told by the tracker of a blockchain service that grows, forks and
// fails.
import { expect, test } from 'vitest';
import { linkedPoint } from '../../../src/chain/fork.ts';
import { TipWatch } from '../../../src/chain/tip-watch.ts';
import type { ChainEvent } from '../../../src/domain/chain-event.ts';
import type { Hash } from '../../../src/domain/ids.ts';
import { FakeBlockchain } from '../../fakes/blockchain.ts';
import { recordingLogger } from '../../fakes/recorders.ts';
import { tracked } from '../../fakes/tracked.ts';
import { eventually } from '../../support/eventually.ts';

const { signal } = new AbortController();

async function watched(length: number) {
  const chain = new FakeBlockchain();
  const hashes = chain.grow(length);
  const own = tracked(chain);
  const events: ChainEvent[] = [];
  own.onTip((event) => events.push(event));
  await own.start(signal);
  await eventually(() => expect(events).toMatchObject([{ type: 'tip', height: length - 1, hash: hashes.at(-1) }]));
  events.length = 0;
  const tell = (hash: Hash | undefined) => chain.tell({ type: 'block', hash: hash as Hash });
  return { chain, own, hashes, events, tell };
}

test('each block that is read is told as a tip', async () => {
  const { chain, own, events, tell } = await watched(3);
  for (let height = 3; height < 6; height += 1) {
    const [hash] = chain.grow(1);
    tell(hash);
    await eventually(() => expect(events.at(-1)).toMatchObject({ type: 'tip', hash, height }));
  }
  expect(events).toHaveLength(3);
  await own.stop();
});

test('a reorganisation of three blocks is told once, with its fork, before its tip', async () => {
  const { chain, own, hashes, events, tell } = await watched(10);
  const branch = chain.fork(6, 4);
  tell(branch[3]);
  await eventually(() => expect(events).toHaveLength(2));
  const [from, to, fork] = [
    { hash: hashes[9], height: 9 },
    { hash: branch[3], height: 10 },
    { hash: hashes[6], height: 6 },
  ];
  expect(events).toMatchObject([
    { type: 'reorg', from, to, fork },
    { type: 'tip', ...to },
  ]);
  const [next] = chain.grow(1);
  tell(next);
  await eventually(() => expect(events.at(-1)).toMatchObject({ type: 'tip', hash: next }));
  expect(events.filter(({ type }) => type === 'reorg')).toHaveLength(1);
  await own.stop();
});

test('blocks that were not told one by one are no reorganisation', async () => {
  const { chain, own, events, tell } = await watched(3);
  tell(chain.grow(200).at(-1));
  await eventually(() => expect(events).toMatchObject([{ type: 'tip', height: 202 }]));
  await own.stop();
});

test('what a catch-up changed is told once, at its end', async () => {
  const { chain, own, hashes, events, tell } = await watched(10);
  chain.state = 'CATCHINGBLOCKS';
  chain.tell({ type: 'fsm_state', state: 'CATCHINGBLOCKS' });
  let [tip] = chain.fork(6, 1);
  for (let i = 0; i < 4; i += 1) {
    tell(tip);
    [tip] = chain.grow(1);
  }
  tell(tip);
  await own.recentBestHeader();
  expect(events).toEqual([]);
  chain.state = 'RUNNING';
  chain.tell({ type: 'fsm_state', state: 'RUNNING' });
  await eventually(() => expect(events).toHaveLength(2));
  expect(events).toMatchObject([
    { type: 'reorg', fork: { hash: hashes[6] } },
    { type: 'tip', hash: tip, height: 11 },
  ]);
  await own.stop();
});

test('a service that fails during the look-up delays the event and does not lose it', async () => {
  const { chain, own, hashes, events, tell } = await watched(10);
  let calls = 0;
  chain.fails = (call) => call === 'header' && ++calls < 3;
  const branch = chain.fork(6, 4);
  tell(branch[3]);
  await eventually(() => expect(events).toMatchObject([{ type: 'reorg', fork: { hash: hashes[6] } }, { type: 'tip' }]));
  await own.stop();
});

test('a look-up that failed is repeated without another block', async () => {
  const chain = new FakeBlockchain();
  const hashes = chain.grow(10);
  const branch = chain.fork(6, 4);
  const [old, next] = await Promise.all([chain.blockHeader(hashes[9] as Hash), chain.bestBlockHeader()]);
  const events: ChainEvent[] = [];
  let calls = 0;
  const lookUp = async (hash: Hash) => {
    calls += 1;
    if (calls === 1) throw new Error('unavailable');
    const record = await chain.blockHeader(hash);
    return record && linkedPoint(record);
  };
  const tips = new TipWatch({ lookUp, isCatchUp: () => false, log: recordingLogger() });
  tips.subscribe((event) => events.push(event));
  tips.bestRead(old as NonNullable<typeof old>);
  await eventually(() => expect(events).toHaveLength(1));
  tips.bestRead(next);
  await eventually(() => expect(events.slice(1)).toMatchObject([{ type: 'reorg' }, { type: 'tip', hash: branch[3] }]));
  tips.stop();
});
