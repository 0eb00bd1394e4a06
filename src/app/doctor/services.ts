// The node's own services as the settings name them: DataHub, Kafka, blockchain, block validation, block assembly.
import { genesisBlockCheck, HttpDataHubProber } from '../../adapters/datahub/datahub-prober.ts';
import { GrpcBlockchainClient } from '../../adapters/services/blockchain-client.ts';
import { withDeadline } from '../../lib/deadline.ts';
import { buildVersion } from '../../lib/version.ts';
import type { BlockchainClient, BlockHeaderRecord } from '../../ports/blockchain-client.ts';
import { systemClock } from '../../ports/clock.ts';
import { parseKafkaUrl } from '../../settings/kafka-url.ts';
import type { Settings } from '../../settings/load.ts';
import { allowsPrivateDataHubs, speaks, wireNames } from '../../settings/wire.ts';
import { hashHeader } from '../../wire/header.ts';
import { NETWORKS } from '../../wire/networks.ts';
import { kafkaConnection } from '../create-kafka.ts';
import { createDataHubProber, ownDataHubUrl } from '../create-peers.ts';
import { createValidationClients, serviceOptions } from '../create-services.ts';
import { type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';
import { QUIET_LOG, QUIET_METRICS } from './quiet.ts';

const PROBE_MS = 4000;
const DEPS = { log: QUIET_LOG, metrics: QUIET_METRICS, clock: systemClock, random: Math.random };

export async function checkDataHub(settings: Settings, signal: AbortSignal): Promise<Finding> {
  const name = 'datahub';
  const url = ownDataHubUrl(settings);
  if (url === '')
    return notAskedFor(
      name,
      'asset_httpPublicAddress and asset_httpAddress are unset: the node serves a DataHub of its own',
    );
  if (settings.listen_mode !== 'full') return notAskedFor(name, `listen_mode is ${settings.listen_mode}`);
  const prober = createDataHubProber(settings);
  const first = await prober.probe(url, signal);
  // Its two seconds are short while this process begins many things at once.
  const { outcome, reason, details } = first.reason === 'timeout' ? await prober.probe(url, signal) : first;
  if (reason === 'private')
    return wrong(
      name,
      `${url} is not public: ${details}; peers will not fetch from it${speaks(settings, 'message-bus') ? ', and no block is announced' : ''}`,
      'set asset_httpPublicAddress to a URL that the public internet reaches; in a private network set p2p_allow_private_datahubs or, on message-bus, p2p_allow_private_ips',
    );
  if (outcome !== 'alive')
    return wrong(
      name,
      `${url} does not answer: ${details}`,
      'start the asset service, or correct asset_httpPublicAddress',
    );
  const genesis = await genesisProbe(settings, url, signal);
  if (genesis === 'status 404')
    return wrong(
      name,
      `${url} answers (${details}) and does not have the genesis block of ${settings.network}`,
      'the asset service serves another network, or has no blocks: compare its network with `network` here',
    );
  return fine(name, `${url} answers: ${details}`);
}

/** On go-p2p any status counts as an answer, so the block itself is asked for. undefined where it is served. */
async function genesisProbe(settings: Settings, url: string, signal: AbortSignal): Promise<string | undefined> {
  if (speaks(settings, 'message-bus')) return undefined;
  const check = genesisBlockCheck(genesisOf(settings.network));
  const prober = new HttpDataHubProber(
    {},
    {
      check: { ...check, answers: (status) => status < 400 },
      allowsPrivate: allowsPrivateDataHubs(settings, wireNames(settings)[0]),
      userAgent: `teranode/bitcoin/${buildVersion().version}`,
    },
  );
  const { outcome, details } = await prober.probe(url, signal);
  return outcome === 'alive' ? undefined : details;
}

const KAFKA_KEYS = [
  'kafka_blocksConfig',
  'kafka_subtreesConfig',
  'kafka_invalidBlocksConfig',
  'kafka_invalidSubtreesConfig',
  'kafka_rejectedTxConfig',
] as const;

/** `isRunning`: the node creates missing topics at its start. */
export async function checkKafka(settings: Settings, isRunning: boolean, signal: AbortSignal): Promise<Finding> {
  const name = 'kafka';
  const urls = KAFKA_KEYS.map((key) => parseKafkaUrl(settings[key])).filter(({ scheme }) => scheme === 'kafka');
  if (urls.length === 0) return notAskedFor(name, 'all topics are in this process (memory://)');
  const tls = settings.KAFKA_ENABLE_TLS ? 'with TLS' : 'without TLS';
  const { probeBroker, topicsAt } = await import('../../adapters/kafka/broker-probe.ts');
  const connections = new Map(urls.map((url) => [url.brokers.join(','), kafkaConnection(url, settings)]));
  const clusters = await Promise.all(
    [...connections].map(async ([brokers, connection]) => {
      const { ok, details } = await probeBroker(connection, PROBE_MS, signal);
      const topics = ok ? await topicsAt(connection, PROBE_MS, signal).catch(() => undefined) : undefined;
      return { brokers, ok, details, topics };
    }),
  );
  const failed = clusters.filter(({ ok }) => !ok);
  if (failed.length > 0) {
    const found = failed.map(({ details }) => details).join('; ');
    const advice = settings.KAFKA_ENABLE_TLS
      ? 'start the brokers, or correct the kafka_…Config URLs; the settings ask for TLS: if the brokers serve plain text on that port set KAFKA_ENABLE_TLS = false, else check KAFKA_TLS_CA_FILE and the certificates'
      : 'start the brokers, or correct the kafka_…Config URLs; the settings ask for plain text: if the brokers want TLS on that port set KAFKA_ENABLE_TLS = true';
    return wrong(name, `${found} (${tls})`, advice);
  }
  const missing = urls
    .filter(({ brokers, topic }) => {
      const at = clusters.find((each) => each.brokers === brokers.join(','));
      return at?.topics !== undefined && !at.topics.includes(topic);
    })
    .map(({ topic }) => topic);
  const found = `${clusters.map(({ details }) => details).join('; ')} (${tls})`;
  if (missing.length === 0) return fine(name, `${found}; ${urls.length} topics`);
  const text = `${found}; missing topics: ${missing.join(', ')}`;
  if (!isRunning) return fine(name, `${text}, which the node creates at its start`);
  return wrong(
    name,
    text,
    `create them, such as with kafka-topics.sh --create --topic ${missing[0]}, or restart the node, which creates them where the broker lets it`,
  );
}

export async function checkBlockchain(settings: Settings, signal: AbortSignal): Promise<Finding> {
  const name = 'blockchain';
  const address = settings.blockchain_grpcAddress;
  if (address === undefined) return notAskedFor(name, 'blockchain_grpcAddress is unset, the embedded chain is used');
  const options = { ...serviceOptions(settings, 'blockchain', address), maxRetries: 1 };
  const client = new GrpcBlockchainClient(DEPS, options);
  try {
    await client.start(signal);
    return await asked(client, settings, address);
  } catch (error) {
    const found = `${address}: ${error instanceof Error ? error.message : 'failed'}`;
    return wrong(
      name,
      found,
      'start the blockchain service, or correct blockchain_grpcAddress, security_level_grpc and p2p_services_api_key',
    );
  } finally {
    await client.stop();
  }
}

async function asked(client: BlockchainClient, settings: Settings, address: string): Promise<Finding> {
  const name = 'blockchain';
  const [fsm, best] = await withDeadline(Promise.all([client.fsmState(), client.bestBlockHeader()]), 2 * PROBE_MS);
  const found = `${address} answers: FSM ${fsm}, height ${best.height}`;
  const genesis = await withDeadline(client.blockHeader(genesisOf(settings.network)), 2 * PROBE_MS);
  if (genesis === undefined) {
    const other = await networkOf(client);
    return wrong(
      name,
      `${found}; it does not have the genesis block of ${settings.network}${other === undefined ? '' : `, but that of ${other}`}`,
      `set network to that of the blockchain service${other === undefined ? '' : ` (${other})`}, or correct blockchain_grpcAddress`,
    );
  }
  if (fsm === 'IDLE')
    return wrong(
      name,
      `${found}; the node waits until the FSM leaves IDLE`,
      'set the FSM of the blockchain service to RUNNING',
    );
  return fine(name, `${found}, ${settings.network}`);
}

/** The network whose genesis block the service has. */
async function networkOf(client: BlockchainClient): Promise<string | undefined> {
  const known = await Promise.all(
    Object.keys(NETWORKS).map(async (network) => {
      const header: BlockHeaderRecord | undefined = await withDeadline(
        client.blockHeader(genesisOf(network as Settings['network'])),
        PROBE_MS,
      ).catch(() => undefined);
      return header === undefined ? [] : [network];
    }),
  );
  return known.flat().join(' or ') || undefined;
}

function genesisOf(network: Settings['network']) {
  return hashHeader(NETWORKS[network].genesisHeader);
}

export async function checkValidation(settings: Settings): Promise<Finding> {
  const name = 'validation_services';
  const { blockValidation, blockAssembly } = createValidationClients(settings, DEPS);
  if (blockValidation === undefined && blockAssembly === undefined)
    return notAskedFor(name, 'blockvalidation_grpcAddress and blockassembly_grpcAddress are unset');
  try {
    const results = await Promise.all([
      ...(blockValidation === undefined ? [] : [probed('blockvalidation', blockValidation)]),
      ...(blockAssembly === undefined ? [] : [probed('blockassembly', blockAssembly)]),
    ]);
    const found = results.map(({ service, details }) => `${service}: ${details}`).join('; ');
    const failed = results.filter(({ ok }) => !ok).map(({ service }) => service);
    if (failed.length === 0) return fine(name, found);
    return wrong(
      name,
      found,
      `start ${failed.join(' and ')}, or correct ${failed.map((each) => `${each}_grpcAddress`).join(' and ')}`,
    );
  } catch (error) {
    return unknown(name, error instanceof Error ? error.message : 'failed');
  } finally {
    blockValidation?.close();
    blockAssembly?.close();
  }
}

async function probed(
  service: string,
  client: { probe(deadlineMs: number): Promise<{ readonly ok: boolean; readonly details: string }> },
) {
  return { service, ...(await client.probe(PROBE_MS)) };
}
