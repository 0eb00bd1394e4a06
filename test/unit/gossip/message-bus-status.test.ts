// Odd fields of a node status on message-bus: those that are only shown drop no status, the others do.
import { expect, test } from 'vitest';
import { GO_P2P, MESSAGE_BUS, type WireFormat } from '../../../src/wire/format.ts';
import { AUTHOR, validate } from '../../fakes/validated.ts';

function hear(fields: Record<string, unknown>, wire: WireFormat = MESSAGE_BUS) {
  const status = { peer_id: AUTHOR, type: 'node_status', base_url: '', best_height: 7, ...fields };
  const data = Buffer.from(JSON.stringify(status)).toString('base64');
  const { reason, effects } = validate('node_status', JSON.stringify({ name: 'x', data }), { wire });
  const shown = effects.find(({ type }) => type === 'notify');
  return { reason, shown: shown?.type === 'notify' ? shown.notification : undefined };
}

test.each([
  ['sync_peer_block_hash', 'a'.repeat(1025), { syncPeerBlockHash: '' }],
  ['sync_peer_height', -1, { syncPeerHeight: 0 }],
])('a node status on message-bus with a wrong %s is processed without it', (field, value, shown) => {
  expect(hear({ [field]: value })).toMatchObject({ reason: 'processed', shown: { ...shown, bestHeight: 7 } });
  expect(hear({ [field]: value }, GO_P2P).reason).toBe('decode');
});

const FEE_POLICY = { miningFee: { satoshis: 1, bytes: 1000 }, maxtxsizepolicy: 1 };

test.each([
  ['storage', 'x'.repeat(1025), 'storage'],
  ['storage', 5, 'storage'],
  ['propagation_url', `http://${'x'.repeat(2048)}`, 'propagationUrl'],
  ['tx_count', -1, 'txCount'],
  ['subtree_count', -1, 'subtreeCount'],
  ['connected_peers_count', -1, 'connectedPeersCount'],
  ['legacy_connected_peers_count', -1, 'legacyConnectedPeersCount'],
  ['min_mining_tx_fee', 'free', 'minMiningTxFee'],
  ['fee_policy', { ...FEE_POLICY, maxtxsizepolicy: -1 }, 'feePolicy'],
  ['fee_policy', { ...FEE_POLICY, miningFee: { satoshis: -1, bytes: 1000 } }, 'feePolicy'],
  ['fee_policy', [], 'feePolicy'],
])('a node status with a wrong %s is processed without it on either wire (case %#)', (field, value, key) => {
  for (const wire of [MESSAGE_BUS, GO_P2P]) {
    const { reason, shown } = hear({ [field]: value }, wire);
    expect([reason, shown?.type]).toEqual(['processed', 'node_status']);
    expect(shown).not.toHaveProperty(key);
  }
});

test.each([
  ['type', 'status'],
  ['peer_id', 5],
  ['best_height', -1],
  ['best_height', '7'],
])('a node status on message-bus with a wrong %s is rejected (case %#)', (field, value) => {
  expect(hear({ [field]: value })).toEqual({ reason: 'decode', shown: undefined });
});
