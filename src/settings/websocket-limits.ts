// How many WebSocket clients there may be: our own settings, or those of Teranode.
import type { Settings } from './schema.ts';
import { MAX_WS_CLIENTS } from './schema-services.ts';

export interface WebSocketLimits {
  readonly maxClients: number;
  readonly maxPerAddress: number;
  /** Ranges of addresses without a limit of their own. */
  readonly unlimitedRanges: readonly string[];
}

/** The rule of Teranode for 0: a twentieth of all, and no less than this. */
const LEAST_PER_SOURCE = 4;
const SOURCE_SHARE = 20;

export function webSocketLimits(settings: Settings): WebSocketLimits {
  const maxClients = settings.p2p_ws_max_clients || MAX_WS_CLIENTS;
  return {
    maxClients,
    maxPerAddress: settings.p2p_ws_max_clients_per_address ?? perSource(settings, maxClients),
    unlimitedRanges: settings.p2p_websocket_trusted_source_cidrs.filter((range) => range !== 'none'),
  };
}

function perSource({ p2p_websocket_max_connections_per_source: set }: Settings, maxClients: number): number {
  if (set === undefined) return Math.ceil(maxClients / 2);
  if (set === -1) return maxClients;
  return set === 0 ? Math.max(LEAST_PER_SOURCE, Math.floor(maxClients / SOURCE_SHARE)) : set;
}
