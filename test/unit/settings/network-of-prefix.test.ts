// The network inferred from the topic prefix.
import { describe, expect, test } from 'vitest';
import { fullTopicNames } from '../../../src/settings/topic-names.ts';
import { loadText, MINIMAL_SETTINGS, problemsOf } from '../../support/settings.ts';

describe('a topic prefix without a network', () => {
  const WITHOUT = MINIMAL_SETTINGS.replace(/^network = .*$/m, '');
  const prefixed = (prefix: string) => `${WITHOUT}chainCfgParams_topicPrefix = ${prefix}\n`;

  test.each([
    ['bitcoin/mainnet', 'mainnet'],
    ['teranode/bitcoin/1.0.0/teratestnet', 'teratestnet'],
    ['bitcoin/TSTN', 'tstn'],
    ['stn', 'stn'],
  ])('infers the network from %s: %s', (prefix, network) => {
    const { settings, effective } = loadText(prefixed(prefix));
    expect(settings).toMatchObject({ network, chainCfgParams_topicPrefix: prefix });
    expect(fullTopicNames(settings).block).toBe(`${prefix}-block`);
    const shown = effective.find(({ key }) => key === 'network');
    expect(shown).toMatchObject({ shown: network });
    expect(shown?.origin).toMatch(/^the last part of chainCfgParams_topicPrefix, settings\.conf:\d+ /);
  });

  test.each([
    ['bitcoin/moonnet', 'moonnet'],
    ['mainnet/bitcoin', 'bitcoin'],
    ['bitcoin/mainnet/', ''],
    ['bitcoin-mainnet', 'bitcoin-mainnet'],
  ])('refuses the prefix %s, whose last part is no network', (prefix, part) => {
    const problems = problemsOf(() => loadText(prefixed(prefix)));
    const expected = `mainnet or testnet or stn or regtest or teratestnet or tstn (required); the last part of chainCfgParams_topicPrefix, "${part}", is not one of them`;
    expect(problems).toMatchObject([{ key: 'network', value: '', expected }]);
  });

  test('an explicit network overrides the prefix', () => {
    const env = { chainCfgParams_topicPrefix: 'bitcoin/mainnet' };
    expect(loadText(MINIMAL_SETTINGS, env).settings.network).toBe('regtest');
    expect(loadText(MINIMAL_SETTINGS, { ...env, network: '' }).settings.network).toBe('mainnet');
    expect(problemsOf(() => loadText(MINIMAL_SETTINGS, { ...env, network: 'moonnet' }))).toMatchObject([
      { key: 'network', value: 'moonnet' },
    ]);
  });
});
