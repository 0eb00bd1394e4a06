// Which requests need the admin key. Those that change state always do. Reads do unless the settings make them public, or
// the server listens on loopback only and no web page can be behind the request: what a node knows of its peers is not
// for everyone who reaches its port, nor for every page that the operator's browser shows.
import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { HttpRead } from '../../../settings/http-reads.ts';
import { HttpProblem } from '../server/http-problem.ts';
import type { Origins } from '../server/origins.ts';

export type Access = 'admin' | 'metrics' | HttpRead;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent: open to everyone. */
    readonly access?: Access;
  }
}

export interface AccessOptions {
  /** `p2p_http_public_reads`; default none. */
  readonly publicReads?: readonly (HttpRead | 'all')[];
  /** `p2p_http_public_metrics`; default true. */
  readonly publicMetrics?: boolean;
  /** `p2p_http_cors_origins`; default all. */
  readonly corsOrigins?: Origins;
  /** `p2p_http_allowed_hosts` and our own name: names that may stand in the Host header. Default none. */
  readonly allowedHosts?: readonly string[];
}

/** Why a read on loopback needs the key. */
export type PageSign = 'host' | 'origin';

export class RouteAccess {
  private readonly options: AccessOptions;
  private readonly isLoopback: () => boolean;
  private readonly hosts: ReadonlySet<string>;

  /**
   * `isLoopback`: whether every address that the server is bound to is a loopback one. A client's address does not
   * count: it may be a proxy.
   */
  constructor(deps: { readonly isLoopback: () => boolean }, options: AccessOptions) {
    this.isLoopback = deps.isLoopback;
    this.options = options;
    this.hosts = new Set((options.allowedHosts ?? []).map((host) => host.toLowerCase()));
  }

  /** Of a route, whoever asks. */
  needsKey(access: Access | undefined): boolean {
    if (access === undefined) return false;
    if (access === 'admin') return true;
    return !this.isPublic(access) && !this.isLoopback();
  }

  /**
   * What shows that a web page may be behind a request for a route that no key is needed for, and that the page may not
   * read it. A page can send any request to loopback, and by its own name for our address (DNS rebinding) one that its
   * browser takes for one to itself; but it can send neither another Host than its own name nor no Origin to others.
   */
  pageSign(access: Access | undefined, { headers }: Pick<FastifyRequest, 'headers'>): PageSign | undefined {
    const { corsOrigins = ['*'] } = this.options;
    if (access === undefined || access === 'admin' || (access === 'metrics' && this.isPublic(access))) return undefined;
    const isNarrowed = !corsOrigins.includes('*');
    const isOpenOnLoopback = this.isLoopback() && !this.isPublic(access);
    if ((isNarrowed || isOpenOnLoopback) && !this.isAllowedHost(headers.host)) return 'host';
    const { origin } = headers;
    return isOpenOnLoopback && origin !== undefined && !corsOrigins.includes(origin) ? 'origin' : undefined;
  }

  private isPublic(access: Exclude<Access, 'admin'>): boolean {
    const { publicReads = [], publicMetrics = true } = this.options;
    return access === 'metrics' ? publicMetrics : publicReads.includes('all') || publicReads.includes(access);
  }

  /** Addresses, localhost, and the names of the settings. Browsers always send a Host. */
  private isAllowedHost(header: string | undefined): boolean {
    if (header === undefined) return true;
    const host = header
      .replace(/:\d*$/, '')
      .replace(/^\[(.*)\]$/, '$1')
      .replace(/\.$/, '')
      .toLowerCase();
    return isIP(host) !== 0 || host === 'localhost' || host.endsWith('.localhost') || this.hosts.has(host);
  }
}

export function pageRefused(sign: PageSign): HttpProblem {
  const why =
    sign === 'host'
      ? 'name in the Host header not allowed without the admin key (see the setting p2p_http_allowed_hosts)'
      : 'web page not allowed without the admin key (see the setting p2p_http_cors_origins)';
  return new HttpProblem(403, 'FORBIDDEN', why);
}
