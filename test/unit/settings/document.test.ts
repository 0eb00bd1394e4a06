// docs/settings.md is generated from the schema, which has every key of the specification.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settingsDocument } from '../../../src/settings/document.ts';
import { ROWS } from '../../../src/settings/schema.ts';
import { REPO } from '../../support/repo.ts';

describe('documents', () => {
  test('docs/settings.md is generated from the current schema', () => {
    expect(readFileSync(join(REPO, 'docs/settings.md'), 'utf8')).toBe(settingsDocument());
  });

  test('every key of the specification’s configuration part is a setting', () => {
    const keys = new Set(ROWS.flatMap(([key, row]) => [key as string, ...row.also]));
    const specified = [
      'p2p_listen_addresses',
      'p2p_advertise_addresses',
      'p2p_port',
      'p2p_block_topic',
      'p2p_subtree_topic',
      'p2p_handshake_topic',
      'p2p_mining_on_topic',
      'p2p_rejected_tx_topic',
      'p2p_node_status_topic',
      'p2p_shared_key',
      'p2p_dht_protocol_id',
      'p2p_dht_use_private',
      'p2p_optimise_retries',
      'p2p_static_peers',
      'p2p_private_key',
      'p2p_http_address',
      'p2p_http_listen_address',
      'p2p_grpc_address',
      'p2p_grpc_listen_address',
      'p2p_bootstrap_addresses',
      'p2p_bootstrap_persistent',
      'p2p_ban_threshold',
      'p2p_ban_duration',
      'securityLevelHTTP',
      'server_certFile',
      'server_keyFile',
      'p2p_ban_default_duration',
      'p2p_ban_persist_path',
      'p2p_ban_max_entries',
    ];
    expect(specified.filter((key) => !keys.has(key))).toEqual([]);
  });
});
