// What the settings make of our own URLs and status on message-bus.
import { describe, expect, test } from 'vitest';
import type { PublisherOptions } from '../../../src/announce/publisher.ts';
import { type AnnouncerSources, createAnnouncers, createBusUrls } from '../../../src/app/create-announcers.ts';
import { ownDataHubUrl } from '../../../src/app/create-peers.ts';
import type { Settings } from '../../../src/settings/load.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { ScriptedChain } from '../../fakes/scripted-chain.ts';
import { tracked } from '../../fakes/tracked.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

const PUBLIC = 'https://hub.example/api/v1';

function settingsWith(own: Readonly<Record<string, string>>): Settings {
  const lines = Object.entries({ network: 'mainnet', p2p_wire: 'message-bus', ...own });
  const others = MINIMAL_SETTINGS.split('\n').filter((line) => !lines.some(([key]) => line.startsWith(`${key} =`)));
  return loadText([...others, ...lines.map(([key, value]) => `${key} = ${value}`)].join('\n')).settings;
}

function urlsWith(own: Readonly<Record<string, string>>) {
  const settings = settingsWith(own);
  const log = recordingLogger();
  const urls: PublisherOptions['urls'] = createBusUrls(settings, () => ownDataHubUrl(settings), log);
  return { urls, warnings: log.lines.filter(({ level }) => level === 'warn') };
}

describe('our own URLs on message-bus', () => {
  test('are the public address, and the propagation URL or that address', () => {
    const urls = { dataHubUrl: PUBLIC, propagationUrl: PUBLIC };
    expect(urlsWith({ asset_httpPublicAddress: PUBLIC })).toEqual({ urls, warnings: [] });
    const propagationUrl = 'https://tx.example';
    expect(urlsWith({ asset_httpPublicAddress: PUBLIC, asset_propagationPublicURL: propagationUrl })).toEqual({
      urls: { dataHubUrl: PUBLIC, propagationUrl },
      warnings: [],
    });
  });

  test('are empty when they are private, which is warned of once with the setting to change', () => {
    const { urls, warnings } = urlsWith({});
    expect(urls).toEqual({ dataHubUrl: '', propagationUrl: '' });
    expect(warnings).toMatchObject([
      { event: expect.stringContaining('asset_httpPublicAddress'), fields: { fault: 'private' } },
    ]);
  });

  test.each([
    { p2p_allow_private_ips: 'true' },
    { p2p_allow_private_datahubs: 'true' },
    { p2p_listen_addresses: '127.0.0.1' },
    { network: 'regtest' },
  ])('may be private with %o', (own) => {
    const url = 'http://localhost:8090/api/v1';
    expect(urlsWith(own as Record<string, string>)).toEqual({
      urls: { dataHubUrl: url, propagationUrl: url },
      warnings: [],
    });
  });

  test.each([{ listen_mode: 'listen_only' }, { listen_mode: 'silent' }, { p2p_wire: 'go-p2p' }])(
    'are empty without a warning with %o',
    (own) => {
      expect(urlsWith(own as Record<string, string>)).toEqual({
        urls: { dataHubUrl: '', propagationUrl: '' },
        warnings: [],
      });
    },
  );
});

describe('our own status', () => {
  async function statusWith(own: Readonly<Record<string, string>>) {
    const settings = settingsWith(own);
    const chain = tracked(new ScriptedChain());
    const dataHubUrl = () => ownDataHubUrl(settings);
    const deps = {
      ...{ log: recordingLogger(), metrics: new RecordedMetrics(), clock: new FakeClock() },
      ...{ networks: [], chain, dataHubUrl, blockAssembly: undefined, sync: { syncPeer: () => undefined } },
      busUrls: createBusUrls(settings, dataHubUrl, recordingLogger()),
      blockchain: { getState: async () => Uint8Array.of(2, 0, 0, 0) },
      registry: { connectedList: () => [{}, {}] },
    };
    return await createAnnouncers(settings, deps as unknown as AnnouncerSources).status.current();
  }

  test('has the minimum fee, the storage and the number of peers on message-bus', async () => {
    expect(await statusWith({ asset_httpPublicAddress: PUBLIC })).toMatchObject({
      ...{
        baseUrl: PUBLIC,
        propagationUrl: PUBLIC,
        minMiningTxFee: 0.00000001,
        connectedPeersCount: 2,
        storage: 'full',
      },
    });
    expect(await statusWith({ asset_httpPublicAddress: PUBLIC })).not.toHaveProperty('feePolicy');
  });

  test('has a fee policy when one of its settings is set, with satoshis per 1000 bytes', async () => {
    const own = { minminingtxfee: '0.00000250', maxtxsizepolicy: '10485760' };
    expect(await statusWith(own)).toMatchObject({
      feePolicy: {
        miningFee: { satoshis: 250, bytes: 1000 },
        ...{ maxScriptSize: 0n, maxTxSize: 10_485_760n, maxTxSigops: 0n },
      },
    });
  });

  test('has an empty URL while it only listens, and none of the newer fields on go-p2p', async () => {
    expect(await statusWith({ listen_mode: 'listen_only', asset_httpPublicAddress: PUBLIC })).toMatchObject({
      baseUrl: '',
      listenMode: 'listen_only',
    });
    const older = await statusWith({ p2p_wire: 'go-p2p', asset_httpPublicAddress: PUBLIC });
    expect(older.baseUrl).toBe(PUBLIC);
    expect(older).not.toHaveProperty('minMiningTxFee');
  });
});
