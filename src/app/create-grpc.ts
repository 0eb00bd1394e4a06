// The gRPC server from the settings.
import { GrpcServer } from '../adapters/grpc/grpc-server.ts';
import type { AdminKeys } from '../adapters/listeners/admin-keys.ts';
import type { AdminApi } from '../ports/admin-api.ts';
import type { Settings } from '../settings/load.ts';
import type { Core } from './core.ts';

export interface GrpcDependencies extends Core {
  readonly admin: AdminApi;
  readonly adminKeys: AdminKeys;
}

export function createGrpc(settings: Settings, deps: GrpcDependencies): GrpcServer {
  const { server_certFile: certFile, server_keyFile: keyFile, server_caFile: caFile } = settings;
  const { admin, adminKeys, clock, log, metrics } = deps;
  return new GrpcServer(
    { admin, adminKeys, clock, log, metrics },
    {
      listenAddress: settings.p2p_grpc_listen_address,
      ratePerSecond: settings.p2p_grpc_rate,
      tls: { level: settings.security_level_grpc, certFile, keyFile, caFile },
    },
  );
}
