// The gRPC server from the settings. Once it listens, it says where in the data folder.
import { resolve } from 'node:path';
import { GrpcServer } from '../adapters/grpc/grpc-server.ts';
import { writeListening } from '../adapters/grpc/listening-file.ts';
import type { AdminKeys } from '../adapters/listeners/admin-keys.ts';
import type { PeerId } from '../domain/ids.ts';
import type { AdminApi } from '../ports/admin-api.ts';
import type { Traces } from '../ports/traces.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';

export interface GrpcDependencies extends Core {
  readonly admin: AdminApi;
  readonly adminKeys: AdminKeys;
  readonly ownId: PeerId;
  readonly dataFolder: string;
  readonly traces: Traces | undefined;
}

export interface Grpc extends Pick<GrpcServer, 'address' | 'setServing' | 'stop'> {
  start(): Promise<void>;
}

export function createGrpc(settings: Settings, deps: GrpcDependencies): Grpc {
  const { server_certFile: certFile, server_keyFile: keyFile, server_caFile: caFile } = settings;
  const { admin, adminKeys, clock, log, metrics, ownId, dataFolder, traces } = deps;
  const securityLevel = settings.security_level_grpc;
  const server = new GrpcServer(
    { admin, adminKeys, clock, log, metrics, traces },
    {
      listenAddress: settings.p2p_grpc_listen_address,
      ratePerSecond: settings.p2p_grpc_rate,
      tls: { level: securityLevel, certFile, keyFile, caFile },
    },
  );
  return {
    start: async () => {
      await server.start();
      const files = { caFile: absolute(caFile), certFile: absolute(certFile), keyFile: absolute(keyFile) };
      const listening = { address: server.address() ?? '', peerId: ownId, securityLevel, ...files };
      await writeListening(dataFolder, listening).catch((err: unknown) =>
        log.warn({ err }, 'failed to write the gRPC address for the command line'),
      );
    },
    address: () => server.address(),
    setServing: (isServing) => server.setServing(isServing),
    stop: () => server.stop(),
  };
}

function absolute(file: string | undefined): string {
  return file ? resolve(file) : '';
}
