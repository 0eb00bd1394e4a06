// The dashboard in a real browser, of running servers with Go peers.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Chromium } from '../support/chromium.ts';
import { GoPeer } from '../support/go-peer.ts';
import { freePort } from '../support/kafka-broker.ts';
import {
  allTopics,
  blockFields,
  headerHash,
  mainnetHeaders,
  PSK,
  privateNetwork,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const VIEWS = ['overview', 'network', 'peers', 'feed', 'bans'];
const MAX_BYTES = 150_000;
const EVENTS = 10_000;
/** Of a page that hangs; on a busy machine a frame may take a second. */
const MAX_FRAME_MS = 5000;
const MEASURE_FRAMES = `(() => {
  let [longestMs, frames, lastMs, id] = [0, 0, performance.now()];
  id = requestAnimationFrame(function frame() {
    const nowMs = performance.now();
    [longestMs, frames, lastMs] = [Math.max(longestMs, nowMs - lastMs), frames + 1, nowMs];
    id = requestAnimationFrame(frame);
  });
  window.endFrames = () => {
    cancelAnimationFrame(id);
    return { longestMs: Math.round(longestMs), frames };
  };
})()`;
const topics = topicsOf('mainnet');
const [, ...headers] = mainnetHeaders();
const header = (height: number) => headers[height - 1] ?? Buffer.alloc(0);

let server: ServerProcess;
let browser: Chromium;
const stopped: (() => Promise<unknown>)[] = [];

async function startServer(settings: Record<string, string>, dataFolder?: string): Promise<ServerProcess> {
  return await ServerProcess.start({
    settings: { ...privateNetwork('mainnet'), p2p_author_rate: '0', logLevel: 'INFO', ...settings },
    ...(dataFolder === undefined ? {} : { dataFolder }),
  });
}

/** A Go peer in the mesh of the server. */
async function joined(): Promise<GoPeer> {
  const peer = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), discard: true, outboundQueue: 20_000 });
  stopped.push(() => peer.stop());
  await peer.connect(server.address);
  for (const topic of [topics.block, topics.subtree]) {
    const isIn = async () => (await peer.mesh()).mesh[topic]?.includes(server.peerId);
    await waitFor(isIn, { what: `the mesh of ${topic}` });
  }
  return peer;
}

const url = () => `http://${server.ready.httpAddress}/`;

async function open(view: string): Promise<void> {
  if (browser.page.url().startsWith(url())) await browser.page.evaluate((hash) => location.assign(hash), `#/${view}`);
  else await browser.page.goto(`${url()}#/${view}`);
  await browser.shows('.connection', 'Live');
}

/** Text of the control's label, its accessible name. */
async function type(label: string, text: string): Promise<void> {
  await browser.page.locator(`::-p-aria([name="${label}"][role="textbox"])`).fill(text);
}

const press = (name: string) => browser.page.locator(`::-p-aria([name="${name}"][role="button"])`).click();
const adminKey = () => readFileSync(join(server.dataFolder, 'admin.key'), 'utf8').trim();
const connected = async () => JSON.parse((await server.get('/api/v1/peers')).body).peers.length as number;

beforeAll(async () => {
  browser = await Chromium.start();
  server = await startServer({ p2p_http_listen_address: `127.0.0.1:${await freePort()}`, p2p_min_peers_for_sync: '0' });
});

afterEach(async () => {
  await Promise.all(stopped.splice(0).map((stop) => stop()));
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

describe('the dashboard', () => {
  test('is live soon after it was opened, and all of it is small', async () => {
    const session = await browser.page.createCDPSession();
    await session.send('Network.enable');
    const files = new Map<string, string>();
    let bytes = 0;
    session.on('Network.responseReceived', ({ requestId, response }) => files.set(requestId, response.url));
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const { pathname } = new URL(files.get(requestId) ?? url());
      if (pathname === '/' || pathname.startsWith('/assets/')) bytes += encodedDataLength;
    });
    const startedMs = performance.now();
    await browser.page.goto(url());
    await browser.page.waitForSelector('nav a');
    const shownMs = Math.round(performance.now() - startedMs);
    await browser.shows('.connection', 'Live');
    const liveMs = Math.round(performance.now() - startedMs);
    console.log(`dashboard: ${bytes} bytes, navigation after ${shownMs} ms, live after ${liveMs} ms`);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(MAX_BYTES);
    await session.detach();
    for (const view of VIEWS) {
      await open(view);
      await browser.shows('main h1', new RegExp(view, 'i'));
      await browser.shows('nav [aria-current=page]', new RegExp(view, 'i'));
    }
  });

  test('shows peers as they come and go, and sorts them', async () => {
    await open('peers');
    await browser.shows('[data-test=peer-count]', '0 peers are connected');
    const [first, second] = [await joined(), await joined()];
    await browser.shows('[data-test=peer-count]', '2 peers are connected');
    const names = () => browser.page.$$eval('tbody th a', (links) => links.map((link) => link.title));
    expect((await names()).sort()).toEqual([first.peerId, second.peerId].sort());
    const before = await names();
    await press('Name');
    await waitFor(async () => (await names()).join() === before.toReversed().join(), { what: 'the other order' });
    expect(await browser.page.$eval('thead th', (cell) => cell.getAttribute('aria-sort'))).toBe('descending');
    await browser.page.locator(`tbody th a[title="${first.peerId}"]`).click();
    await browser.shows('main', 'Ban score and evidence');
    await first.stop();
    await browser.shows('main', 'This peer is not connected');
    await open('peers');
    await browser.shows('[data-test=peer-count]', 'One peer is connected');
  });

  test('shows a block that a peer announces, in the feed and in the graph', async () => {
    const peer = await joined();
    await open('network');
    await browser.shows('table', peer.peerId.slice(-6));
    const pulses = () => browser.page.$eval('canvas.graph', ({ dataset }) => Number(dataset.pulses));
    const before = await pulses();
    await peer.publish(topics.block, JSON.stringify(blockFields(header(1), 1, peer.peerId)));
    await waitFor(async () => (await pulses()) > before, { what: 'a pulse in the graph' });
    await browser.shows('table', 'block 1');
    await open('feed');
    const row = `tr.block[data-hash="${headerHash(header(1))}"]`;
    expect(await browser.shows(row, peer.peerId.slice(-6))).toContain('block');
    await browser.page.locator('::-p-aria([name="subtree"][role="checkbox"])').click();
    await browser.page.waitForSelector(row, { hidden: true });
    await peer.publish(topics.subtree, JSON.stringify(subtreeFields(peer.peerId)));
    await browser.shows('tr.subtree', peer.peerId.slice(-6));
    await browser.page.locator('::-p-aria([name="subtree"][role="checkbox"])').click();
    await press('Pause');
    const shown = await browser.page.$$eval('tbody tr', ({ length }) => length);
    const counted = await browser.text('[data-test=event-count]');
    await peer.publish(topics.subtree, JSON.stringify(subtreeFields(peer.peerId)));
    await waitFor(async () => (await browser.text('[data-test=event-count]')) !== counted, { what: 'another event' });
    expect(await browser.page.$$eval('tbody tr', ({ length }) => length)).toBe(shown);
    await press('Continue');
    await waitFor(async () => (await browser.page.$$eval('tbody tr', ({ length }) => length)) > shown, {
      what: 'the events after the pause',
    });
  });

  test('says why a peer is the sync peer or was passed over, and shows the peers that were compared', async () => {
    const peer = await joined();
    await open('overview');
    await peer.publish(topics.block, JSON.stringify(blockFields(header(1), 1, peer.peerId)));
    await browser.shows('[data-test=sync-reason]', /only peer that can be used|none of them can be used/);
    expect(await browser.page.$('[data-test=compared][open]')).toBeNull();
    await browser.page.locator('[data-test=compared] summary').click();
    await browser.shows('[data-test=compared] tbody', peer.peerId.slice(-6));
    expect(await browser.findings()).toEqual([]);
    await open('peers');
    const columns = await browser.page.$$eval('thead th', (cells) => cells.map(({ textContent }) => textContent));
    const nth = columns.findIndex((title) => title?.startsWith('Sync')) + 1;
    await browser.shows(`tbody tr td:nth-child(${nth})`, /sync peer|DataHub/);
  });

  test('shows who delivered a subtree first, and how much later the others did', async () => {
    const [first, second] = [await joined(), await joined()];
    await second.connect(first.addresses[0] ?? '');
    await open('network');
    // Which way is faster is up to the peers: some of several come over both.
    await waitFor(
      async () => {
        await first.publish(topics.subtree, JSON.stringify(subtreeFields(first.peerId)));
        return / \+[\d.]+ m?s/.test(await browser.text('[data-test=propagation] tbody'));
      },
      { what: 'a later copy', timeoutMs: 60_000 },
    );
    await browser.shows('[data-test=propagation] tbody', first.peerId.slice(-6));
    await open('overview');
    const chart = '[aria-label^="Propagation delay. Now: p50 "]';
    await waitFor(
      async () => {
        await first.publish(topics.subtree, JSON.stringify(subtreeFields(first.peerId)));
        const label = await browser.page.$eval(chart, (element) => element.getAttribute('aria-label') ?? '');
        return /p50 [\d.]+ ms, p99 [\d.]+ ms/.test(label);
      },
      { what: 'percentiles in the chart', timeoutMs: 60_000 },
    );
  });

  test('reads the feed once for many tabs, and goes on when the tab that reads is closed', async () => {
    const peer = await joined();
    await open('feed');
    const tabs = [];
    // More than the connections that a browser opens to one server.
    for (let i = 0; i < 8; i += 1) {
      const tab = await browser.page.browser().newPage();
      await tab.goto(`${url()}#/feed`);
      tabs.push(tab);
    }
    const isLive = async (tab: Page) => (await tab.$('.connection[data-state=live]')) !== null;
    const clients = async () => /^teranode_p2p_sse_clients (\d+)$/m.exec((await server.get('/metrics')).body)?.[1];
    for (const tab of tabs) await waitFor(() => isLive(tab), { what: 'a live tab' });
    await waitFor(async () => (await clients()) === '1', { what: 'one reader of the feed' });
    const shows = async (tab: Page, height: number) => {
      await tab.bringToFront();
      const row = `tr.block[data-hash="${headerHash(header(height))}"]`;
      await waitFor(async () => (await tab.$$(row)).length === 1, { what: `block ${height} in a tab` });
    };
    await peer.publish(topics.block, JSON.stringify(blockFields(header(4), 4, peer.peerId)));
    for (const tab of tabs) await shows(tab, 4);
    // The first tab reads.
    await browser.page.goto('about:blank');
    await waitFor(async () => (await clients()) === '1', { what: 'another reader of the feed' });
    await peer.publish(topics.block, JSON.stringify(blockFields(header(5), 5, peer.peerId)));
    for (const tab of tabs) {
      await shows(tab, 5);
      await shows(tab, 4);
      expect(await tab.$$('tr.lost')).toEqual([]);
    }
    for (const tab of tabs) await tab.close();
    await browser.page.bringToFront();
  });

  test('bans and lifts bans with the admin key, which is in no address', async () => {
    const peer = await joined();
    await waitFor(async () => (await connected()) === 1, { what: 'one peer' });
    await open(`bans/${peer.peerId}`);
    await type('Admin key', 'a wrong key');
    await press('Use the key');
    await press('Ban');
    await browser.shows('[data-test=ban-result]', 'Refused');
    await press('Forget the key');
    await type('Admin key', adminKey());
    await press('Use the key');
    await type('Reason (optional)', 'a test of the page');
    await press('Ban');
    await browser.shows('[data-test=ban-result]', `${peer.peerId} is banned`);
    await waitFor(async () => (await connected()) === 0, { what: 'the end of the connection' });
    await browser.shows('table', 'a test of the page');
    expect(await browser.findings()).toEqual([]);
    await press(`Lift the ban of ${peer.peerId}`);
    await browser.shows('[data-test=ban-result]', 'is lifted');
    await browser.shows('main', 'Nobody is banned');
    for (const request of browser.requests) expect(request).not.toContain(encodeURIComponent(adminKey()));
    expect(browser.page.url()).not.toContain(adminKey());
    await press('Forget the key');
    expect(await browser.page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).toBe('{}');
    // What the browser itself says of the refusal that was wanted.
    browser.errors.splice(0, browser.errors.length, ...browser.errors.filter((text) => !/status of 40[13]/.test(text)));
  });

  test('says that the server is gone, and goes on after its restart without an event twice', async () => {
    let peer = await joined();
    await open('feed');
    await peer.publish(topics.block, JSON.stringify(blockFields(header(2), 2, peer.peerId)));
    await browser.shows(`tr[data-hash="${headerHash(header(2))}"]`, 'block');
    const { httpAddress } = server.ready;
    await server.stop();
    await browser.shows('.connection', 'Connection to the server lost');
    server = await startServer({ p2p_http_listen_address: httpAddress }, server.dataFolder);
    await browser.shows('.connection', 'Live');
    await browser.shows('tr.lost', 'the server restarted');
    peer = await joined();
    await peer.publish(topics.block, JSON.stringify(blockFields(header(3), 3, peer.peerId)));
    await browser.shows(`tr[data-hash="${headerHash(header(3))}"]`, 'block');
    const hashes = await browser.page.$$eval('tr.block', (rows) => rows.map((row) => row.getAttribute('data-hash')));
    for (const height of [2, 3]) expect(hashes.filter((hash) => hash === headerHash(header(height)))).toHaveLength(1);
    // What the browser itself says of requests that nobody answered.
    const isExpected = (text: string) => /net::ERR_/.test(text);
    browser.errors.splice(0, browser.errors.length, ...browser.errors.filter((text) => !isExpected(text)));
  });

  test('stays responsive while ten thousand events come', async () => {
    const peer = await joined();
    const count = async () => Number((await browser.text('[data-test=event-count]')).split(' ')[0]);
    const drawn = () => browser.page.$eval('canvas.graph', ({ dataset }) => Number(dataset.pulses));
    for (const view of ['network', 'feed']) {
      await open(view);
      const seen = view === 'feed' ? count : drawn;
      const before = await seen();
      await browser.page.evaluate(MEASURE_FRAMES);
      await peer.publishMany({ topic: topics.subtree, subtrees: EVENTS, ratePerSecond: 500 });
      await waitFor(async () => (await seen()) >= before + EVENTS, { what: 'all events', timeoutMs: 90_000 });
      const { longestMs, frames } = (await browser.page.evaluate('window.endFrames()')) as Record<string, number>;
      console.log(`dashboard, ${view}: ${EVENTS} events, 500 per second: longest of ${frames} frames ${longestMs} ms`);
      expect(frames).toBeGreaterThan(10);
      expect(longestMs).toBeLessThan(MAX_FRAME_MS);
    }
    expect(await browser.page.$$eval('tbody tr', ({ length }) => length)).toBeLessThanOrEqual(200);
  });

  test('has nothing that axe-core finds wrong, in light, in dark and on a phone', async () => {
    const peer = await joined();
    await peer.publish(topics.block, JSON.stringify(blockFields(header(1), 1, peer.peerId)));
    const found: unknown[] = [];
    for (const scheme of ['light', 'dark'])
      for (const width of [1280, 360]) {
        await browser.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        await browser.page.setViewport({ width, height: 800 });
        for (const view of [...VIEWS, `peers/${peer.peerId}`]) {
          await open(view);
          await browser.page.waitForSelector(view.includes('/') ? '#evidence' : 'main h1');
          found.push(...(await browser.findings()).map((finding) => ({ view, scheme, width, ...finding })));
          // A chart takes a frame to follow its panel.
          const fits = async () => (await browser.tooWide()).length === 0;
          await waitFor(fits, { what: 'a page that fits', timeoutMs: 5000 }).catch(() => {});
          const wide = await browser.tooWide();
          found.push(...wide.map((at) => ({ view, scheme, width, rule: 'no scrolling to the side', at })));
        }
      }
    expect(found).toEqual([]);
    await browser.page.setViewport({ width: 1280, height: 900 });
  });

  test('lets its user choose another theme than that of the system, and remembers it', async () => {
    await browser.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await open('overview');
    const shown = () => browser.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await shown();
    await browser.page.select('.theme select', 'dark');
    expect(await shown()).not.toBe(light);
    await browser.page.reload();
    await browser.shows('.connection', 'Live');
    expect(await shown()).not.toBe(light);
    await browser.page.select('.theme select', 'system');
    expect(await shown()).toBe(light);
  });

  test('asks nobody but its server, and has no error on the console', () => {
    expect(browser.requests.filter((request) => !request.startsWith(url()))).toEqual([]);
    // What the browser itself says of /health/ready while the server starts again, or of a check that took too long.
    expect(browser.errors.filter((text) => !/status of 503/.test(text))).toEqual([]);
  });
});

test('the dashboard of a listener beyond loopback asks for the admin key', async () => {
  const other = await startServer({ p2p_http_listen_address: `0.0.0.0:${await freePort()}` });
  stopped.push(() => other.stop());
  const visitor = await Chromium.start();
  stopped.push(() => visitor.close());
  await visitor.page.goto(`http://127.0.0.1:${other.ready.httpAddress.split(':').at(-1)}/`);
  await visitor.shows('main', 'The server refuses to show its state');
  await visitor.shows('.connection', 'asks for the admin key');
  const key = readFileSync(join(other.dataFolder, 'admin.key'), 'utf8').trim();
  await visitor.page.locator('::-p-aria([name="Admin key"][role="textbox"])').fill(key);
  await visitor.page.locator('::-p-aria([name="Use the key"][role="button"])').click();
  await visitor.shows('.connection', 'Live');
  await visitor.shows('[data-test=own-height]', /\d/);
});

test('the dashboard is not there when it is turned off', async () => {
  const other = await startServer({ p2p_http_dashboard: 'false' });
  stopped.push(() => other.stop());
  expect((await other.get('/')).status).toBe(404);
  expect((await other.get('/api/v1/peers')).status).toBe(200);
});
