// Which routes need the admin key. Requests that change state always do. Reads do unless the server listens on loopback
// only, or the settings make them public: what a node knows of its peers is not for everyone who reaches its port.
import type { HttpRead } from '../../../settings/http-reads.ts';

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
}

export class RouteAccess {
  private readonly options: AccessOptions;
  private readonly isLoopback: () => boolean;

  /**
   * `isLoopback`: whether every address that the server is bound to is a loopback one. A client's address does not
   * count: it may be a proxy.
   */
  constructor(deps: { readonly isLoopback: () => boolean }, options: AccessOptions) {
    this.isLoopback = deps.isLoopback;
    this.options = options;
  }

  needsKey(access: Access | undefined): boolean {
    if (access === undefined) return false;
    if (access === 'admin') return true;
    const { publicReads = [], publicMetrics = true } = this.options;
    const isPublic = access === 'metrics' ? publicMetrics : publicReads.includes('all') || publicReads.includes(access);
    return !isPublic && !this.isLoopback();
  }
}
