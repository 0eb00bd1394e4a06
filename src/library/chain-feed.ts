// The chain of headers behind `headers()` and the option `chain` of `listen()`: its options, and how it is fed from what
// a listener hears.
import type { HttpDataHubClient } from '../adapters/datahub/datahub-client.ts';
import { dataHubUrlRules } from '../app/gossip-options.ts';
import type { ChainEvent } from '../domain/chain-event.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import { dataHubUrlCheck } from '../peers/datahub/datahub-url.ts';
import type { RegisteredPeer } from '../peers/registry.ts';
import { systemClock } from '../ports/clock.ts';
import type { Settings } from '../settings/load.ts';
import { parseHash } from '../wire/hash.ts';
import { HEADER_BYTES } from '../wire/header.ts';
import { NETWORKS } from '../wire/networks.ts';
import type { ListenEvent } from './events.ts';
import { type FollowOptions, HeaderFollower } from './header-follower.ts';
import { type ChainOptions, inRange } from './options.ts';

const DEPTH = { min: 0, max: 2000, default: 100 } as const;
const HEADERS = { min: 100, max: 1e6, default: 10_000 } as const;
const MAX_HEIGHT = 2 ** 32 - 1;
/** Further DataHubs that are asked when the announcer's own does not answer. */
const OTHER_URLS = 2;

export class ChainFeed {
  readonly follower: HeaderFollower;
  private readonly isUsable: (url: string) => boolean;
  private readonly peers: () => readonly RegisteredPeer[];

  /** Throws SETTINGS_INVALID. `emit` must not throw. */
  constructor(
    deps: { readonly peers: () => readonly RegisteredPeer[]; readonly emit: (event: ChainEvent) => void },
    settings: Settings,
    options: ChainOptions,
  ) {
    const rules = dataHubUrlRules(settings);
    const fault = dataHubUrlCheck(rules);
    this.isUsable = (url) => url !== '' && fault(url) === undefined;
    this.peers = deps.peers;
    this.follower = new HeaderFollower(
      {
        client: clientOnDemand(rules.allowsPrivate),
        now: () => systemClock.now(),
        monotonic: () => systemClock.monotonic(),
        emit: deps.emit,
      },
      { network: NETWORKS[settings.network], ...followOptions(options) },
    );
  }

  heard(event: ListenEvent): void {
    if (event.type === 'block') {
      const { hash, height, header, author, dataHubUrl } = event;
      this.follower.announced({ hash, height, header, author, urls: this.urls(dataHubUrl) });
    } else if (event.type === 'node_status') {
      const { author, status } = event;
      const hash = parseHash(status.bestBlockHash);
      if (hash === undefined) return;
      const urls = this.urls(status.baseUrl);
      this.follower.announced({ hash, height: status.bestHeight, header: undefined, author, urls });
    }
  }

  /** The announcer's own, then those of other peers, in an order that nobody else chooses. */
  private urls(first: string): string[] {
    const others = this.peers().flatMap(({ dataHubUrl }) => dataHubUrl ?? []);
    const from = Math.floor(Math.random() * (others.length + 1));
    const some = [...others.slice(from), ...others.slice(0, from)].slice(0, OTHER_URLS);
    return [...new Set([first, ...some])].filter(this.isUsable);
  }
}

/** Throws SETTINGS_INVALID. */
function followOptions({
  anchor,
  depth = DEPTH.default,
  maxHeaders = HEADERS.default,
}: ChainOptions): Omit<FollowOptions, 'network'> {
  if (anchor !== undefined && anchor !== 'genesis') {
    const { header, height } = anchor;
    if (!(header instanceof Uint8Array) || header.byteLength !== HEADER_BYTES)
      throw new P2PError('SETTINGS_INVALID', `invalid anchor (expected genesis, or a header of ${HEADER_BYTES} bytes)`);
    inRange('height of the anchor', height, { min: 0, max: MAX_HEIGHT, isWhole: true });
  }
  inRange('depth', depth, { ...DEPTH, isWhole: true });
  inRange('maxHeaders', maxHeaders, { ...HEADERS, isWhole: true });
  return { anchor, depth, maxHeaders };
}

/** Its HTTP is loaded with the first request. */
function clientOnDemand(allowsPrivate: boolean): Pick<HttpDataHubClient, 'headersBack' | 'headersFromAncestor'> {
  let client: Promise<HttpDataHubClient> | undefined;
  const loaded = () => {
    client ??= import('../adapters/datahub/datahub-client.ts').then(
      ({ HttpDataHubClient: Client }) =>
        new Client({}, { allowsPrivate, userAgent: `teranode/bitcoin/${buildVersion().version}` }),
    );
    return client;
  };
  return {
    headersBack: async (...args) => await (await loaded()).headersBack(...args),
    headersFromAncestor: async (...args) => await (await loaded()).headersFromAncestor(...args),
  };
}
