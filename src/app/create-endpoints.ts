// The directory of the URLs that peers announce, from the settings.
import { HttpDataHubClient } from '../adapters/datahub/datahub-client.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import { EndpointDirectory } from '../peers/endpoint-directory.ts';
import type { PeerRegistry } from '../peers/registry.ts';
import type { Settings } from '../settings/load.ts';
import { hashHeader } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import type { Core } from './core.ts';
import { dataHubUrlRules } from './gossip-options.ts';

export function createEndpoints(
  settings: Settings,
  deps: Core & { readonly registry: Pick<PeerRegistry, 'list'> },
): EndpointDirectory {
  const rules = dataHubUrlRules(settings);
  const userAgent = `teranode/bitcoin/${buildVersion().version}`;
  return new EndpointDirectory(
    { ...deps, client: new HttpDataHubClient({}, { allowsPrivate: rules.allowsPrivate, userAgent }) },
    {
      genesisHash: hashHeader(NETWORKS[settings.network].genesisHeader),
      allowsPrivate: rules.allowsPrivate,
      urlFault: dataHubUrlCheck(rules),
    },
  );
}
