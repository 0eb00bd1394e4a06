// A real browser with one page, of which everything that a user would not see is kept: requests, errors, sizes.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/** A finding of axe-core: the rule and where it was broken. */
export interface Finding {
  readonly rule: string;
  readonly at: string;
}

/** Puppeteer does not look for programs. */
function pathOf(program: string): string {
  const files = (process.env.PATH ?? '').split(':').map((folder) => join(folder, program));
  return files.find((file) => existsSync(file)) ?? program;
}

export class Chromium {
  readonly page: Page;
  /** Addresses of all requests. */
  readonly requests: string[] = [];
  /** Errors and warnings on the console, and errors of scripts. */
  readonly errors: string[] = [];
  private readonly browser: Browser;

  private constructor(browser: Browser, page: Page) {
    this.browser = browser;
    this.page = page;
    page.on('request', (request) => this.requests.push(request.url()));
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warn'].includes(message.type())) this.errors.push(message.text());
    });
  }

  static async start(): Promise<Chromium> {
    requireTool('chromium', ['--version'], 'Debian package chromium');
    const browser = await puppeteer.launch({
      executablePath: pathOf('chromium'),
      userDataDir: temporaryFolder('chromium'),
      args: ARGUMENTS,
      timeout: 60_000,
    });
    const child = browser.process();
    if (child !== null) endWithTests(child);
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    return new Chromium(browser, page);
  }

  /** Text of the first element that fits; empty where there is none. */
  async text(selector: string): Promise<string> {
    return await this.page.evaluate((at) => document.querySelector(at)?.textContent ?? '', selector);
  }

  async shows(selector: string, text: string | RegExp, timeoutMs = 30_000): Promise<string> {
    const has = (shown: string) => (typeof text === 'string' ? shown.includes(text) : text.test(shown));
    return await waitFor(
      async () => {
        const shown = await this.text(selector);
        return has(shown) ? shown : undefined;
      },
      { what: `"${text}" in ${selector}`, timeoutMs },
    );
  }

  /** What axe-core finds on the page as it is. */
  async findings(): Promise<Finding[]> {
    await this.page.evaluate(axe.source);
    return (await this.page.evaluate(`axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => ({ rule: id, at: html.slice(0, 200) + ' ' + failureSummary }))))`)) as Finding[];
  }

  /** Elements that make the page wider than its window. */
  async tooWide(): Promise<string[]> {
    return await this.page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      if (scrollWidth <= clientWidth) return [];
      const found = [...document.querySelectorAll('body *')].filter(
        (each) => each.getBoundingClientRect().right > clientWidth + 1 && each.closest('.scroll') === null,
      );
      return [`${scrollWidth} pixels`, ...found.map(({ tagName, className }) => `${tagName} ${className}`)].slice(0, 6);
    });
  }

  async close(): Promise<void> {
    await this.browser.close();
  }
}
