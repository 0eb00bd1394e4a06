// Port mappings on the router (UPnP). js-libp2p decides what is mapped and announces it; the router is found and asked
// here. Mappings are renewed well before the lease ends, so that a router that has restarted has them again, and removed
// when the node stops.
import type { UPnPNATComponents, uPnPNAT } from '@libp2p/upnp-nat';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import type { Listening } from './listening.ts';
import { type FoundRouter, type SearchOptions, searchRouters } from './router-search.ts';
import { type MappedPort, UpnpRouter } from './upnp-router.ts';

/** Routers in all; a home has one. */
const MAX_ROUTERS = 4;
/** Mappings on a router: one per address that the node listens on. */
const MAX_MAPPINGS = 16;
const SEARCH_INTERVAL_MS = 1000;
/** How long a router that does not answer is looked for before the next renewal. */
const SEARCH_AGAIN_MS = 3000;
/** Within what a node has for its stop. The service would give one second. */
const REMOVAL_DEADLINE_MS = 2000;

export interface PortMappingDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly listening: Pick<Listening, 'mapped'>;
  /** Default: asks the private networks of this machine. */
  readonly search?: (options: SearchOptions) => AsyncGenerator<FoundRouter>;
}

export interface PortMappingOptions {
  readonly renewalMs: number;
  /** Announces mapped addresses at once: nobody tests them. */
  readonly isTrusted: boolean;
}

type Service = ReturnType<ReturnType<typeof uPnPNAT>>;
type Client = Service['portMappingClient'];

/** What js-libp2p's service uses of a router. */
interface Gateway {
  readonly id: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly host: string;
  map(port: number, host: string): Promise<Mapping>;
  externalIp(options?: Cancel): Promise<string>;
  stop(): Promise<void>;
}

interface Cancel {
  readonly signal?: AbortSignal;
}

interface Mapping extends MappedPort {
  externalHost: string;
  externalPort: number;
}

/** The service of a libp2p node that maps its ports. Its metrics exist at once; the returned function loads its library. */
export function portMapping(deps: PortMappingDependencies, options: PortMappingOptions) {
  const { search = searchRouters } = deps;
  const routers = new Map<string, Router>();
  deps.metrics.gauge('teranode_p2p_port_mappings', 'Port mappings on routers', () =>
    [...routers.values()].reduce((sum, router) => sum + router.size(), 0),
  );
  const renewals = deps.metrics.counter('teranode_p2p_port_mapping_renewals_total', 'Renewals of port mappings', [
    'outcome',
  ]);
  for (const outcome of ['renewed', 'failed']) renewals.add(0, { outcome });
  return async () => {
    const { uPnPNAT } = await import('@libp2p/upnp-nat');
    return (components: UPnPNATComponents): Service => {
      async function* findGateways(how: Cancel = {}): AsyncGenerator<Gateway, void> {
        const { signal = AbortSignal.timeout(SEARCH_AGAIN_MS) } = how;
        for await (const found of search({ signal, intervalMs: SEARCH_INTERVAL_MS })) {
          const known = routers.get(found.id);
          if (known === undefined && routers.size >= MAX_ROUTERS) continue;
          const router = known ?? new Router({ ...deps, search, found, components, renewals }, options.renewalMs);
          routers.set(found.id, router);
          yield router;
        }
      }
      // The service asks for routers and nothing else.
      const portMappingClient = { findGateways } as Client;
      return uPnPNAT({ autoConfirmAddress: options.isTrusted, portMappingClient })(components);
    };
  };
}

interface RouterDependencies extends Required<PortMappingDependencies> {
  readonly found: FoundRouter;
  readonly components: Pick<UPnPNATComponents, 'addressManager'>;
  readonly renewals: Counter;
}

/** The mappings on one router. */
class Router implements Gateway {
  readonly id: string;
  readonly host: string;
  readonly family = 'IPv4';
  private readonly deps: RouterDependencies;
  private readonly renewalMs: number;
  private readonly mappings: Mapping[] = [];
  private router: UpnpRouter;
  private lastIp: string | undefined;
  private renewal: Repeating | undefined;
  private isStopped = false;

  constructor(deps: RouterDependencies, renewalMs: number) {
    this.deps = deps;
    this.renewalMs = renewalMs;
    this.id = deps.found.id;
    this.host = deps.found.location.hostname;
    this.router = new UpnpRouter(deps.found.location);
  }

  size(): number {
    return this.mappings.length;
  }

  async externalIp({ signal }: Cancel = {}): Promise<string> {
    const ip = await this.router.externalIp(signal);
    // When the IP has changed, the service looks up in the mapping which address it is to withdraw, and leaves it there.
    for (const mapping of this.mappings) mapping.externalHost = this.lastIp ?? ip;
    this.lastIp = ip;
    return ip;
  }

  async map(internalPort: number, internalHost: string): Promise<Mapping> {
    const externalHost = await this.externalIp();
    const known = this.mappings.find(
      (each) => each.internalPort === internalPort && each.internalHost === internalHost,
    );
    if (known !== undefined) return known;
    if (this.isStopped || this.mappings.length >= MAX_MAPPINGS) throw new Error('no more ports are mapped');
    const wanted = { externalPort: internalPort, internalPort, internalHost };
    const mapping = { ...wanted, externalHost, externalPort: await this.router.add(wanted) };
    if (this.isStopped) {
      await this.remove(mapping, AbortSignal.timeout(REMOVAL_DEADLINE_MS));
      throw new Error('the node has stopped');
    }
    this.mappings.push(mapping);
    this.deps.listening.mapped(`/ip4/${externalHost}/tcp/${mapping.externalPort}`);
    this.deps.log.info(this.described(mapping), 'mapped the port on the router');
    this.renewal ??= repeating(
      (signal) => this.renewAll(signal),
      { firstMs: this.renewalMs, nextMs: () => this.renewalMs },
      (error) => this.deps.log.warn({ err: error }, 'failed to renew port mappings'),
    );
    return mapping;
  }

  private async renewAll(signal: AbortSignal): Promise<void> {
    let hasFailed = false;
    for (const mapping of this.mappings) {
      try {
        const port = await this.router.add(mapping, signal);
        if (port !== mapping.externalPort) this.moved(mapping, port);
        this.deps.renewals.add(1, { outcome: 'renewed' });
      } catch (error) {
        if (signal.aborted) return;
        hasFailed = true;
        this.deps.renewals.add(1, { outcome: 'failed' });
        this.deps.log.warn({ err: error, ...this.described(mapping) }, 'failed to renew a port mapping');
      }
    }
    if (hasFailed) await this.searchAgain(signal);
  }

  /** A router that has restarted may take commands at another port. */
  private async searchAgain(stopped: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(SEARCH_AGAIN_MS)]);
    for await (const { id, location } of this.deps.search({ signal, intervalMs: SEARCH_INTERVAL_MS })) {
      if (id !== this.id || location.hostname !== this.host) continue;
      this.router = new UpnpRouter(location);
      return;
    }
  }

  /** The router has restarted and gave the port to another machine meanwhile. */
  private moved(mapping: Mapping, port: number): void {
    const { addressManager } = this.deps.components;
    const { internalHost, internalPort, externalHost, externalPort } = mapping;
    addressManager.removePublicAddressMapping(internalHost, internalPort, externalHost, externalPort, 'tcp');
    mapping.externalPort = port;
    addressManager.addPublicAddressMapping(internalHost, internalPort, externalHost, port, 'tcp');
    this.deps.log.info(this.described(mapping), 'the router mapped another port');
  }

  async stop(): Promise<void> {
    const signal = AbortSignal.timeout(REMOVAL_DEADLINE_MS);
    this.isStopped = true;
    this.renewal?.stop();
    const all = this.mappings.splice(0);
    await Promise.all(all.map((mapping) => this.remove(mapping, signal)));
  }

  private async remove(mapping: Mapping, signal: AbortSignal): Promise<void> {
    try {
      await this.router.remove(mapping, signal);
      this.deps.log.info(this.described(mapping), 'removed the port mapping');
    } catch (error) {
      this.deps.log.warn({ err: error, ...this.described(mapping) }, 'failed to remove the port mapping');
    }
  }

  private described({ externalHost, externalPort, internalHost, internalPort }: Mapping) {
    return {
      router: this.host,
      external: `${externalHost}:${externalPort}`,
      internal: `${internalHost}:${internalPort}`,
    };
  }
}
