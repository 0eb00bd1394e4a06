// The embedded chain follows announced blocks: from DataHubs that serve the truth, less work, or harm.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { HttpDataHubClient } from '../../src/adapters/datahub/datahub-client.ts';
import { EmbeddedChain } from '../../src/adapters/embedded-chain/embedded-chain.ts';
import { ChainFollower } from '../../src/adapters/embedded-chain/follower.ts';
import { HttpServer } from '../../src/adapters/http/server/http-server.ts';
import { decodeKafkaBlock, encodeKafkaBlock } from '../../src/adapters/kafka/codec.ts';
import { MemoryBroker, MemoryConsumer, MemoryProducer } from '../../src/adapters/memory/broker.ts';
import type { BlockAnnouncement } from '../../src/domain/announcement.ts';
import type { PeerEvent } from '../../src/domain/peer-history.ts';
import type { InvalidBlockReport } from '../../src/domain/report.ts';
import type { BlockchainNotification } from '../../src/ports/blockchain-client.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { hashHeader } from '../../src/wire/header.ts';
import { NETWORKS } from '../../src/wire/networks.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';
import { EASY_BITS, GENESIS, HARD_BITS, mineChain, mineChild } from '../support/mined.ts';

const never = new AbortController().signal;
const PEER = '12D3KooWNvSZnPi3RrhrTwEY4LuuBeB6K6facKUCJcyWG1aoDd2p';
/** The machine may be busy with others. */
const until = (read: () => unknown) => expect.poll(read, { timeout: 60_000 });
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function following({ deadlineMs = 10_000, clock = systemClock } = {}) {
  const [log, metrics] = [recordingLogger(), new RecordedMetrics()];
  const chain = new EmbeddedChain(
    { log, clock: systemClock },
    { network: NETWORKS.regtest, path: ':memory:', headersFile: undefined, mineIntervalMs: undefined, minerText: '' },
  );
  await chain.start(never);
  const notified: BlockchainNotification[] = [];
  chain.subscribe('test', (notification) => notified.push(notification));
  const broker = new MemoryBroker({ metrics }, { maxMessages: 1000, maxBytes: 1_000_000 });
  const reports: InvalidBlockReport[] = [];
  const events: PeerEvent[] = [];
  const topic = { topic: 'blocks', groupId: 'test', replay: false, decode: decodeKafkaBlock };
  const follower = new ChainFollower(
    {
      ...{ chain, log, metrics, clock },
      announced: new MemoryConsumer({ broker, log, metrics }, topic),
      client: new HttpDataHubClient({}, { allowsPrivate: true, userAgent: 'test', deadlineMs }),
      reportInvalid: (report) => reports.push(report),
      experienced: (_peer, event) => events.push(event),
    },
    { network: NETWORKS.regtest },
  );
  await follower.start(never);
  stops.push(
    () => chain.stop(),
    () => follower.stop(1000),
  );
  const producer = new MemoryProducer<BlockAnnouncement>(
    { broker, metrics },
    { topic: 'blocks', encode: encodeKafkaBlock },
  );
  const announce = (header: Uint8Array | undefined, url: string, peerId = PEER) =>
    producer.publish({ hash: hashHeader(header as Uint8Array), url, peerId });
  const fetches = (outcome: string) => metrics.count('teranode_p2p_chain_fetches_total', { outcome });
  const states = () => notified.flatMap((each) => (each.type === 'fsm_state' ? [each.state] : []));
  return { chain, follower, announce, fetches, reports, events, notified, states, log };
}

/** A DataHub of any answers. */
async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets = new Set<Socket>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1`, asked, open: () => sockets.size };
}

const sends = (body: Uint8Array) => serve((_request, response) => response.end(body));

/** A DataHub that has a chain of these headers, oldest first, from genesis, and answers as Teranode's; `most`: at once. */
function honest(headers: readonly Uint8Array[], most = 2000, ready: () => unknown = () => {}) {
  const hashes = headers.map(hashHeader);
  return serve(async (request, response) => {
    await ready();
    const url = new URL(request.url ?? '', 'http://x');
    const target = hashes.indexOf(url.pathname.split('/').at(-1) as (typeof hashes)[number]);
    const locator = url.searchParams.get('block_locator_hashes')?.match(/.{64}/g) ?? [];
    const from = locator
      .map((hash) => hashes.indexOf(hash as (typeof hashes)[number]))
      .find((i) => i >= 0 && i <= target);
    if (target === -1 || from === undefined) response.writeHead(404).end();
    else response.end(Buffer.concat(headers.slice(from, Math.min(target + 1, from + most))));
  });
}

const withGenesis = (chain: readonly Uint8Array[]) => [GENESIS.header, ...chain];

describe('announced blocks', () => {
  test('one that extends our chain is taken', async () => {
    const { chain, announce, events, states } = await following();
    const theirs = mineChain(GENESIS.header, 1, 'a');
    const { url } = await honest(withGenesis(theirs));
    announce(theirs[0], url);
    await until(() => chain.best().height).toBe(1);
    await expect
      .poll(() => events.map(({ type }) => type))
      .toEqual(['catchup_attempt', 'catchup_success', 'validated_progress']);
    expect(states()).toEqual([]);
  });

  test('one far ahead brings all headers in batches, with a catch-up of the FSM around them', async () => {
    const { chain, announce, notified, fetches } = await following();
    const theirs = mineChain(GENESIS.header, 5000, 'a');
    const { url, asked } = await honest(withGenesis(theirs));
    announce(theirs.at(-1), url);
    await until(() => fetches('done')).toBe(1);
    expect(chain.best()).toMatchObject({ height: 5000, hash: hashHeader(theirs.at(-1) as Uint8Array) });
    expect(asked).toHaveLength(3);
    const seen = notified.flatMap((each) =>
      each.type === 'fsm_state' ? [each.state] : each.type === 'block' ? ['block'] : [],
    );
    expect(seen.slice(1)).toEqual(['CATCHINGBLOCKS', 'block', 'block', 'block', 'RUNNING']);
  });

  test('a branch with more work takes over with one notification', async () => {
    const { chain, announce, notified } = await following();
    for (const header of mineChain(GENESIS.header, 3, 'ours')) chain.addHeader(header);
    notified.length = 0;
    const theirs = mineChain(GENESIS.header, 5, 'theirs');
    const { url } = await honest(withGenesis(theirs));
    announce(theirs.at(-1), url);
    await until(() => chain.best().hash).toBe(hashHeader(theirs.at(-1) as Uint8Array));
    expect(notified.filter(({ type }) => type === 'block')).toHaveLength(1);
  });

  test('a shorter branch with more work takes over too', async () => {
    const { chain, announce } = await following();
    for (const header of mineChain(GENESIS.header, 5, 'ours')) chain.addHeader(header);
    const strong = mineChild(GENESIS.header, 'strong', HARD_BITS);
    const { url } = await honest(withGenesis([strong]));
    announce(strong, url);
    await until(() => chain.best().hash).toBe(hashHeader(strong));
  });

  test('a DataHub without the newer call is asked by the older one', async () => {
    const { chain, announce } = await following();
    const theirs = mineChain(GENESIS.header, 20, 'a');
    const { url } = await serve((request, response) => {
      if (request.url?.includes('headers_to_common_ancestor') !== true) response.writeHead(404).end();
      else response.end(Buffer.concat(withGenesis(theirs).toReversed()));
    });
    announce(theirs.at(-1), url);
    await until(() => chain.best().height).toBe(20);
  });

  test('one far ahead is taken of our own DataHub by the older call alone, whose answers end at what we have', async () => {
    const { chain, announce, fetches } = await following();
    const theirs = await following();
    for (const header of mineChain(GENESIS.header, 4500, 'a')) theirs.chain.addHeader(header);
    const sources = {
      health: async () => ({ status: 200, message: 'OK', checks: [] }),
      scrape: async () => ({ contentType: '', body: '' }),
    };
    const server = new HttpServer(
      { log: theirs.log, sources, dataHub: theirs.chain },
      { listenAddress: '127.0.0.1:0', tls: undefined, routes: 'full' },
    );
    await server.start();
    stops.push(() => server.stop());
    const { url, asked } = await serve(async (request, response) => {
      const answer = await fetch(`http://${server.address()}${request.url}`);
      if (request.url?.includes('headers_from_common_ancestor') === true) response.writeHead(404).end();
      else response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
    });
    announce(theirs.chain.best().header, url);
    await until(() => fetches('done')).toBe(1);
    expect(chain.best().hash).toBe(theirs.chain.best().hash);
    expect(asked.filter((path) => path.includes('headers_to_common_ancestor'))).toHaveLength(3);
  });

  test('a DataHub that is slower than another with the same chain is no worse', async () => {
    const { chain, announce, fetches, events } = await following();
    const theirs = mineChain(GENESIS.header, 5000, 'a');
    const fast = await honest(withGenesis(theirs));
    const slow = await honest(withGenesis(theirs), 2000, () => until(() => chain.best().height).toBe(5000));
    announce(theirs.at(-1), slow.url, 'slow');
    await until(() => slow.asked.length).toBe(1);
    announce(theirs.at(-1), fast.url, 'fast');
    await until(() => fetches('done')).toBe(1);
    await until(() => fetches('known')).toBe(1);
    expect(events.map(({ type }) => type)).toEqual(['catchup_attempt', 'catchup_success', 'validated_progress']);
  });

  test('of one peer only the newest waits, and the others are not fetched', async () => {
    const { chain, announce } = await following();
    const theirs = mineChain(GENESIS.header, 40, 'a');
    const { url, asked } = await honest(withGenesis(theirs));
    for (const header of theirs) announce(header, url);
    await until(() => chain.best().height).toBe(40);
    expect(asked.length).toBeLessThanOrEqual(4);
  });
});

describe('a hard block on genesis, with more work than ten thousand headers of the chain', () => {
  /** The work of 26,000 hashes, thirteen thousand times that of an easy header. */
  const hard = mineChild(GENESIS.header, 'hard', 0x1f028547);
  const theirs = mineChain(GENESIS.header, 14_500, 'long');

  test('keeps nobody from the chain with more work', async () => {
    const { chain, announce, fetches, notified } = await following();
    chain.addHeader(hard);
    const { url, asked } = await honest(withGenesis(theirs));
    announce(theirs.at(-1), url);
    await until(() => fetches('done')).toBe(1);
    expect(chain.best()).toMatchObject({ height: 14_500, hash: hashHeader(theirs.at(-1) as Uint8Array) });
    expect(asked).toHaveLength(7 + 7 + 1);
    expect(notified.flatMap((each) => (each.type === 'block' ? [each.hash] : [])).slice(2)).toEqual([
      hashHeader(theirs[13_992] as Uint8Array),
      hashHeader(theirs.at(-1) as Uint8Array),
    ]);
  });

  test('is not left for a chain with less', async () => {
    const { chain, announce, fetches } = await following();
    chain.addHeader(hard);
    const { url } = await honest(withGenesis(theirs.slice(0, 12_900)));
    announce(theirs[12_899], url);
    await until(() => fetches('less_work')).toBe(1);
    expect([chain.best().hash, chain.header(hashHeader(theirs[0] as Uint8Array))]).toEqual([
      hashHeader(hard),
      undefined,
    ]);
  });

  test('is not left for a chain that comes too slowly', async () => {
    let ms = 0;
    const { chain, announce, fetches, events } = await following({
      clock: { now: systemClock.now, monotonic: () => (ms += 6 * 60_000) },
    });
    chain.addHeader(hard);
    const { url } = await honest(withGenesis(theirs));
    announce(theirs.at(-1), url);
    await until(() => fetches('too_slow')).toBe(1);
    expect([chain.best().hash, events]).toEqual([hashHeader(hard), []]);
  });

  test('is not left for other headers than those that were seen to have more', async () => {
    const { chain, announce, fetches, events } = await following();
    chain.addHeader(hard);
    const first = await honest(withGenesis(theirs));
    const other = mineChain(GENESIS.header, 2100, 'other');
    const { url, asked } = await serve(async (request, response) => {
      if (asked.length <= 7) {
        const answer = await fetch(new URL(request.url ?? '', first.url));
        response.end(Buffer.from(await answer.arrayBuffer()));
      } else response.end(Buffer.concat(withGenesis(other).slice(0, 2000)));
    });
    announce(theirs.at(-1), url);
    await until(() => fetches('wrong')).toBe(1);
    expect(chain.header(hashHeader(other[0] as Uint8Array))).toBeUndefined();
    expect(events.map(({ type }) => type)).toEqual(['catchup_attempt', 'catchup_failure']);
  });
});

describe('DataHubs that harm', () => {
  const hostile = mineChain(GENESIS.header, 300, 'hostile');
  const tip = hostile.at(-1) as Uint8Array;

  test('less work is not stored, however often it is announced', async () => {
    const { chain, announce, fetches, reports, notified } = await following();
    for (const header of mineChain(GENESIS.header, 400, 'ours')) chain.addHeader(header);
    const { url } = await honest(withGenesis(hostile));
    notified.length = 0;
    for (let i = 1; i <= 3; i += 1) {
      announce(tip, url);
      await until(() => fetches('less_work')).toBe(i);
    }
    expect(hostile.some((header) => chain.header(hashHeader(header)) !== undefined)).toBe(false);
    expect([reports, notified]).toEqual([[], []]);
  });

  test.each([
    ['garbage', () => Buffer.from('<html>not found</html>'), 'wrong'],
    ['bytes that have the length of headers', () => Buffer.alloc(800, 7), 'wrong'],
    ['headers of another chain', () => Buffer.concat(mineChain(hostile[9] as Uint8Array, 5, 'x')), 'wrong'],
    ['the same header again and again', () => Buffer.concat([GENESIS.header, GENESIS.header]), 'wrong'],
    ['nothing new', () => Buffer.from(GENESIS.header), 'no_progress'],
  ])('%s is the fault of the peer, and nothing is stored', async (_what, body, outcome) => {
    const { chain, announce, fetches, events, notified, reports } = await following();
    const { url, asked } = await sends(body());
    announce(tip, url);
    await until(() => fetches(outcome)).toBe(1);
    expect(chain.best().height).toBe(0);
    expect(asked).toHaveLength(1);
    expect(events.map(({ type }) => type)).toEqual(['catchup_attempt', 'catchup_failure']);
    expect(notified).toContainEqual({
      type: 'peer_failure',
      peerId: PEER,
      failureType: 'catchup',
      reason: expect.stringContaining(outcome),
    });
    expect(reports).toEqual([]);
  });

  test('a header that breaks the rules is reported as an invalid block of the peer', async () => {
    const { chain, announce, fetches, events, reports } = await following();
    const bad = mineChild(hostile[1] as Uint8Array, 'old', EASY_BITS, -10_000);
    const { url } = await honest(withGenesis([...hostile.slice(0, 2), bad]));
    announce(bad, url);
    await until(() => fetches('invalid')).toBe(1);
    expect(reports).toMatchObject([{ hash: hashHeader(bad), peerId: PEER, peerUrl: url }]);
    expect(events.map(({ type }) => type)).toEqual(['catchup_attempt', 'catchup_malicious']);
    expect(chain.best().height).toBe(0);
  });

  test('short answers without an end are left, and do not count as a fault', async () => {
    const { chain, announce, fetches, events } = await following();
    const { url, asked } = await honest(withGenesis(hostile), 3);
    announce(tip, url);
    await until(() => fetches('too_slow')).toBe(1);
    expect([asked.length, chain.best().height, events]).toEqual([1, 2, []]);
  });

  test('an endless and a silent DataHub end, and hold up no other peer', async () => {
    const { chain, announce, fetches, notified } = await following({ deadlineMs: 1000 });
    const endless = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', more);
      more();
    });
    const silent = await serve(() => {});
    for (let i = 0; i < 3; i += 1) announce(tip, silent.url, `silent${i}`);
    announce(tip, endless.url, 'endless');
    const theirs = mineChain(GENESIS.header, 3, 'good');
    const good = await honest(withGenesis(theirs));
    announce(theirs[2], good.url, 'good');
    await until(() => chain.best().height).toBe(3);
    await until(() => [fetches('too_long'), fetches('timeout')]).toEqual([1, 3]);
    await until(() => silent.open() + endless.open()).toBe(0);
    const failed = notified.flatMap((each) => (each.type === 'peer_failure' ? [each.peerId] : []));
    expect(failed).toEqual(['endless']);
  });

  test('a flood of announcements is bounded, and a stop ends what is under way at once', async () => {
    const { announce, follower, log } = await following({ deadlineMs: 60_000 });
    const silent = await serve(() => {});
    for (let i = 0; i < 900; i += 1) announce(tip, silent.url, `peer${i}`);
    await until(() => silent.asked.length).toBe(4);
    await follower.stop(1000);
    await until(silent.open).toBe(0);
    expect(silent.asked).toHaveLength(4);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
