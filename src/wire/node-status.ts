// Node status: what a node says about itself every 10 s (spec "p2p_node_status_topic").
import type { FeePolicy, NodeStatusMessage } from '../domain/node-status.ts';
import { readBlockAssembly, writeBlockAssembly } from './block-assembly-details.ts';
import { CUT_MARK, cutText, MAX_NAME_BYTES } from './cut-text.ts';
import type { Decoded } from './fault.ts';
import { parseShortHash } from './hash.ts';
import { FieldReader, goBytes, goObject, type JsonField, MAX_URL_CHARS, type Reading } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

const MAX_HEX_CHARS = 64;
const LISTEN_MODES: ReadonlySet<string> = new Set(['full', 'listen_only', 'silent']);

const READING: Reading = { maxBytes: MAX_MESSAGE_BYTES.node_status };

export function decodeNodeStatus(bytes: Uint8Array, reading = READING): Decoded<NodeStatusMessage> {
  const read = FieldReader.ofGossip(bytes, reading);
  if (!read.ok) return read;
  const fields = read.message;
  const type = fields.text('type');
  if (type !== 'node_status') fields.fail(type === '' ? 'missing_field' : 'unknown_type', 'type');
  const details = readBlockAssembly(fields.nested('block_assembly_details'));
  if (!details.ok) return details;
  const scalarFields = scalars(fields);
  return fields.finish({ ...scalarFields, blockAssemblyDetails: details.message, ...busFields(fields) });
}

function scalars(fields: FieldReader): Omit<NodeStatusMessage, 'blockAssemblyDetails'> {
  return {
    baseUrl: fields.text('base_url', MAX_URL_CHARS),
    peerId: fields.peerId('peer_id'),
    version: fields.shown('version'),
    commitHash: fields.shown('commit_hash'),
    bestBlockHash: fields.optionalHash('best_block_hash') ?? '',
    bestHeight: fields.uint32('best_height'),
    fsmState: fields.shown('fsm_state'),
    startTime: fields.int64('start_time'),
    uptime: fields.float('uptime'),
    clientName: fields.shown('client_name'),
    minerName: fields.shown('miner_name'),
    listenMode: fields.valid('listen_mode', (text) => LISTEN_MODES.has(text)),
    chainWork: fields.valid('chain_work', isHex, MAX_HEX_CHARS),
    syncPeerId: fields.shown('sync_peer_id'),
    syncPeerHeight: fields.displayed(() => fields.uint32('sync_peer_height'), 0),
    syncPeerBlockHash: fields.displayed(() => fields.repeatedHash('sync_peer_block_hash'), undefined) ?? '',
    syncConnectedAt: fields.int64('sync_connected_at'),
  };
}

function isHex(text: string): boolean {
  return parseShortHash(text) !== undefined;
}

export type BusFields = Pick<
  NodeStatusMessage,
  | 'propagationUrl'
  | 'txCount'
  | 'subtreeCount'
  | 'minMiningTxFee'
  | 'feePolicy'
  | 'connectedPeersCount'
  | 'legacyConnectedPeersCount'
  | 'storage'
>;

/** Fields of message-bus; those that are absent, null or wrong stay absent on either wire. */
function busFields(fields: FieldReader): BusFields {
  const ifGiven = <K extends string, T>(name: string, key: K, read: () => T) => {
    const value = fields.ifValid(() => (fields.raw(name) === undefined ? undefined : read()));
    return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: T };
  };
  const storage = fields.ifValid(() => fields.text('storage'));
  return {
    ...ifGiven('propagation_url', 'propagationUrl', () => fields.text('propagation_url', MAX_URL_CHARS)),
    ...ifGiven('tx_count', 'txCount', () => fields.uint64('tx_count')),
    ...ifGiven('subtree_count', 'subtreeCount', () => fields.uint32('subtree_count')),
    ...ifGiven('min_mining_tx_fee', 'minMiningTxFee', () => fields.float('min_mining_tx_fee')),
    ...fields.ifValid(() => feePolicy(fields)),
    ...ifGiven('connected_peers_count', 'connectedPeersCount', () => fields.uint32('connected_peers_count')),
    ...ifGiven('legacy_connected_peers_count', 'legacyConnectedPeersCount', () =>
      fields.uint32('legacy_connected_peers_count'),
    ),
    ...(storage === 'full' || storage === 'pruned' ? { storage } : {}),
  };
}

function feePolicy(fields: FieldReader): { readonly feePolicy?: FeePolicy } {
  const policy = fields.nested('fee_policy');
  if (policy === undefined) return {};
  const fee = policy.nested('miningFee');
  const decoded = policy.finish({
    miningFee: { satoshis: fee?.uint32('satoshis') ?? 0, bytes: fee?.uint32('bytes') ?? 0 },
    maxScriptSize: policy.uint64('maxscriptsizepolicy'),
    maxTxSize: policy.uint64('maxtxsizepolicy'),
    maxTxSigops: policy.uint64('maxtxsigopscountspolicy'),
  });
  if (!decoded.ok || fee?.finish(undefined).ok === false) fields.fail('wrong_type', 'fee_policy');
  return decoded.ok ? { feePolicy: decoded.message } : {};
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

/** The message inside the envelope of message-bus. */
export function encodeBusNodeStatus(message: NodeStatusMessage): Uint8Array {
  const ifSet = (name: string, value: string | number | bigint | undefined): JsonField[] =>
    value ? [[name, value]] : [];
  const cut = (text: string) => cutText(text, MAX_NAME_BYTES, CUT_MARK);
  const { minMiningTxFee } = message;
  return goBytes([
    ['peer_id', message.peerId],
    ['client_name', cut(message.clientName)],
    ['type', 'node_status'],
    ['base_url', message.baseUrl],
    ...ifSet('propagation_url', message.propagationUrl),
    ['version', cut(message.version)],
    ['commit_hash', cut(message.commitHash)],
    ['best_block_hash', message.bestBlockHash],
    ['best_height', message.bestHeight],
    ...ifSet('tx_count', message.txCount),
    ...ifSet('subtree_count', message.subtreeCount),
    ['fsm_state', cut(message.fsmState)],
    ['start_time', message.startTime],
    ['uptime', message.uptime],
    ['miner_name', cut(message.minerName)],
    ['listen_mode', message.listenMode],
    ['chain_work', message.chainWork],
    ...ifSet('sync_peer_id', message.syncPeerId),
    ...ifSet('sync_peer_height', message.syncPeerHeight),
    ...ifSet('sync_peer_block_hash', message.syncPeerBlockHash),
    ...ifSet('sync_connected_at', message.syncConnectedAt),
    ...(minMiningTxFee === undefined ? [] : ([['min_mining_tx_fee', minMiningTxFee]] satisfies JsonField[])),
    ...writeFeePolicy(message.feePolicy),
    ...ifSet('connected_peers_count', message.connectedPeersCount),
    ...ifSet('legacy_connected_peers_count', message.legacyConnectedPeersCount),
    ...ifSet('storage', message.storage),
  ]);
}

/** No field when there is no policy. Shared with the frames of the WebSocket. */
export function writeFeePolicy(policy: FeePolicy | undefined): JsonField[] {
  if (policy === undefined) return [];
  const { satoshis, bytes } = policy.miningFee;
  const miningFee = goObject([
    ['satoshis', satoshis],
    ['bytes', bytes],
  ]);
  const json = goObject([
    ['miningFee', { json: miningFee }],
    ['maxscriptsizepolicy', policy.maxScriptSize],
    ['maxtxsizepolicy', policy.maxTxSize],
    ['maxtxsigopscountspolicy', policy.maxTxSigops],
  ]);
  return [['fee_policy', { json }]];
}
