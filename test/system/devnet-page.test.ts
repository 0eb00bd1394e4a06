// The dashboard of a development network in a real browser.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Chromium } from '../support/chromium.ts';
import { DevnetProcess } from '../support/devnet.ts';
import { freePort } from '../support/kafka-broker.ts';
import { waitFor } from '../support/wait.ts';

const TIMEOUT_MS = 60_000;
const MAX_BYTES = 150_000;

let devnet: DevnetProcess;
let browser: Chromium;
let port = 0;

/** The page comes back at the same address after a restart of the command. */
async function startDevnet(): Promise<void> {
  devnet = new DevnetProcess(['--nodes', '3', '--mine-every', '0', '--http-port', String(port)]);
  await devnet.event('ready');
}

const url = () => `http://127.0.0.1:${port}/`;
const press = (name: string) => browser.page.locator(`::-p-aria([name="${name}"][role="button"])`).click();
const choose = (name: string, value: string) => browser.page.select(`select[name="${name}"]`, value);
/** In the form of that title. */
const chooseIn = (title: string, name: string, value: string) =>
  browser.page.select(`form[aria-label="${title}"] select[name="${name}"]`, value);

/** Text of a cell in the table of nodes, by the heading of its column. */
async function cell(node: number, heading: string): Promise<string> {
  return await browser.page.evaluate(
    (row, title) => {
      const table = document.querySelector('[aria-labelledby=nodes] table');
      const headings = [...(table?.querySelectorAll('thead th') ?? [])].map(({ textContent }) => textContent);
      const column = headings.findIndex((text) => text?.startsWith(title));
      return table?.querySelectorAll('tbody tr')[row - 1]?.children[column]?.textContent ?? '';
    },
    node,
    heading,
  );
}

async function cellShows(node: number, heading: string, text: string | RegExp): Promise<void> {
  await waitFor(async () => (await cell(node, heading)).match(text) !== null, {
    what: `${heading} of node ${node} to be ${text}`,
    timeoutMs: TIMEOUT_MS,
  });
}

async function says(text: string): Promise<void> {
  await browser.shows('[data-test=result]', text, TIMEOUT_MS);
}

async function hasEvent(name: string, text: string | RegExp): Promise<void> {
  const texts = () =>
    browser.page.$$eval(`tr[data-event="${name}"] td:last-child`, (cells) => cells.map((each) => each.textContent));
  await waitFor(async () => (await texts()).some((each) => each?.match(text)), {
    what: `the event ${name}: ${text}`,
    timeoutMs: TIMEOUT_MS,
  });
}

const cutLinks = async () => (await devnet.state()).links.filter(({ state }) => state === 'cut').length;

beforeAll(async () => {
  browser = await Chromium.start();
  port = await freePort();
  await startDevnet();
}, 180_000);

afterAll(async () => {
  await browser?.close();
  devnet?.child.kill('SIGKILL');
});

describe('the dashboard of a development network', () => {
  test('shows all nodes with links to their own dashboards, and all of it is small', async () => {
    const session = await browser.page.createCDPSession();
    await session.send('Network.enable');
    const files = new Map<string, string>();
    let bytes = 0;
    session.on('Network.responseReceived', ({ requestId, response }) => files.set(requestId, response.url));
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      const { pathname } = new URL(files.get(requestId) ?? url());
      if (pathname === '/' || pathname.startsWith('/assets/')) bytes += encodedDataLength;
    });
    await browser.page.goto(url());
    await browser.shows('.connection', 'Live');
    for (const node of [1, 2, 3]) {
      await cellShows(node, 'State', 'running');
      await cellShows(node, 'Connected', '2 of 2');
    }
    const shown = await browser.page.$$eval('tbody th a', (links) => links.map(({ href }) => href));
    expect(shown).toEqual((await devnet.state()).nodes.map(({ http }) => `${http}/`));
    await session.detach();
    console.log(`dashboard of a devnet: ${bytes} bytes`);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(MAX_BYTES);
  });

  test('mines, and a block travels to the other nodes', async () => {
    const pulses = () => browser.page.$eval('canvas.graph', ({ dataset }) => Number(dataset.pulses));
    expect(await pulses()).toBe(0);
    await chooseIn('Mine now', 'node', '2');
    await press('Mine');
    await says('Node 2 mines a block.');
    await waitFor(async () => (await pulses()) >= 2, { what: 'two hops of the block', timeoutMs: TIMEOUT_MS });
    for (const node of [1, 2, 3]) await cellShows(node, 'Height', '1');
    await hasEvent('block', 'mined by node 2, heard by 2 of 2 other nodes');
    await browser.shows('[data-test=branches]', 'All nodes have the same tip', TIMEOUT_MS);
  });

  test('cuts a link with the keyboard, and restores it with a click on it', async () => {
    await choose('link', '1-3');
    await browser.page.focus('form[aria-label="A link"] select');
    await browser.page.keyboard.press('Tab');
    await browser.page.keyboard.press('Enter');
    await says('The link between nodes 1 and 3 is cut.');
    expect((await devnet.state()).links.filter(({ state }) => state === 'cut')).toMatchObject([{ a: 1, b: 3 }]);
    await cellShows(1, 'Connected', '1 of 2');
    await hasEvent('link', 'between nodes 1 and 3 cut');

    await press('Restore');
    await says('The link between nodes 1 and 3 is restored.');
    await cellShows(1, 'Connected', '2 of 2');

    // Where a link is under the pointer, the pointer says so; a part that is cut off moves.
    const linkAt = () =>
      browser.page.$eval('canvas.graph', (canvas) => {
        const { left, top, width, height } = canvas.getBoundingClientRect();
        for (let y = 0; y < height; y += 6)
          for (let x = 0; x < width; x += 6) {
            const at = { clientX: left + x, clientY: top + y };
            canvas.dispatchEvent(new MouseEvent('mousemove', at));
            if (canvas.style.cursor === 'pointer') return at;
          }
        return undefined;
      });
    await browser.page.$eval('canvas.graph', (canvas) => canvas.scrollIntoView());
    await waitFor(
      async () => {
        const at = await linkAt();
        if (at !== undefined) await browser.page.mouse.click(at.clientX, at.clientY);
        return (await cutLinks()) === 1;
      },
      { what: 'a link that a click cut', timeoutMs: TIMEOUT_MS },
    );
    await browser.shows('[data-test=result]', /The link between nodes \d and \d is cut/);
    await press('Join all');
    await says('All links are restored.');
    expect(await cutLinks()).toBe(0);
  });

  test('parts the network, whose parts go on alone, and joins it', async () => {
    const before = Number(await cell(1, 'Height'));
    await browser.page.click('input[name="part 1"]');
    await press('Part');
    await says('Nodes 1 are parted from nodes 2,3.');
    expect(await cutLinks()).toBe(2);
    await cellShows(1, 'Connected', '0 of 2');
    await chooseIn('Mine now', 'node', '1');
    await press('Mine');
    await cellShows(1, 'Height', String(before + 1));
    await cellShows(2, 'Height', String(before));
    await browser.shows('[data-test=branches]', 'The nodes have 2 different tips', TIMEOUT_MS);
    await press('Join all');
    await says('All links are restored.');
    await cellShows(1, 'Connected', '2 of 2');
    await press('Mine');
    await cellShows(3, 'Height', String(before + 2));
  });

  test('slows a node, and no longer', async () => {
    await chooseIn('Slow a node', 'node', '3');
    await press('Set the delay');
    await says('Node 3 is delayed by 500 ms.');
    // What the user enters outlives the news that come meanwhile.
    await browser.page.locator('input[name=slowMs]').fill('250');
    await cellShows(3, 'Delay', '500 ms');
    expect((await devnet.state()).nodes[2]?.slowMs).toBe(500);
    expect(await browser.page.$eval('input[name=slowMs]', (input) => input.value)).toBe('250');
    await browser.page.locator('input[name=slowMs]').fill('0');
    await press('Set the delay');
    await says('Node 3 is no longer delayed.');
    await cellShows(3, 'Delay', '–');
  });

  test('adds a liar, and shows that every node bans it', async () => {
    await press('Add a liar');
    await hasEvent('liar', '1 started');
    for (const node of [1, 2, 3]) {
      await hasEvent('ban', `node ${node} banned liar 1: `);
      await cellShows(node, 'Bans', 'liar 1');
    }
    await hasEvent('liar', '1 stopped');
  });

  test('lets a node ban another one, and lift the ban', async () => {
    await chooseIn('Ban', 'node', '2');
    await chooseIn('Ban', 'subject', '3');
    await press('Ban');
    await says('Node 2 bans node 3.');
    await cellShows(2, 'Bans', 'node 3');
    await cellShows(2, 'Connected', '1 of 2');
    await press('Lift the ban');
    await says('Node 2 no longer bans node 3.');
    await cellShows(2, 'Bans', /^liar 1$/);
    await cellShows(2, 'Connected', '2 of 2');
  });

  test('stops a node and starts it again, which then follows the others', async () => {
    await chooseIn('Stop and start a node', 'node', '3');
    await press('Stop');
    await says('Node 3 is stopped.');
    await cellShows(3, 'State', 'ended');
    await press('Mine');
    const height = Number(await cell(1, 'Height')) + 1;
    await press('Start');
    await cellShows(3, 'State', 'running');
    await cellShows(3, 'Connected', '2 of 2');
    await press('Mine');
    await waitFor(async () => Number(await cell(3, 'Height')) >= height, {
      what: 'the height of node 3',
      timeoutMs: TIMEOUT_MS,
    });
  });

  test('says what the network refuses, and which choice is missing', async () => {
    await chooseIn('Ban', 'subject', '2');
    await press('Ban');
    await says('Refused: node 2 cannot ban itself');
    browser.errors.splice(0, browser.errors.length, ...browser.errors.filter((text) => !/status of 400/.test(text)));
    await browser.page.click('input[name="part 1"]');
    await press('Part');
    await says('Choose the nodes of one part: at least one, and not all.');
  });

  test('has nothing that axe-core finds wrong, in light, in dark and on a phone', async () => {
    await chooseIn('Mine now', 'node', '1');
    await choose('link', '1-2');
    await press('Cut');
    await says('The link between nodes 1 and 2 is cut.');
    const found: unknown[] = [];
    for (const scheme of ['light', 'dark'])
      for (const width of [360, 1280, 2200]) {
        await browser.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
        await browser.page.setViewport({ width, height: 900 });
        found.push(...(await browser.findings()).map((finding) => ({ scheme, width, ...finding })));
        const fits = async () => (await browser.tooWide()).length === 0;
        await waitFor(fits, { what: 'a page that fits', timeoutMs: 5000 }).catch(() => {});
        found.push(...(await browser.tooWide()).map((at) => ({ scheme, width, rule: 'no scrolling to the side', at })));
      }
    expect(found).toEqual([]);
    await browser.page.setViewport({ width: 1280, height: 900 });
    await press('Join all');
    await says('All links are restored.');
  });

  test('says that the command is gone, and goes on with the network of the next one', async () => {
    devnet.child.kill('SIGTERM');
    await devnet.exitCode();
    await browser.shows('.connection', 'Connection to the devnet command lost');
    await startDevnet();
    await browser.shows('.connection', 'Live', TIMEOUT_MS);
    await cellShows(1, 'Height', '0');
    await press('Mine');
    for (const node of [1, 2, 3]) await cellShows(node, 'Height', '1');
    // What the browser itself says of requests that nobody answered.
    browser.errors.splice(0, browser.errors.length, ...browser.errors.filter((text) => !/net::ERR_/.test(text)));
  }, 180_000);

  test('asks nobody but its command, and has no error on the console', () => {
    expect(browser.requests.filter((request) => !request.startsWith(url()))).toEqual([]);
    expect(browser.errors).toEqual([]);
  });
});
