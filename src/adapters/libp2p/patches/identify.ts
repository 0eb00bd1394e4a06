// The protocolVersion that identify tells. js-libp2p makes it from the prefix of its protocol IDs, so the one cannot be
// set without the other, and other nodes expect the IDs to stay. Written for @libp2p/identify 4.1.14. Can go when identify
// has an option for it.
import type { Patch, PatchReport } from './report.ts';

export const IDENTIFY_PATCH: Patch = {
  library: '@libp2p/identify',
  version: '4.1.14',
  effect: 'other nodes see the protocolVersion of js-libp2p',
};

/** Call before identify starts. */
export function setProtocolVersion(
  services: { readonly identify: unknown; readonly identifyPush?: unknown },
  protocolVersion: string,
  report: PatchReport,
): void {
  for (const [name, service] of Object.entries({ identify: services.identify, identifyPush: services.identifyPush })) {
    if (service === undefined) continue;
    const { host } = service as { readonly host?: { protocolVersion?: unknown } };
    if (typeof host?.protocolVersion === 'string') host.protocolVersion = protocolVersion;
    else report.notApplied(IDENTIFY_PATCH, `${name}.host.protocolVersion`);
  }
}
