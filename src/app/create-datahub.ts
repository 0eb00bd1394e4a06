// This node's own DataHub, and the part that fetches from those of others, where the settings name no blockchain
// service: the embedded chain then takes the place of Teranode's asset service and block validation.
import { HttpDataHubClient } from '../adapters/datahub/datahub-client.ts';
import { EmbeddedChain } from '../adapters/embedded-chain/embedded-chain.ts';
import { ChainFollower } from '../adapters/embedded-chain/follower.ts';
import { DATAHUB_PATH } from '../adapters/http/datahub/routes.ts';
import { decodeKafkaBlock, encodeKafkaInvalidBlock } from '../adapters/kafka/codec.ts';
import { type MemoryBroker, MemoryConsumer, MemoryProducer } from '../adapters/memory/broker.ts';
import type { PeerEvent } from '../domain/peer-history.ts';
import { buildVersion } from '../lib/version.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import type { DataHubSource } from '../ports/datahub-source.ts';
import { parseKafkaUrl } from '../settings/kafka-url.ts';
import type { Settings } from '../settings/load.ts';
import { speaks } from '../settings/wire.ts';
import { NETWORKS } from '../wire/networks.ts';
import { parsePeerId } from '../wire/peer-id.ts';
import type { Core } from './core.ts';
import { ownHttpUrl } from './create-http.ts';
import { ownDataHubUrl, type Peers } from './create-peers.ts';
import { dataHubUrlRules } from './gossip-options.ts';

/** The group of the embedded chain on the blocks topic. */
const GROUP = 'embedded-chain';

export interface OwnDataHub {
  /** What the HTTP listener serves; undefined without an embedded chain. */
  readonly source: DataHubSource | undefined;
  /** Where the HTTP listener is bound; to be set before it starts. */
  boundTo: () => string | undefined;
  /** The URL that peers get; empty for none. Right once the HTTP listener has started. */
  url(): string;
}

/** Throws ADDRESS_INVALID. */
export function createOwnDataHub(settings: Settings, blockchain: BlockchainClient): OwnDataHub {
  const set = ownDataHubUrl(settings);
  const source = blockchain instanceof EmbeddedChain ? blockchain : undefined;
  return {
    source,
    boundTo: () => undefined,
    url() {
      if (set !== '' || source === undefined) return set;
      const http = ownHttpUrl(settings, this.boundTo());
      return http === undefined ? '' : `${http}${DATAHUB_PATH}`;
    },
  };
}

export interface FollowerDependencies extends Core {
  readonly blockchain: BlockchainClient;
  readonly memoryBroker: MemoryBroker;
  readonly peers: Pick<Peers, 'histories'>;
  /** Whether the caller brought a producer of blocks, who then gets them instead. */
  readonly hasOwnProducer: boolean;
}

/** undefined where another service reads the blocks topic: with a blockchain service, and with a Kafka broker. */
export function createFollower(settings: Settings, deps: FollowerDependencies): ChainFollower | undefined {
  const { blockchain: chain, memoryBroker: broker, metrics, log, peers, hasOwnProducer } = deps;
  const blocks = parseKafkaUrl(settings.kafka_blocksConfig);
  if (!(chain instanceof EmbeddedChain) || blocks.scheme !== 'memory' || hasOwnProducer) return undefined;
  const invalid = parseKafkaUrl(settings.kafka_invalidBlocksConfig);
  const reports =
    invalid.scheme === 'memory'
      ? new MemoryProducer({ broker, metrics }, { topic: invalid.topic, encode: encodeKafkaInvalidBlock })
      : undefined;
  const record = (peerId: string, event: PeerEvent) => {
    const known = parsePeerId(peerId);
    if (known === undefined || !speaks(settings, 'message-bus')) return;
    peers.histories.record(known, event).catch((error: unknown) => log.debug({ err: error }, 'failed to record'));
  };
  const topic = { topic: blocks.topic, groupId: GROUP, replay: false, decode: decodeKafkaBlock };
  return new ChainFollower(
    {
      ...deps,
      chain,
      announced: new MemoryConsumer({ broker, log, metrics }, topic),
      client: new HttpDataHubClient(
        {},
        {
          allowsPrivate: dataHubUrlRules(settings).allowsPrivate,
          userAgent: `teranode/bitcoin/${buildVersion().version}`,
        },
      ),
      reportInvalid: (report) => reports?.publish(report),
      experienced: record,
    },
    { network: NETWORKS[settings.network] },
  );
}
