// Which node the command line talks to: that of --address, else that of p2p_grpc_address in the environment, else the
// one that last listened from the data folder, else that of the settings.
import { join, resolve } from 'node:path';
import { type Listening, readListening } from '../../adapters/grpc/listening-file.ts';
import { type ClientTlsOptions, createPeerClient, type PeerClientOptions } from '../../client/index.ts';
import { P2PError } from '../../lib/errors.ts';
import { reachableHere } from '../../lib/host-port.ts';
import type { LoadedSettings, Settings } from '../../settings/load.ts';

export type Target = Pick<PeerClientOptions, 'address' | 'tls'>;

/**
 * `loaded`: undefined only with an address. Throws RPC_FAILED when the node of the data folder does not run, and
 * DATA_FOLDER_UNUSABLE.
 */
export async function targetNode(
  address: string | undefined,
  loaded: LoadedSettings | undefined,
  cwd: string,
): Promise<Target> {
  if (loaded === undefined || address !== undefined) return { address: address ?? '', tls: tlsOf(loaded?.settings) };
  const { settings, effective } = loaded;
  const origin = effective.find(({ key }) => key === 'p2p_grpc_address')?.origin ?? '';
  const dataFolder = resolve(cwd, settings.dataFolder);
  const listening =
    settings.p2p_grpc_address !== undefined && origin.startsWith('environment ')
      ? undefined
      : await readListening(dataFolder);
  if (listening === undefined) {
    const set = settings.p2p_grpc_address ?? reachableHere(settings.p2p_grpc_listen_address);
    return { address: set, tls: tlsOf(settings) };
  }
  const target = { address: reachableHere(listening.address), tls: tlsOfNode(listening) };
  await checkIdentity(target, listening, dataFolder);
  return target;
}

/** Before the key is sent: another node may listen there by now. */
async function checkIdentity(target: Target, { peerId }: Listening, dataFolder: string): Promise<void> {
  const where = `where it last listened for gRPC (${join(dataFolder, 'grpc.json')}); give --address to ask another node`;
  const refused = (found: string, cause?: unknown) =>
    new P2PError('RPC_FAILED', `the node of dataFolder ${dataFolder} is not running: ${found} ${where}`, { cause });
  const client = createPeerClient(target);
  try {
    const answering = await client.status(true);
    if (answering.peerId !== peerId) throw refused(`another node (${answering.peerId}) answers at ${target.address},`);
  } catch (error) {
    const { grpcCode } = error instanceof P2PError ? error.details : {};
    if (grpcCode === 'UNAVAILABLE') throw refused(`nothing answers at ${target.address},`, error);
    if (grpcCode === 'UNIMPLEMENTED') throw refused(`another service answers at ${target.address},`, error);
    throw error;
  } finally {
    client.close();
  }
}

function tlsOf(settings: Settings | undefined): ClientTlsOptions | undefined {
  if (settings === undefined) return undefined;
  const { server_caFile: caFile, server_certFile: certFile, server_keyFile: keyFile } = settings;
  return clientTls(settings.security_level_grpc, { caFile, certFile, keyFile });
}

function tlsOfNode({ securityLevel, caFile, certFile, keyFile }: Listening): ClientTlsOptions | undefined {
  return clientTls(securityLevel, { caFile, certFile: certFile || undefined, keyFile });
}

/** `certFile` is that of the node, which it takes from its clients, too. */
function clientTls(
  level: number,
  { caFile, certFile, keyFile }: Pick<ClientTlsOptions, 'caFile' | 'certFile' | 'keyFile'>,
): ClientTlsOptions | undefined {
  if (level === 0) return undefined;
  return { caFile: caFile || undefined, serverCertFile: certFile, ...(level > 1 ? { certFile, keyFile } : {}) };
}
