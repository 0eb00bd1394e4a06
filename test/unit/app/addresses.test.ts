// The addresses that this node announces, as they follow from the settings.
import { describe, expect, test } from 'vitest';
import { ownHttpUrl } from '../../../src/app/create-http.ts';
import { ownDataHubUrl } from '../../../src/app/create-peers.ts';
import { loadSettings, type Settings } from '../../../src/settings/load.ts';
import { REPO } from '../../support/repo.ts';

const settings = (fields: Partial<Settings>) => fields as Settings;

describe('our DataHub URL', () => {
  test.each([
    ['https://public.example/api/v1/', 'http://localhost:8090/api/v1', 'https://public.example/api/v1'],
    [undefined, 'http://localhost:8090/api/v1', 'http://localhost:8090/api/v1'],
    [undefined, undefined, ''],
  ])('with the public address %s and the other %s is "%s"', (asset_httpPublicAddress, asset_httpAddress, url) => {
    expect(ownDataHubUrl(settings({ asset_httpPublicAddress, asset_httpAddress }))).toBe(url);
  });

  test('is that of an asset service on this machine where a blockchain service is named and no URL', () => {
    expect(ownDataHubUrl(settings({ blockchain_grpcAddress: 'blockchain:8087' }))).toBe('http://localhost:8090/api/v1');
  });

  test.each(['ftp://x', 'nonsense'])('is refused when it is no http or https URL: %s', (asset_httpAddress) => {
    expect(() => ownDataHubUrl(settings({ asset_httpAddress }))).toThrow(
      expect.objectContaining({ code: 'ADDRESS_INVALID' }),
    );
  });
});

test.each([
  ['localhost:9906', 0, 'http://localhost:9906'],
  ['localhost:9906', 1, 'https://localhost:9906'],
  ['http://peer.example:9906', 1, 'https://peer.example:9906'],
  ['https://peer.example:9906', 0, 'http://peer.example:9906'],
  [undefined, 1, undefined],
] as const)('our HTTP address %s at security level %i is %s', (p2p_http_address, securityLevelHTTP, url) => {
  expect(ownHttpUrl(settings({ p2p_http_address, securityLevelHTTP }))).toBe(url);
});

test('in context dev our HTTP address is the one that the server listens on, also when only that setting is changed', () => {
  for (const listening of ['127.0.0.1:9906', '127.0.0.1:19906']) {
    const { settings } = loadSettings({ folder: REPO, env: { p2p_http_listen_address: listening } });
    expect(ownHttpUrl(settings, listening)).toBe(`http://${listening}`);
  }
  const { settings } = loadSettings({ folder: REPO, env: { SETTINGS_CONTEXT: 'testnet', P2P_HTTP_PORT: '19906' } });
  expect(ownHttpUrl(settings, '[::]:19906')).toBe('http://localhost:19906');
});
