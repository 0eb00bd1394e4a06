import { describe, expect, test } from 'vitest';
import type { ChainEvent } from '../../../src/domain/chain-event.ts';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import { HeaderFollower } from '../../../src/library/header-follower.ts';
import type { DataHubAnswer, FetchedHeader } from '../../../src/ports/datahub-client.ts';
import { hashHeader } from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { eventually } from '../../support/eventually.ts';
import { GENESIS, mineChain } from '../../support/mined.ts';

const URL_A = 'https://a.example/api/v1';
/** 32 times the work of regtest's easiest target. */
const MUCH_HARDER_BITS = 0x2003ffff;
const AUTHOR = '12D3KooWAuthor' as PeerId;
const main = [GENESIS.header, ...mineChain(GENESIS.header, 30, 'main')];
/** Leaves the main chain at height 10 and becomes longer. */
const branch = [...main.slice(0, 11), ...mineChain(main[10] as Uint8Array, 25, 'branch')];

type Served = Readonly<Record<string, readonly Uint8Array[]>>;

/** DataHubs by URL, each with one chain from the genesis block on. */
function fakeClient(served: Served) {
  const asked: string[] = [];
  const fetched = (header: Uint8Array): FetchedHeader => ({ hash: hashHeader(header), header });
  const chainOf = (url: string, hash: BlockHash) => {
    asked.push(url);
    const chain = served[url] ?? [];
    const at = chain.findIndex((header) => hashHeader(header) === hash);
    return at < 0 ? undefined : chain.slice(0, at + 1);
  };
  const missing: DataHubAnswer<never> = { ok: false, fault: 'not_found', details: '' };
  return {
    asked,
    headersBack: async (url: string, hash: BlockHash, count: number) => {
      const chain = chainOf(url, hash);
      return chain === undefined
        ? missing
        : { ok: true as const, value: chain.toReversed().slice(0, count).map(fetched) };
    },
    headersFromAncestor: async (url: string, target: BlockHash, locator: readonly BlockHash[], count: number) => {
      const chain = chainOf(url, target);
      if (chain === undefined) return missing;
      const from = locator
        .map((hash) => chain.findIndex((header) => hashHeader(header) === hash))
        .find((at) => at >= 0);
      return { ok: true as const, value: chain.slice(from ?? 0, (from ?? 0) + count).map(fetched) };
    },
  };
}

function makeFollower(served: Served, options: Partial<ConstructorParameters<typeof HeaderFollower>[1]> = {}) {
  const client = fakeClient(served);
  const events: ChainEvent[] = [];
  let ms = 0;
  const follower = new HeaderFollower(
    { client, now: () => Date.now(), monotonic: () => ms, emit: (event) => void events.push(event) },
    { network: NETWORKS.regtest, anchor: undefined, depth: 5, maxHeaders: 1000, ...options },
  );
  const announce = (
    chain: readonly Uint8Array[],
    height: number,
    urls: readonly string[] = [URL_A],
    hasHeader = true,
  ) => {
    const header = chain[height] as Uint8Array;
    follower.announced({
      hash: hashHeader(header),
      height,
      header: hasHeader ? header : undefined,
      author: AUTHOR,
      urls,
    });
  };
  return { follower, client, events, announce, advance: (by: number) => (ms += by) };
}

const point = (chain: readonly Uint8Array[], height: number) => ({
  hash: hashHeader(chain[height] as Uint8Array),
  height,
});

describe('a chain of headers', () => {
  test('begins with the first announced block and as many headers before it as asked for', async () => {
    const { follower, events, announce } = makeFollower({ [URL_A]: main });
    announce(main, 12);
    await eventually(() => expect(events).toMatchObject([{ type: 'tip', ...point(main, 12) }]));
    expect(follower.size).toBe(6);
    expect(follower.get(point(main, 7).hash)?.height).toBe(7);
  });

  test('goes on with announced headers without asking anybody', async () => {
    const { client, events, announce } = makeFollower({ [URL_A]: main });
    announce(main, 12);
    await eventually(() => expect(events).toHaveLength(1));
    announce(main, 13, []);
    expect(events.at(-1)).toMatchObject({ type: 'tip', ...point(main, 13) });
    expect(client.asked).toHaveLength(1);
  });

  test('fills a gap from the DataHub of the announcer, and from another one where that fails', async () => {
    const { follower, events, announce } = makeFollower({ [URL_A]: main }, { anchor: 'genesis' });
    announce(main, 20, ['https://dead.example', URL_A], false);
    await eventually(() => expect(follower.tip()).toMatchObject(point(main, 20)));
    expect(events).toMatchObject([{ type: 'tip', ...point(main, 20) }]);
  });

  test('tells a reorganization with both tips and the fork, once for all headers of an answer', async () => {
    const { follower, events, announce } = makeFollower(
      { [URL_A]: main, 'https://b.example': branch },
      { anchor: 'genesis' },
    );
    announce(main, 30);
    await eventually(() => expect(follower.tip()).toMatchObject(point(main, 30)));
    announce(branch, 35, ['https://b.example']);
    await eventually(() => expect(follower.tip()).toMatchObject(point(branch, 35)));
    expect(events).toMatchObject([
      { type: 'tip', ...point(main, 30) },
      { type: 'reorg', from: point(main, 30), to: point(branch, 35), fork: point(main, 10) },
      { type: 'tip', ...point(branch, 35) },
    ]);
    expect(follower.isOnBestChain(point(main, 11).hash)).toBe(false);
  });
});

describe('what cannot be trusted', () => {
  test('a header without work is refused and counted', () => {
    const { follower, announce } = makeFollower({}, { anchor: 'genesis' });
    const header = new Uint8Array(main[1] as Uint8Array);
    let faults = 0;
    for (let nonce = 0; faults === 0; nonce += 1) {
      header[76] = nonce;
      announce([GENESIS.header, header], 1, []);
      faults = follower.counts().refused.insufficient_work ?? 0;
    }
    expect(faults).toBe(1);
  });

  test('a DataHub whose headers do not lead to the announced block changes nothing', async () => {
    const { follower, announce } = makeFollower({ [URL_A]: main }, { anchor: 'genesis' });
    announce(branch, 20, [URL_A]);
    await eventually(() => expect(follower.counts().failedFills).toBe(1));
    expect(follower.size).toBe(1);
  });

  test('an author that names block after block has a budget', () => {
    const { follower, announce } = makeFollower({ [URL_A]: [] }, { anchor: 'genesis' });
    for (let height = 1; height <= 30; height += 1) announce(main, height, [URL_A], false);
    expect(follower.counts().skipped).toBe(20);
  });

  test('a first chain that a liar mined easily gives way to one of far more work', async () => {
    const hard = [GENESIS.header, ...mineChain(GENESIS.header, 6, 'hard', MUCH_HARDER_BITS)];
    const network = { ...NETWORKS.regtest, allowsMinDifficultyBlocks: false };
    const { follower, announce } = makeFollower({ [URL_A]: branch, 'https://b.example': hard }, { depth: 2, network });
    announce(branch, 20);
    await eventually(() => expect(follower.tip()).toMatchObject(point(branch, 20)));
    announce(hard, 6, ['https://b.example']);
    await eventually(() => expect(follower.tip()).toMatchObject(point(hard, 6)));
  });

  test('after the end nothing is asked and nothing is told', () => {
    const { follower, client, events, announce } = makeFollower({ [URL_A]: main });
    follower.stop();
    announce(main, 12);
    expect([client.asked, events]).toEqual([[], []]);
  });
});
