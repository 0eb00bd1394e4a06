import { expect, test } from 'vitest';
import { webSocketLimits } from '../../../src/settings/websocket-limits.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

test.each([
  [{}, 2000, 1000],
  [{ p2p_ws_max_clients: '7' }, 7, 4],
  [{ p2p_websocket_max_connections: '1000' }, 1000, 500],
  [{ p2p_websocket_max_connections: '0' }, 100_000, 50_000],
  [{ p2p_websocket_max_connections_per_source: '0' }, 2000, 100],
  [{ p2p_websocket_max_connections: '40', p2p_websocket_max_connections_per_source: '0' }, 40, 4],
  [{ p2p_websocket_max_connections_per_source: '-1' }, 2000, 2000],
  [{ p2p_websocket_max_connections_per_source: '9' }, 2000, 9],
  [{ p2p_websocket_max_connections_per_source: '9', p2p_ws_max_clients_per_address: '8' }, 2000, 8],
])('%j allows %i clients, %i of one address', (env, maxClients, maxPerAddress) => {
  const { settings } = loadText(MINIMAL_SETTINGS, env as Record<string, string>);
  expect(webSocketLimits(settings)).toEqual({ maxClients, maxPerAddress, unlimitedRanges: [] });
});

test('addresses without a limit of their own are those of p2p_websocket_trusted_source_cidrs; none means none', () => {
  const rangesOf = (p2p_websocket_trusted_source_cidrs: string) =>
    webSocketLimits(loadText(MINIMAL_SETTINGS, { p2p_websocket_trusted_source_cidrs }).settings).unlimitedRanges;
  expect(rangesOf('127.0.0.1/32|::1/128')).toEqual(['127.0.0.1/32', '::1/128']);
  expect(rangesOf('none')).toEqual([]);
});
