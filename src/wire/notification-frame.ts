// A frame of `/p2p-ws`: one JSON object as the Go server writes it, with a fixed order of fields and without empty
// ones. Servers of message-bus have other fields than those of go-p2p.
import type { ChainEvent, ChainPoint } from '../domain/chain-event.ts';
import type { BlockAssemblyDetails, FeePolicy, Storage } from '../domain/node-status.ts';
import { shownText } from '../lib/shown-text.ts';
import { writeBlockAssembly } from './block-assembly-details.ts';
import type { WireName } from './format.ts';
import { goBytes, type JsonField, type RawJson } from './json.ts';
import { writeFeePolicy } from './node-status.ts';

/** The content of a frame. Absent, empty and zero mean the same. Notifications of the core have this shape. */
export interface FrameContent {
  readonly type: string;
  /** Unix ms; written in whole seconds. */
  readonly atMs: number;
  readonly hash?: string;
  readonly baseUrl?: string;
  /** message-bus. */
  readonly propagationUrl?: string;
  readonly peerId?: string;
  readonly previousHash?: string | undefined;
  readonly txCount?: bigint;
  readonly height?: number;
  readonly sizeInBytes?: bigint;
  readonly miner?: string;
  readonly version?: string;
  readonly commitHash?: string;
  readonly bestBlockHash?: string;
  readonly bestHeight?: number;
  /** go-p2p. Absent is written as `null`, unknown as `{}`. */
  readonly blockAssemblyDetails?: BlockAssemblyDetails;
  /** message-bus. */
  readonly subtreeCount?: number;
  readonly fsmState?: string;
  /** Unix seconds. */
  readonly startTime?: bigint;
  /** Seconds. */
  readonly uptime?: number;
  readonly clientName?: string;
  readonly minerName?: string;
  readonly listenMode?: string;
  readonly chainWork?: string;
  readonly syncPeerId?: string;
  readonly syncPeerHeight?: number;
  readonly syncPeerBlockHash?: string;
  /** Unix seconds. */
  readonly syncConnectedAt?: bigint;
  // The next five exist on message-bus only.
  /** 0 is written. */
  readonly minMiningTxFee?: number;
  readonly feePolicy?: FeePolicy;
  readonly connectedPeersCount?: number;
  readonly legacyConnectedPeersCount?: number;
  readonly storage?: Storage;
  /** Why a transaction was rejected. Go has no such field, so it comes last. */
  readonly reason?: string;
}

const NULL: RawJson = { json: 'null' };

/**
 * The frame as UTF-8, as servers of that wire write it. `type` and `best_height` are always present, on go-p2p
 * `block_assembly_details` too.
 */
export function encodeNotificationFrame(content: FrameContent, wire: WireName = 'go-p2p'): Uint8Array {
  const isBus = wire === 'message-bus';
  const fields: JsonField[] = [
    ['timestamp', goTimestamp(content.atMs)],
    ['type', content.type],
  ];
  const add = (name: string, value: JsonField[1] | undefined) => {
    if (value) fields.push([name, typeof value === 'string' ? shownText(value) : value]);
  };
  add('hash', content.hash);
  add('base_url', content.baseUrl);
  if (isBus) add('propagation_url', content.propagationUrl);
  add('peer_id', content.peerId);
  add('previousblockhash', content.previousHash);
  add('tx_count', content.txCount);
  add('height', content.height);
  add('size_in_bytes', content.sizeInBytes);
  add('miner', content.miner);
  add('version', content.version);
  add('commit_hash', content.commitHash);
  add('best_block_hash', content.bestBlockHash);
  fields.push(['best_height', content.bestHeight ?? 0]);
  if (isBus) add('subtree_count', content.subtreeCount);
  else fields.push(['block_assembly_details', detailsOf(content)]);
  add('fsm_state', content.fsmState);
  add('start_time', content.startTime);
  add('uptime', content.uptime);
  add('client_name', content.clientName);
  add('miner_name', content.minerName);
  add('listen_mode', content.listenMode);
  add('chain_work', content.chainWork);
  add('sync_peer_id', content.syncPeerId);
  add('sync_peer_height', content.syncPeerHeight);
  add('sync_peer_block_hash', content.syncPeerBlockHash);
  add('sync_connected_at', content.syncConnectedAt);
  if (isBus) fields.push(...busFields(content));
  add('reason', content.reason);
  return goBytes(fields);
}

function detailsOf({ blockAssemblyDetails: details }: FrameContent): RawJson {
  return details === undefined ? NULL : writeBlockAssembly(details);
}

function busFields(content: FrameContent): JsonField[] {
  const ifSet = (name: string, value: JsonField[1] | undefined): JsonField[] => (value ? [[name, value]] : []);
  const { minMiningTxFee: fee } = content;
  return [
    ...(fee === undefined ? [] : ([['min_mining_tx_fee', fee]] satisfies JsonField[])),
    ...writeFeePolicy(content.feePolicy),
    ...ifSet('connected_peers_count', content.connectedPeersCount),
    ...ifSet('legacy_connected_peers_count', content.legacyConnectedPeersCount),
    ...ifSet('storage', content.storage),
  ];
}

/** A `tip` or `reorg` of our own chain. Go has no such frames. */
export function encodeChainFrame(event: ChainEvent, atMs: number): Uint8Array {
  const start: JsonField[] = [
    ['timestamp', goTimestamp(atMs)],
    ['type', event.type],
  ];
  if (event.type === 'tip') {
    const header = Buffer.from(event.header).toString('hex');
    return goBytes([...start, ['hash', event.hash], ['height', event.height], ['header', header]]);
  }
  const { from, to, fork } = event;
  return goBytes([...start, ['from', writePoint(from)], ['to', writePoint(to)], ['fork', writePoint(fork)]]);
}

function writePoint({ hash, height }: ChainPoint): RawJson {
  return { json: JSON.stringify({ hash, height }) };
}

/** The frame that every client of a server of go-p2p gets every 10 s, whatever types it asked for. */
export function encodePingFrame(
  ping: { readonly atMs: number; readonly baseUrl: string; readonly peerId: string },
  wire: WireName = 'go-p2p',
): Uint8Array {
  return encodeNotificationFrame({ ...ping, type: 'PING' }, wire);
}

/** The number of frames that a client lost since the last such frame. Go has no such frame. `count` is above 0. */
export function encodeLostFrame(count: number): Uint8Array {
  return goBytes([
    ['type', 'lost'],
    ['count', count],
  ]);
}

/** What a client that asked for ids has missed. Go has no such frame. An unknown count is left out. */
export function encodeGapFrame(gap: {
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  readonly count: number | undefined;
}): Uint8Array {
  const { reason, from, to, count } = gap;
  const counted: JsonField[] = count === undefined ? [] : [['count', count]];
  return goBytes([['type', 'lost'], ...counted, ['reason', reason], ['from', from], ['to', to]]);
}

/** Of the second that was written last: writing it costs a quarter of a frame. */
let lastTimestamp = { second: Number.NaN, text: '' };

/** Go's layout `2006-01-02T15:04:05Z`. */
function goTimestamp(atMs: number): string {
  const second = Math.floor(atMs / 1000);
  if (second !== lastTimestamp.second) {
    lastTimestamp = { second, text: `${new Date(atMs).toISOString().slice(0, 19)}Z` };
  }
  return lastTimestamp.text;
}
