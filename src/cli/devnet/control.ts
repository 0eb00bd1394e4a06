// The control API of a development network: HTTP on loopback, without a key. Pages of other web sites cannot use it: it
// answers only to its own names, refuses other origins, and takes nothing but JSON, which a page cannot send unasked.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { P2PError } from '../../lib/errors.ts';
import { isSwitch, type Order, postedOrder } from './switches.ts';

export interface Controlled {
  run(order: Order): Promise<object>;
  state(): Promise<object>;
}

const MAX_BODY_BYTES = 4096;
const REQUEST_DEADLINE_MS = 10_000;
const MAX_CONNECTIONS = 100;

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
  private names: ReadonlySet<string> = new Set();

  constructor(network: Controlled) {
    this.network = network;
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
    let status = 200;
    let answer: object;
    try {
      answer = await this.handled(request);
    } catch (error) {
      status = statusOf(error);
      answer = { message: error instanceof Error ? error.message : String(error) };
    }
    const headers = {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    };
    // What was not read of a request is not taken for the next one.
    response.writeHead(status, { ...headers, ...(request.complete ? {} : { connection: 'close' }) });
    response.end(`${JSON.stringify(answer)}\n`);
  }

  private async handled(request: IncomingMessage): Promise<object> {
    const { method, url = '', headers } = request;
    const { host = '', origin } = headers;
    if (!this.names.has(host)) throw new Refusal(403, `invalid Host (expected ${[...this.names].join(' or ')})`);
    if (origin !== undefined && !this.names.has(origin.replace('http://', '')))
      throw new Refusal(403, 'requests of web pages of another origin are refused');
    const { pathname } = new URL(url, 'http://localhost');
    if (pathname === '/devnet') {
      if (method !== 'GET') throw new Refusal(405, 'expected GET');
      return await this.network.state();
    }
    if (!isSwitch(pathname)) throw new Refusal(404, 'there is no such path; see docs/devnet.md');
    if (method !== 'POST') throw new Refusal(405, 'expected POST');
    const [type] = (headers['content-type'] ?? '').split(';');
    if (type?.trim().toLowerCase() !== 'application/json')
      throw new Refusal(415, 'expected content-type: application/json');
    const order = postedOrder(pathname, await bodyOf(request));
    if (order === undefined) throw new Refusal(404, 'there is no such path');
    return await this.network.run(order);
  }
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
