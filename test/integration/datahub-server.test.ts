// Our own DataHub, asked by our own client and by plain requests: the formats of Teranode's asset service.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HttpDataHubClient } from '../../src/adapters/datahub/datahub-client.ts';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { HttpServer } from '../../src/adapters/http/server/http-server.ts';
import type { Hash } from '../../src/domain/ids.ts';
import type { BlockHeaderRecord } from '../../src/ports/blockchain-client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { doubleSha256, hashFromBytes } from '../../src/wire/hash.ts';
import { hashHeader, parseHeader } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { recordingLogger } from '../fakes/recorders.ts';
import { GENESIS, mineChain } from '../support/mined.ts';

const never = new AbortController().signal;
const client = new HttpDataHubClient({}, { allowsPrivate: true, userAgent: 'test' });
const MINED = 30;
const UNKNOWN = 'ab'.repeat(32) as Hash;

let chain: EmbeddedChain;
let server: HttpServer;
let url = '';
const mined: BlockHeaderRecord[] = [];
/** A branch of three headers on block 20, which is known and not the best. */
let branch: Uint8Array[] = [];

beforeAll(async () => {
  chain = new EmbeddedChain(
    { log: recordingLogger(), clock: systemClock },
    {
      network: NETWORKS.regtest,
      path: ':memory:',
      headersFile: undefined,
      mineIntervalMs: undefined,
      minerText: '/t/',
    },
  );
  await chain.start(never);
  for (let i = 0; i < MINED; i += 1) mined.push(chain.mine());
  branch = mineChain(mined[19]?.header as Uint8Array, 3, 'branch', undefined);
  for (const header of branch) chain.addHeader(header);
  const sources = {
    health: async () => ({ status: 200, message: 'OK', checks: [] }),
    scrape: async () => ({ contentType: '', body: '' }),
  };
  server = new HttpServer(
    { log: recordingLogger(), sources, dataHub: chain },
    { listenAddress: '127.0.0.1:0', tls: undefined, routes: 'full' },
  );
  await server.start();
  url = `http://${server.address()}/api/v1`;
});

afterAll(async () => {
  await server.stop();
  await chain.stop();
});

/** The block at a height of the best chain. */
const at = (height: number) =>
  height === 0 ? (chain.header(GENESIS.hash) as BlockHeaderRecord) : (mined[height - 1] as BlockHeaderRecord);
const hashesOf = (answer: { ok: boolean; value?: readonly { hash: Hash }[] }) => answer.value?.map(({ hash }) => hash);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_each, i) => at(from + i).hash);

describe('our own client finds', () => {
  test('the best header, and one by its hash', async () => {
    expect(await client.bestHeader(url, never)).toMatchObject({ ok: true, value: { hash: at(MINED).hash } });
    expect(await client.header(url, at(0).hash, never)).toMatchObject({ ok: true, value: { hash: GENESIS.hash } });
    expect(await client.header(url, UNKNOWN, never)).toMatchObject({ ok: false, fault: 'not_found' });
  });

  test('headers back to genesis', async () => {
    expect(hashesOf(await client.headersBack(url, at(9).hash, 4, never))).toEqual(range(6, 9).reverse());
    expect(hashesOf(await client.headersBack(url, at(2).hash, 100, never))).toEqual(range(0, 2).reverse());
  });

  test('headers from the newest common ancestor on, and back to it', async () => {
    const locator = [UNKNOWN, at(12).hash, at(5).hash, at(0).hash];
    expect(hashesOf(await client.headersFromAncestor(url, at(30).hash, locator, 5, never))).toEqual(range(12, 16));
    expect(hashesOf(await client.headersFromAncestor(url, at(30).hash, locator, 500, never))).toEqual(range(12, 30));
    expect(hashesOf(await client.headersToAncestor(url, at(30).hash, locator, 500, never))).toEqual(
      range(12, 30).reverse(),
    );
  });

  test('of a way that is longer than asked for, the end at the common ancestor, by either call', async () => {
    const locator = [UNKNOWN, at(12).hash, at(5).hash, at(0).hash];
    expect(hashesOf(await client.headersFromAncestor(url, at(30).hash, locator, 5, never))).toEqual(range(12, 16));
    const back = await client.headersToAncestor(url, at(30).hash, locator, 5, never);
    expect(hashesOf(back)).toEqual(range(12, 16).reverse());
  });

  test('the way from a branch to the best chain, and to a branch', async () => {
    const onBranch = branch.map(hashHeader);
    const from = await client.headersFromAncestor(
      url,
      at(30).hash,
      [...onBranch.toReversed(), at(18).hash],
      500,
      never,
    );
    expect(hashesOf(from)).toEqual(range(18, 30));
    const to = await client.headersFromAncestor(url, onBranch[2] as Hash, [at(30).hash, at(19).hash], 500, never);
    expect(hashesOf(to)).toEqual([...range(19, 20), ...onBranch]);
  });

  test('nothing from a locator of another chain, or to an unknown block', async () => {
    const unknown = await client.headersFromAncestor(url, at(30).hash, [UNKNOWN], 5, never);
    expect(unknown).toMatchObject({ ok: false, fault: 'not_found' });
    expect(await client.headersFromAncestor(url, UNKNOWN, [at(0).hash], 5, never)).toMatchObject({
      fault: 'not_found',
    });
  });

  test('mined blocks with their coinbase and subtree, and no others', async () => {
    const answer = await client.block(url, at(7).hash, 10_000, never);
    if (!answer.ok) throw new Error(answer.details);
    const bytes = Buffer.from(answer.value);
    // One transaction, its size, no subtrees; then the coinbase, and the height.
    expect([bytes[80], bytes[82]]).toEqual([1, 0]);
    const coinbase = bytes.subarray(83, -1);
    expect(bytes.at(-1)).toBe(7);
    expect(bytes[81]).toBe(coinbase.length + 81);
    const root = parseHeader(at(7).header)?.merkleRoot as Hash;
    expect(hashFromBytes(doubleSha256(coinbase))).toBe(root);
    const subtree = await client.subtree(url, root, 1000, never);
    expect(subtree.ok && hashFromBytes(Buffer.from(subtree.value))).toBe(root);
    expect(await client.block(url, GENESIS.hash, 1000, never)).toMatchObject({ ok: false, fault: 'not_found' });
    expect(await client.subtree(url, UNKNOWN, 1000, never)).toMatchObject({ ok: false, fault: 'not_found' });
  });

  test('its way through a long chain with any locator, in bounded answers', async () => {
    const long = new EmbeddedChain(
      { log: recordingLogger(), clock: systemClock },
      { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
    );
    await long.start(never);
    const tip = mineChain(GENESIS.header, 3000, 'long', undefined)
      .map((header) => long.addHeader(header))
      .at(-1);
    expect(long.locator().length).toBeLessThan(25);
    expect(long.locator().at(-1)).toBe(GENESIS.hash);
    const hash = tip?.hash as Hash;
    expect(long.headersFromAncestor(hash, [GENESIS.hash], 2000)).toHaveLength(2000);
    for (const from of long.locator()) {
      const height = long.header(from)?.height ?? 0;
      const chainFrom = long.headersFromAncestor(hash, [from], 5000);
      expect(chainFrom?.[0]?.hash).toBe(from);
      expect(chainFrom).toHaveLength(3001 - height);
    }
    await long.stop();
  });
});

describe('plain requests', () => {
  const get = async (path: string) => {
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(10_000) });
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
  };

  test('get hexadecimal and JSON forms', async () => {
    const hex = await get('/bestblockheader/hex');
    expect(hex).toMatchObject({ status: 200, body: Buffer.from(at(MINED).header).toString('hex') });
    expect(hex.type?.toLowerCase()).toBe('text/plain; charset=utf-8');
    const json = await get(`/header/${at(3).hash}/json`);
    expect(json.type).toContain('application/json');
    expect(JSON.parse(json.body)).toEqual({
      hash: at(3).hash,
      version: 0x20000000,
      previousblockhash: at(2).hash,
      merkleroot: parseHeader(at(3).header)?.merkleRoot,
      time: parseHeader(at(3).header)?.time,
      bits: '207fffff',
      nonce: parseHeader(at(3).header)?.nonce,
      height: 3,
      txCount: 1,
      sizeInBytes: Number(at(3).sizeInBytes),
      miner: '/t/',
    });
    expect(JSON.parse((await get(`/headers/${at(3).hash}/json?n=2`)).body)).toMatchObject([
      { height: 3 },
      { height: 2 },
    ]);
  });

  test('get 200 for a binary answer of bytes', async () => {
    expect(await get(`/headers/${at(3).hash}`)).toMatchObject({ status: 200, type: 'application/octet-stream' });
  });

  test.each([
    ['/header/abc', 400],
    [`/header/${'zz'.repeat(32)}`, 400],
    [`/headers/${GENESIS.hash}?n=many`, 400],
    [`/headers/${GENESIS.hash}?n=99999999999999999999`, 400],
    [`/headers_from_common_ancestor/${GENESIS.hash}`, 400],
    [`/headers_from_common_ancestor/${GENESIS.hash}?block_locator_hashes=abc`, 400],
    [`/block/${GENESIS.hash}`, 404],
    [`/block/${GENESIS.hash}/json`, 404],
  ])('%s gets %i', async (path, status) => {
    expect((await get(path)).status).toBe(status);
  });

  test('a locator of thousands of hashes is refused, and one of sixty-four is read', async () => {
    const path = (count: number) =>
      `/headers_from_common_ancestor/${at(9).hash}?n=3&block_locator_hashes=${`${UNKNOWN}`.repeat(count - 1)}${at(2).hash}`;
    expect((await get(path(64))).status).toBe(200);
    expect((await get(path(65))).status).toBe(404);
    expect((await get(path(2000))).status).toBe(431);
  });
});
