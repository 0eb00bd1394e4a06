// The dashboard as a browser gets it: its files, headers and refusals.
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildDashboard } from '../../scripts/make-dashboard.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { REPO } from '../support/repo.ts';

stopHttpAfterEach();

const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";
const MAX_GZIP_BYTES = 150_000;
const folder = temporaryFolder('page');
let names: string[] = [];

beforeAll(async () => {
  const { files } = await buildDashboard(REPO);
  for (const [name, content] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  names = files.map(([name]) => name);
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

/** As sent: fetch would tidy paths up and decompress. */
async function ask(
  address: string,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  const [host, port] = address.split(':');
  return await new Promise((resolve, reject) => {
    const sent = request({ host, port, path, method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on('error', reject).end();
  });
}

const serve = async () => (await serveHttp({ pageFolders: [join(folder, 'nothing'), folder] })).address;

describe('the dashboard', () => {
  test('is at /, with headers that keep other hosts and inline scripts out', async () => {
    const { status, headers, body } = await ask(await serve(), '/');
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
      vary: 'accept-encoding',
    });
    const text = body.toString();
    expect(text).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|style=/);
    expect([...text.matchAll(/(?:src|href)="([^"]*)"/g)].every(([, to]) => to?.startsWith('/assets/'))).toBe(true);
  });

  test('has files that browsers keep for good, because their names hold the hash of their content', async () => {
    const address = await serve();
    const files = names.filter((name) => name.startsWith('assets/') && !name.endsWith('.gz'));
    expect(new Set(files.map((name) => name.replace(/^.*\./, '')))).toEqual(new Set(['css', 'js', 'svg']));
    for (const name of files) {
      expect(name).toMatch(/-[\w-]{8}\.\w+$/);
      const { status, headers } = await ask(address, `/${name}`);
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        'cache-control': 'public, max-age=31536000, immutable',
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
      });
    }
  });

  test('is the page of the node alone: that of a development network is served by its command', async () => {
    expect(names).toContain('devnet.html');
    expect((await ask(await serve(), '/devnet.html')).status).toBe(404);
  });

  test('is sent compressed to who accepts that, and is small', async () => {
    const address = await serve();
    let bytes = 0;
    for (const name of [
      '/',
      ...names.filter((each) => /^assets\/.*(js|css|svg)$/.test(each)).map((each) => `/${each}`),
    ]) {
      const plain = await ask(address, name);
      const packed = await ask(address, name, { 'accept-encoding': 'br, gzip;q=0.8' });
      expect(plain.headers['content-encoding']).toBeUndefined();
      expect(packed.headers['content-encoding']).toBe('gzip');
      expect(gunzipSync(packed.body).equals(plain.body)).toBe(true);
      bytes += packed.body.length;
    }
    expect(bytes).toBeLessThan(MAX_GZIP_BYTES);
    for (const accepted of ['identity', 'br', 'gzip;q=0', 'gzip;q=0.0, br'])
      expect((await ask(address, '/', { 'accept-encoding': accepted })).headers['content-encoding']).toBeUndefined();
  });

  test('answers HEAD with the headers of GET', async () => {
    const address = await serve();
    const { headers } = await ask(address, '/');
    const head = await ask(address, '/', {}, 'HEAD');
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([
      ...[200, 0, headers['content-length']],
    ]);
  });

  test('has no file besides its own', async () => {
    const address = await serve();
    writeFileSync(join(folder, '..', 'secret.js'), 'secret');
    for (const path of [
      ...['/assets/', '/assets/nothing.js', '/assets/index.html', '/index.html', '/assets', '/THIRD-PARTY-LICENSES.md'],
      ...['/assets/../index.html', '/assets/..%2findex.html', '/assets/..%2f..%2fsecret.js', '/..%2fsecret.js'],
      ...['/assets/%2e%2e%2f%2e%2e%2fsecret.js', '/assets/..%5c..%5csecret.js', '/../secret.js'],
      ...[`/assets/${names.find((name) => name.endsWith('.js.gz'))?.slice('assets/'.length)}`, '/assets/__proto__'],
    ]) {
      const { status, body } = await ask(address, path);
      expect([path, status, JSON.parse(body.toString()).code]).toEqual([path, 404, 'NOT_FOUND']);
    }
    for (const method of ['POST', 'PUT', 'DELETE']) expect((await ask(address, '/', {}, method)).status).toBe(404);
  });

  test('counts towards the rate limit of its visitor', async () => {
    const { address } = await serveHttp({ pageFolders: [folder], ratePerSecond: 1 });
    const statuses = [];
    for (let i = 0; i < 11; i += 1) statuses.push((await ask(address, '/')).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
  });

  test('is not there when it is turned off, and says how it is built where it is not', async () => {
    const off = await ask((await serveHttp()).address, '/');
    expect([off.status, off.body.toString()]).toEqual([404, expect.stringContaining('unknown route GET /')]);
    const { address } = await serveHttp({ pageFolders: [join(folder, 'nothing')] });
    const unbuilt = await ask(address, '/');
    expect([unbuilt.status, unbuilt.body.toString()]).toEqual([404, expect.stringContaining('npm run build')]);
  });

  test('is no part of the API’s document', async () => {
    const document = JSON.parse((await ask(await serve(), '/openapi.json')).body.toString());
    expect(Object.keys(document.paths)).not.toContain('/');
    expect(Object.keys(document.paths)).toContain('/api/v1/peers');
  });
});
