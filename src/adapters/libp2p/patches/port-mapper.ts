// Commands to a router that js-libp2p's port mapper has found. The mapper itself renews with the port that it asked for,
// not the one that the router gave, doubles its timers with each renewal of two mappings of a port, and removes the
// router's port of the same number, which may be that of another node. Written for @achingbrain/nat-port-mapper 4.0.5.
// Can go when these are mended.
import { missingFunctions, type Patch, type PatchReport } from './report.ts';

export const PORT_MAPPER_PATCH: Patch = {
  library: '@achingbrain/nat-port-mapper',
  version: '4.0.5',
  effect: 'port mappings are renewed once an hour, and nodes behind one router need different ports',
};

const WAN_CONNECTION = 'urn:schemas-upnp-org:service:WANIPConnection:2';

export interface RouterMapping {
  readonly externalPort: number;
  readonly internalHost: string;
  readonly internalPort: number;
}

export interface RouterControl {
  /** Resolves with the external port, which may be another than the one asked for. */
  add(mapping: RouterMapping, text: { readonly description: string; readonly leaseSeconds: number }): Promise<number>;
  remove(mapping: RouterMapping, signal: AbortSignal | undefined): Promise<void>;
}

type Answer = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;

interface Device {
  run(
    service: string,
    action: string,
    args: readonly (readonly [string, string | number])[],
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Answer>;
}

interface GatewayParts {
  getGateway(options: { readonly signal?: AbortSignal | undefined }): Promise<Device>;
}

/** Per answer of the router. */
const ANSWER_DEADLINE_MS = 10_000;

/** undefined when a part is missing. */
export function routerControl(gateway: unknown, report: PatchReport): RouterControl | undefined {
  const { getGateway } = gateway as Partial<GatewayParts>;
  const missing = missingFunctions({ 'gateway.getGateway': getGateway });
  if (missing !== undefined || getGateway === undefined) {
    report.notApplied(PORT_MAPPER_PATCH, missing ?? 'gateway');
    return undefined;
  }
  const run = async (action: string, args: readonly (readonly [string, string | number])[], given?: AbortSignal) => {
    const signal = given ?? AbortSignal.timeout(ANSWER_DEADLINE_MS);
    return await (await getGateway.call(gateway, { signal })).run(WAN_CONNECTION, action, args, { signal });
  };
  return {
    add: async ({ externalPort, internalHost, internalPort }, { description, leaseSeconds }) => {
      const answer = await run('AddAnyPortMapping', [
        ['NewRemoteHost', ''],
        ['NewExternalPort', externalPort],
        ['NewProtocol', 'TCP'],
        ['NewInternalPort', internalPort],
        ['NewInternalClient', internalHost],
        ['NewEnabled', 1],
        ['NewPortMappingDescription', description],
        ['NewLeaseDuration', leaseSeconds],
      ]);
      const key = Object.keys(answer).find((name) => name.endsWith('AddAnyPortMappingResponse')) ?? '';
      const reserved = Number(answer[key]?.NewReservedPort);
      return Number.isInteger(reserved) && reserved > 0 ? reserved : externalPort;
    },
    remove: async ({ externalPort }, signal) => {
      const port = [
        ['NewRemoteHost', ''],
        ['NewExternalPort', externalPort],
        ['NewProtocol', 'TCP'],
      ] as const;
      await run('DeletePortMapping', port, signal);
    },
  };
}
