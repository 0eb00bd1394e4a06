// The directory of the URLs that peers announce, from the settings. Its checks and those of the DataHubs share one
// budget, so that no machine is asked twice within an interval.
import { HttpDataHubProber } from '../adapters/datahub/datahub-prober.ts';
import { buildVersion } from '../lib/version.ts';
import type { DataHubHealth } from '../peers/datahub/datahub-health.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { EndpointDirectory, type EndpointDirectoryDependencies } from '../peers/endpoint-directory.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { FetchFault } from '../ports/datahub-client.ts';
import type { DataHubVerdict } from '../ports/datahub-prober.ts';
import type { Settings } from '../settings/load.ts';
import { hashHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import type { Core } from './core.ts';
import { dataHubUrlRules } from './gossip-options.ts';

export interface EndpointSources extends Core {
  readonly registry: Pick<PeerRegistry, 'list'>;
  readonly dataHubs: Pick<DataHubHealth, 'turnOf'>;
}

export function createEndpoints(settings: Settings, deps: EndpointSources): EndpointDirectory {
  const { allowsPrivate, blacklist } = dataHubUrlRules(settings);
  const genesisHeader = NETWORKS[settings.network].genesisHeader;
  const genesisHash = hashHeader(genesisHeader);
  const check = { path: `header/${genesisHash}`, maxRedirects: 5, answers: (status: number) => status === 200 };
  const userAgent = `teranode/bitcoin/${buildVersion().version}`;
  const prober = new HttpDataHubProber({}, { check, allowsPrivate, userAgent });
  const client: EndpointDirectoryDependencies['client'] = {
    header: async (url, hash, signal) => {
      const verdict = await prober.probe(url, signal, deps.dataHubs.turnOf);
      if (verdict.outcome === 'alive') return { ok: true, value: { hash, header: genesisHeader } };
      return { ok: false, fault: faultOf(verdict), details: verdict.details };
    },
  };
  const urlFault = dataHubUrlCheck({ allowsPrivate, blacklist });
  return new EndpointDirectory({ ...deps, client }, { genesisHash, allowsPrivate, urlFault });
}

function faultOf({ outcome, reason, details }: DataHubVerdict): FetchFault {
  if (outcome === 'postponed') return 'aborted';
  if (reason === 'status') return details === 'status 404' ? 'not_found' : 'status';
  return reason === 'timeout' ? 'timeout' : 'unreachable';
}
