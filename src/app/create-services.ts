// Clients of the node's other services, and the embedded chain that stands in where the settings name no blockchain
// service.
import { join } from 'node:path';
import { EmbeddedChain } from '../adapters/embedded-chain/embedded-chain.ts';
import { GrpcBlockchainClient } from '../adapters/services/blockchain-client.ts';
import type { ServiceDependencies, ServiceOptions } from '../adapters/services/service-channel.ts';
import { blockAssemblyClient, blockValidationClient } from '../adapters/services/validation-clients.ts';
import { P2PError } from '../lib/errors.ts';
import { pause } from '../lib/pause.ts';
import type { BlockchainClient } from '../ports/blockchain-client.ts';
import { systemClock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { BlockAssemblyClient, BlockValidationClient } from '../ports/validation-services.ts';
import type { Settings } from '../settings/load.ts';
import { bootstrapPeers } from '../settings/wire.ts';
import { NETWORKS } from '../wire/networks.ts';

type Service = 'blockchain' | 'blockvalidation' | 'blockassembly';

/** Retries and back-off of this service, else those common to all. Our own certificate and key are the client's too. */
export function serviceOptions(settings: Settings, service: Service, address: string): ServiceOptions {
  const { server_caFile: caFile, server_certFile: certFile, server_keyFile: keyFile } = settings;
  return {
    address,
    maxRetries: settings[`${service}_grpcMaxRetries`] ?? settings.grpc_max_retries,
    retryBackoffMs: settings[`${service}_grpcRetryBackoff`] ?? settings.grpc_retry_backoff,
    tls: settings.security_level_grpc > 0 ? { caFile, certFile, keyFile } : undefined,
    apiKey: settings.p2p_services_api_key,
  };
}

/** `blockchain_grpcAddress`, else the embedded chain in `dataFolder`. */
export function createBlockchain(
  settings: Settings,
  deps: ServiceDependencies & { readonly dataFolder: string },
): BlockchainClient {
  const address = settings.blockchain_grpcAddress;
  if (address === undefined) return embeddedChain(settings, deps.dataFolder, deps.log);
  return new GrpcBlockchainClient(deps, serviceOptions(settings, 'blockchain', address));
}

export interface ValidationClients {
  readonly blockValidation: BlockValidationClient | undefined;
  readonly blockAssembly: BlockAssemblyClient | undefined;
}

/** `blockvalidation_grpcAddress` and `blockassembly_grpcAddress`; undefined where none is set. */
export function createValidationClients(settings: Settings, deps: ServiceDependencies): ValidationClients {
  const { blockvalidation_grpcAddress: validation, blockassembly_grpcAddress: assembly } = settings;
  return {
    blockValidation:
      validation === undefined
        ? undefined
        : blockValidationClient(deps, serviceOptions(settings, 'blockvalidation', validation)),
    blockAssembly:
      assembly === undefined
        ? undefined
        : blockAssemblyClient(deps, serviceOptions(settings, 'blockassembly', assembly)),
  };
}

/** What runs while the blockchain service is awaited. */
export interface Waiting {
  /** Called once, when the first question was not answered. */
  begin(): Promise<void>;
  /** Called when the wait is over, if `begin` was called. */
  end(): Promise<void>;
}

/** A service that refuses does so at once, without a delay of its own. */
const ASK_AGAIN_MS = 1000;

/**
 * Asks again while the service does not answer: it may start after us. Throws errors other than RPC_FAILED, and the
 * signal's reason.
 */
export async function patiently<T>(
  ask: () => Promise<T>,
  deps: { readonly log: Logger; readonly waiting: Waiting },
  signal: AbortSignal,
): Promise<T> {
  let hasBegun = false;
  try {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof P2PError) || error.code !== 'RPC_FAILED') throw error;
        deps.log.warn({ err: error }, 'waiting for blockchain service');
      }
      if (!hasBegun) {
        hasBegun = true;
        await deps.waiting.begin();
      }
      await pause(ASK_AGAIN_MS, signal);
      signal.throwIfAborted();
    }
  } finally {
    if (hasBegun) await deps.waiting.end();
  }
}

function embeddedChain(settings: Settings, dataFolder: string, log: Logger): EmbeddedChain {
  return new EmbeddedChain(
    { log, clock: systemClock },
    {
      network: NETWORKS[settings.network],
      path: chainPath(settings.blockchain_store, dataFolder),
      headersFile: settings.embedded_chain_headers || undefined,
      mineIntervalMs: mineInterval(settings),
      minerText: `/${settings.clientName}/`,
    },
  );
}

/** Of nodes that know each other only one mines, unless the settings say otherwise: the one that names no peers. */
export function mineInterval(settings: Settings): number | undefined {
  const { p2p_static_peers: peers, p2p_bootstrap_addresses: bootstrap } = settings;
  const namesPeers = [...peers, ...bootstrap, ...bootstrapPeers(settings)].length > 0;
  return settings.embedded_chain_mine_interval ?? (namesPeers ? undefined : settings.embedded_chain_lone_mine_interval);
}

/** A PostgreSQL store belongs to a real blockchain service: the embedded chain uses a file of its own. */
function chainPath(store: string, dataFolder: string): string {
  if (store.startsWith('sqlitememory://')) return ':memory:';
  const name = store.startsWith('sqlite:///') ? store.slice('sqlite:///'.length) : 'blockchain';
  return join(dataFolder, `${name.replaceAll('..', '_')}.db`);
}
