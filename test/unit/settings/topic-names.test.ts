import { describe, expect, test } from 'vitest';
import { busTopicNames, fullTopicNames, topicPrefix, topicPrefixes } from '../../../src/settings/topic-names.ts';
import { loadText, MINIMAL_SETTINGS, PRIVATE_NETWORK } from '../../support/settings.ts';

const settingsOf = (env: Readonly<Record<string, string>>) =>
  loadText(MINIMAL_SETTINGS, { ...PRIVATE_NETWORK, ...env }).settings;

describe('the topic prefix', () => {
  test.each(['mainnet', 'testnet', 'stn', 'regtest', 'teratestnet', 'tstn'])(
    'of %s is bitcoin/<network> on go-p2p and teranode/bitcoin/1.0.0/<network> on message-bus',
    (network) => {
      for (const p2p_wire of ['go-p2p', 'message-bus', 'both']) {
        const settings = settingsOf({ network, p2p_wire });
        expect(topicPrefix(settings, 'go-p2p')).toBe(`bitcoin/${network}`);
        expect(topicPrefix(settings, 'message-bus')).toBe(`teranode/bitcoin/1.0.0/${network}`);
      }
    },
  );

  test.each(['go-p2p', 'message-bus'] as const)('on %s is chainCfgParams_topicPrefix where that is set', (wire) => {
    for (const chainCfgParams_topicPrefix of [
      'bitcoin/mainnet',
      'teranode/bitcoin/1.0.0/mainnet',
      'bitcoin/regtest',
      'teranode/bitcoin/1.0.0/regtest',
      'own',
    ]) {
      const settings = settingsOf({ p2p_wire: wire, chainCfgParams_topicPrefix });
      expect(topicPrefix(settings, wire)).toBe(chainCfgParams_topicPrefix);
    }
  });

  test('with both wires, chainCfgParams_topicPrefix replaces neither default by the default of the other wire', () => {
    const prefixesWith = (chainCfgParams_topicPrefix: string) => {
      const settings = settingsOf({ p2p_wire: 'both', chainCfgParams_topicPrefix });
      return [topicPrefix(settings, 'message-bus'), topicPrefix(settings, 'go-p2p')];
    };
    const defaults = ['teranode/bitcoin/1.0.0/regtest', 'bitcoin/regtest'];
    expect(prefixesWith('bitcoin/regtest')).toEqual(defaults);
    expect(prefixesWith('teranode/bitcoin/1.0.0/regtest')).toEqual(defaults);
    expect(prefixesWith('own')).toEqual(['own', 'own']);
  });
});

test('further prefixes belong to the go-p2p node where there is one, without duplicates', () => {
  const p2p_further_topic_prefixes = 'x | bitcoin/regtest | x';
  expect(topicPrefixes(settingsOf({ p2p_further_topic_prefixes }), 'go-p2p')).toEqual(['bitcoin/regtest', 'x']);
  const both = settingsOf({ p2p_further_topic_prefixes, p2p_wire: 'both' });
  expect(topicPrefixes(both, 'go-p2p')).toEqual(['bitcoin/regtest', 'x']);
  expect(topicPrefixes(both, 'message-bus')).toEqual(['teranode/bitcoin/1.0.0/regtest']);
  const bus = settingsOf({ p2p_further_topic_prefixes, p2p_wire: 'message-bus' });
  expect(topicPrefixes(bus, 'message-bus')).toEqual(['teranode/bitcoin/1.0.0/regtest', 'x', 'bitcoin/regtest']);
});

test('topic names carry the prefix: seven topics on go-p2p, four on message-bus', () => {
  const settings = settingsOf({ p2p_block_topic: 'blocks' });
  expect(fullTopicNames(settings)).toEqual({
    block: 'bitcoin/regtest-blocks',
    subtree: 'bitcoin/regtest-subtree',
    mining_on: 'bitcoin/regtest-miningon',
    handshake: 'bitcoin/regtest-handshake',
    rejected_tx: 'bitcoin/regtest-rejected_tx',
    node_status: 'bitcoin/regtest-node_status',
    best_block: 'bitcoin/regtest-bestblock',
  });
  expect(busTopicNames(settings)).toEqual({
    block: 'teranode/bitcoin/1.0.0/regtest-blocks',
    subtree: 'teranode/bitcoin/1.0.0/regtest-subtree',
    rejected_tx: 'teranode/bitcoin/1.0.0/regtest-rejected_tx',
    node_status: 'teranode/bitcoin/1.0.0/regtest-node_status',
  });
  expect(busTopicNames(settings, 'p').block).toBe('p-blocks');
});
