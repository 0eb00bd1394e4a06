// Node status: what a node says about itself every 10 s (spec "p2p_node_status_topic").
import type { NodeStatusMessage } from '../domain/node-status.ts';
import { readBlockAssembly, writeBlockAssembly } from './block-assembly-details.ts';
import type { Decoded } from './fault.ts';
import { parseHash } from './hash.ts';
import { FieldReader, goBytes, type JsonField, MAX_URL_CHARS } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

const MAX_HEX_CHARS = 64;

export function decodeNodeStatus(bytes: Uint8Array): Decoded<NodeStatusMessage> {
  const read = FieldReader.of(bytes, { maxBytes: MAX_MESSAGE_BYTES.node_status, exact: true });
  if (!read.ok) return read;
  const fields = read.message;
  const type = fields.text('type');
  if (type !== 'node_status') fields.fail(type === '' ? 'missing_field' : 'unknown_type', 'type');
  const details = readBlockAssembly(fields.raw('block_assembly_details'));
  if (!details.ok) return details;
  return fields.finish({ ...scalars(fields), blockAssemblyDetails: details.message });
}

function scalars(fields: FieldReader): Omit<NodeStatusMessage, 'blockAssemblyDetails'> {
  return {
    baseUrl: fields.text('base_url', MAX_URL_CHARS),
    peerId: fields.text('peer_id'),
    version: fields.text('version'),
    commitHash: fields.text('commit_hash'),
    bestBlockHash: fields.optionalHash('best_block_hash') ?? '',
    bestHeight: fields.uint32('best_height'),
    fsmState: fields.text('fsm_state'),
    startTime: fields.int64('start_time'),
    uptime: fields.float('uptime'),
    clientName: fields.text('client_name'),
    minerName: fields.text('miner_name'),
    listenMode: fields.text('listen_mode'),
    chainWork: fields.text('chain_work', MAX_HEX_CHARS),
    syncPeerId: fields.text('sync_peer_id'),
    syncPeerHeight: fields.uint32('sync_peer_height'),
    syncPeerBlockHash: parseHash(fields.text('sync_peer_block_hash')) ?? '',
    syncConnectedAt: fields.int64('sync_connected_at'),
  };
}

export function encodeNodeStatus(message: NodeStatusMessage): Uint8Array {
  const sync: JsonField[] = [
    ['sync_peer_id', message.syncPeerId],
    ['sync_peer_height', message.syncPeerHeight],
    ['sync_peer_block_hash', message.syncPeerBlockHash],
    ['sync_connected_at', message.syncConnectedAt],
  ];
  return goBytes([
    ['type', 'node_status'],
    ['base_url', message.baseUrl],
    ['peer_id', message.peerId],
    ['version', message.version],
    ['commit_hash', message.commitHash],
    ['best_block_hash', message.bestBlockHash],
    ['best_height', message.bestHeight],
    ['block_assembly_details', writeBlockAssembly(message.blockAssemblyDetails)],
    ['fsm_state', message.fsmState],
    ['start_time', message.startTime],
    ['uptime', message.uptime],
    ['client_name', message.clientName],
    ['miner_name', message.minerName],
    ['listen_mode', message.listenMode],
    ['chain_work', message.chainWork],
    ...sync.filter(([, value]) => Boolean(value)),
  ]);
}
