// The control API of a development network and its page: HTTP on loopback, without a key. Pages of other web sites cannot
// use it: it answers only to its own names, refuses other origins, and takes nothing but JSON, which a page cannot send
// unasked.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { FOREVER, fileAnswer, readPage } from '../../adapters/http/page/page-files.ts';
import { P2PError } from '../../lib/errors.ts';
import type { DevnetFeed } from './feed.ts';
import { isSwitch, type Order, postedOrder } from './switches.ts';

export interface Controlled {
  run(order: Order): Promise<object>;
  state(): Promise<object>;
}

const MAX_BODY_BYTES = 4096;
const REQUEST_DEADLINE_MS = 10_000;
const MAX_CONNECTIONS = 100;
const PAGE = 'devnet.html';

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class ControlServer {
  private readonly server: Server;
  private readonly network: Controlled;
  private readonly feed: Pick<DevnetFeed, 'open'>;
  private readonly page: ReturnType<typeof readPage>;
  private names: ReadonlySet<string> = new Set();

  /** `pageFolders`: one of them has the built dashboard. */
  constructor(network: Controlled, feed: Pick<DevnetFeed, 'open'>, pageFolders: readonly string[]) {
    this.network = network;
    this.feed = feed;
    this.page = readPage(pageFolders);
    // Each request for the page fails with it.
    this.page.catch(() => {});
    this.server = createServer({ requestTimeout: REQUEST_DEADLINE_MS }, (request, response) => {
      void this.answer(request, response);
    });
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** Rejects with the error of the system. */
  async listen(port: number): Promise<void> {
    this.names = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  /** Never rejects. */
  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {});
    try {
      this.checkSender(request);
      const { pathname, searchParams } = urlOf(request);
      if (pathname === '/devnet/events') {
        expectMethod(request, 'GET');
        if (!this.feed.open(response, searchParams.get('since')))
          throw new Refusal(503, 'too many pages follow this network');
      } else if (pathname === '/' || pathname.startsWith('/assets/')) {
        expectMethod(request, 'GET');
        await this.sendFile(request, response, pathname.slice(1));
      } else send(request, response, 200, await this.handled(request, pathname));
    } catch (error) {
      send(request, response, statusOf(error), { message: error instanceof Error ? error.message : String(error) });
    }
  }

  private checkSender({ headers: { host = '', origin } }: IncomingMessage): void {
    if (!this.names.has(host)) throw new Refusal(403, `invalid Host (expected ${[...this.names].join(' or ')})`);
    if (origin !== undefined && !this.names.has(origin.replace('http://', '')))
      throw new Refusal(403, 'requests of web pages of another origin are refused');
  }

  private async sendFile({ headers }: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    const file = (await this.page)?.get(name === '' ? PAGE : name);
    if (file === undefined) throw new Refusal(404, 'there is no such file; npm run devnet builds the page');
    const answer = fileAnswer(file, headers['accept-encoding'], name === '' ? 'no-cache' : FOREVER);
    response.writeHead(200, { ...answer.headers, 'x-content-type-options': 'nosniff' });
    response.end(answer.body);
  }

  private async handled(request: IncomingMessage, path: string): Promise<object> {
    if (path === '/devnet') {
      expectMethod(request, 'GET');
      return await this.network.state();
    }
    if (!isSwitch(path)) throw new Refusal(404, 'there is no such path; see docs/devnet.md');
    expectMethod(request, 'POST');
    const [type] = (request.headers['content-type'] ?? '').split(';');
    if (type?.trim().toLowerCase() !== 'application/json')
      throw new Refusal(415, 'expected content-type: application/json');
    const order = postedOrder(path, await bodyOf(request));
    if (order === undefined) throw new Refusal(404, 'there is no such path');
    return await this.network.run(order);
  }
}

function urlOf({ url = '' }: IncomingMessage): URL {
  const parsed = URL.parse(url, 'http://localhost');
  if (parsed === null) throw new Refusal(400, 'invalid path');
  return parsed;
}

function expectMethod(request: IncomingMessage, method: 'GET' | 'POST'): void {
  if (request.method !== method) throw new Refusal(405, `expected ${method}`);
}

function send(request: IncomingMessage, response: ServerResponse, status: number, answer: object): void {
  const headers = {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  // What was not read of a request is not taken for the next one.
  response.writeHead(status, { ...headers, ...(request.complete ? {} : { connection: 'close' }) });
  response.end(`${JSON.stringify(answer)}\n`);
}

async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw new Refusal(413, `the body is over ${MAX_BODY_BYTES} bytes`);
    pieces.push(piece);
  }
  if (bytes === 0) return {};
  try {
    const body: unknown = JSON.parse(Buffer.concat(pieces).toString());
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  } catch {
    // As any other value.
  }
  throw new Refusal(400, 'the body is not a JSON object');
}

function statusOf(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  if (error instanceof P2PError) return error.code === 'INPUT_INVALID' ? 400 : 409;
  return 500;
}
