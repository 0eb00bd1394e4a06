// HTTP and HTTPS for programs that watch this node: health as Go answers it, liveness, readiness, metrics.
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { P2PError } from '../../errors.ts';
import type { Logger } from '../../ports/log.ts';

/** What the routes answer with; given by the server. */
export interface HttpSources {
  /** Spec: Health. Settles within its own deadline. */
  health(checkLiveness: boolean): Promise<{ readonly status: number; readonly message: string }>;
  scrape(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export interface HttpServerOptions {
  /** `host:port` or `:port`; port 0 takes a free one. */
  readonly listenAddress: string;
  /** Both for HTTPS, neither for HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** `full`: health, liveness, readiness, metrics. `probes`: the two paths that Teranode deployments ask. */
  readonly routes: 'full' | 'probes';
}

const MAX_BODY_BYTES = 64 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const CLOSE_DEADLINE_MS = 1500;

export class HttpServer {
  private readonly log: Logger;
  private readonly sources: HttpSources;
  private readonly options: HttpServerOptions;
  private app: FastifyInstance | undefined;

  constructor(deps: { readonly log: Logger; readonly sources: HttpSources }, options: HttpServerOptions) {
    this.log = deps.log;
    this.sources = deps.sources;
    this.options = options;
  }

  /** Listens. Throws LISTEN_FAILED, SETTINGS_INVALID (certificate files). */
  async start(): Promise<void> {
    const { host, port } = splitAddress(this.options.listenAddress);
    const app = await this.build();
    this.app = app;
    try {
      await listen(app, host, port);
    } catch (cause) {
      throw new P2PError('LISTEN_FAILED', `cannot listen for HTTP on ${this.options.listenAddress}`, { cause });
    }
    this.log.debug({ address: this.address() }, 'http listening');
  }

  /** `host:port` as bound; undefined while not listening. */
  address(): string | undefined {
    const bound = this.app?.server.address() as AddressInfo | null | undefined;
    if (bound === undefined || bound === null) return undefined;
    return bound.family === 'IPv6' ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
  }

  async stop(): Promise<void> {
    const { app } = this;
    this.app = undefined;
    if (app === undefined) return;
    const late = setTimeout(() => app.server.closeAllConnections(), CLOSE_DEADLINE_MS);
    await app.close();
    clearTimeout(late);
  }

  private async build(): Promise<FastifyInstance> {
    const limits = {
      bodyLimit: MAX_BODY_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionTimeout: 30_000,
      forceCloseConnections: 'idle' as const,
    };
    const { tls } = this.options;
    const https = tls === undefined ? undefined : await readCertificate(tls);
    const app = (https === undefined ? fastify(limits) : fastify({ ...limits, https })) as FastifyInstance;
    app.addHook('onSend', async (_request, reply) => {
      reply.header('access-control-allow-origin', '*');
    });
    this.addRoutes(app);
    return app;
  }

  private addRoutes(app: FastifyInstance): void {
    const { sources } = this;
    const probe = (path: string, checkLiveness: boolean) =>
      app.get(path, async (_request, reply) => {
        const { status, message } = await sources.health(checkLiveness);
        return reply.code(status).type('text/plain; charset=utf-8').send(message);
      });
    if (this.options.routes === 'probes') {
      probe('/health/readiness', false);
      probe('/health/liveness', true);
      return;
    }
    app.get('/health', async (_request, reply) => reply.type('text/plain; charset=utf-8').send('OK'));
    probe('/health/live', true);
    probe('/health/ready', false);
    app.get('/metrics', async (_request, reply) => {
      const { contentType, body } = await sources.scrape();
      return reply.type(contentType).send(body);
    });
  }
}

async function readCertificate(tls: {
  readonly certFile: string;
  readonly keyFile: string;
}): Promise<{ cert: Buffer; key: Buffer }> {
  const read = async (key: string, file: string) => {
    try {
      return await readFile(file);
    } catch (cause) {
      throw new P2PError('SETTINGS_INVALID', `${key} cannot be read: ${file}`, { cause });
    }
  };
  return { cert: await read('server_certFile', tls.certFile), key: await read('server_keyFile', tls.keyFile) };
}

/** All interfaces are those of IPv4 where the machine has no IPv6. */
async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (host !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error;
    await app.listen({ host: '0.0.0.0', port });
  }
}

/** `:port` means all interfaces. */
function splitAddress(listenAddress: string): { host: string; port: number } {
  const at = listenAddress.lastIndexOf(':');
  const host = listenAddress.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  return { host: host === '' ? '::' : host, port: Number(listenAddress.slice(at + 1)) };
}
