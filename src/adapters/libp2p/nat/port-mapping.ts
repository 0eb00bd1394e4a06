// Port mappings on the router (UPnP). js-libp2p finds the router and asks for them; they are renewed here, well before
// the lease ends, so that a router that has restarted has them again, and removed when the node stops.
import { type UPnPNATComponents, uPnPNAT } from '@libp2p/upnp-nat';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import { type RouterControl, routerControl } from '../patches/port-mapper.ts';
import type { PatchReport } from '../patches/report.ts';
import type { Listening } from './listening.ts';

/** js-libp2p asks for the same; a node that was killed leaves its mapping for so long. */
const LEASE_SECONDS = 3600;
/** Mappings that are kept: one per address that the node listens on. */
const MAX_MAPPINGS = 16;

export interface PortMappingDependencies {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly report: PatchReport;
  readonly listening: Pick<Listening, 'mapped'>;
}

export interface PortMappingOptions {
  readonly renewalMs: number;
  /** Announces mapped addresses at once: nobody tests them. */
  readonly isTrusted: boolean;
}

type Service = ReturnType<ReturnType<typeof uPnPNAT>>;
type Gateways = ReturnType<Service['portMappingClient']['findGateways']>;
type Gateway = Gateways extends AsyncGenerator<infer G> ? G : never;
type Mapping = Awaited<ReturnType<Gateway['map']>>;

/** The service of a libp2p node that maps its ports. */
export function portMapping(deps: PortMappingDependencies, options: PortMappingOptions) {
  let count = () => 0;
  deps.metrics.gauge('teranode_p2p_port_mappings', 'Port mappings on routers', () => count());
  const renewals = deps.metrics.counter('teranode_p2p_port_mapping_renewals_total', 'Renewals of port mappings', [
    'outcome',
  ]);
  for (const outcome of ['renewed', 'failed']) renewals.add(0, { outcome });
  return (components: UPnPNATComponents): Service => {
    const service = uPnPNAT({ autoConfirmAddress: options.isTrusted })(components);
    const client = service.portMappingClient;
    const find = client.findGateways.bind(client);
    const routers: Router[] = [];
    count = () => routers.reduce((sum, router) => sum + router.size(), 0);
    client.findGateways = async function* findGateways(how) {
      for await (const gateway of find(how)) {
        const control = routerControl(gateway, deps.report);
        const isNew = routers.every(({ id }) => id !== gateway.id);
        if (control !== undefined && isNew && gateway.family === 'IPv4')
          routers.push(new Router({ ...deps, gateway, control, components, renewals }, options.renewalMs));
        yield gateway;
      }
    };
    return service;
  };
}

interface RouterDependencies extends PortMappingDependencies {
  readonly gateway: Gateway;
  readonly control: RouterControl;
  readonly components: UPnPNATComponents;
  readonly renewals: Counter;
}

/** The mappings on one router. Takes the place of the mapper's own renewal and removal. */
class Router {
  readonly id: string;
  private readonly deps: RouterDependencies;
  private readonly mappings: Mapping[] = [];
  private readonly renewal: Repeating;

  constructor(deps: RouterDependencies, renewalMs: number) {
    this.deps = deps;
    const { gateway, log } = deps;
    this.id = gateway.id;
    const map = gateway.map.bind(gateway);
    gateway.map = async (port, host, options) => {
      const mapping = await map(port, host, { ...options, autoRefresh: false });
      if (this.mappings.length < MAX_MAPPINGS) this.mappings.push(mapping);
      deps.listening.mapped(`/ip4/${mapping.externalHost}/tcp/${mapping.externalPort}`);
      log.info(this.described(mapping), 'mapped the port on the router');
      return mapping;
    };
    gateway.stop = async (options) => await this.stop(options?.signal);
    this.renewal = repeating(
      () => this.renewAll(),
      { firstMs: renewalMs, nextMs: () => renewalMs },
      (error) => log.warn({ err: error }, 'failed to renew port mappings'),
    );
  }

  size(): number {
    return this.mappings.length;
  }

  private async renewAll(): Promise<void> {
    for (const mapping of this.mappings) {
      try {
        const port = await this.deps.control.add(mapping, { description: 'teranode-p2p', leaseSeconds: LEASE_SECONDS });
        if (port !== mapping.externalPort) this.moved(mapping, port);
        this.deps.renewals.add(1, { outcome: 'renewed' });
      } catch (error) {
        this.deps.renewals.add(1, { outcome: 'failed' });
        this.deps.log.warn({ err: error, ...this.described(mapping) }, 'failed to renew a port mapping');
      }
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

  private async stop(signal: AbortSignal | undefined): Promise<void> {
    this.renewal.stop();
    const all = this.mappings.splice(0);
    await Promise.all(
      all.map(async (mapping) => {
        try {
          await this.deps.control.remove(mapping, signal);
          this.deps.log.info(this.described(mapping), 'removed the port mapping');
        } catch (error) {
          this.deps.log.warn({ err: error, ...this.described(mapping) }, 'failed to remove the port mapping');
        }
      }),
    );
  }

  private described({ externalHost, externalPort, internalHost, internalPort }: Mapping) {
    return {
      router: this.deps.gateway.host,
      external: `${externalHost}:${externalPort}`,
      internal: `${internalHost}:${internalPort}`,
    };
  }
}
