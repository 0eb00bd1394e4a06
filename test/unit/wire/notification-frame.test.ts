// Frames of /p2p-ws against those that a Go server sent: the same bytes for the same content, field by field where they
// differ.

import { describe, expect, test } from 'vitest';
import type { Hash, PeerId } from '../../../src/domain/ids.ts';
import type { BlockAssemblyDetails } from '../../../src/domain/node-status.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../../src/wire/block-assembly-details.ts';
import {
  encodeChainFrame,
  encodeLostFrame,
  encodeNotificationFrame,
  encodePingFrame,
  type FrameContent,
} from '../../../src/wire/notification-frame.ts';
import { dataJson } from '../../support/recorded.ts';

const { frames } = dataJson<{ frames: Record<string, { data: string }[]> }>('messages/teranode-websocket.json');
const RECORDED = Object.values(frames)
  .flat()
  .map(({ data }) => data);

/** Of servers of go-p2p, in order. */
const NAMES = [
  ['timestamp', 'atMs'],
  ['type', 'type'],
  ['hash', 'hash'],
  ['base_url', 'baseUrl'],
  ['peer_id', 'peerId'],
  ['previousblockhash', 'previousHash'],
  ['tx_count', 'txCount'],
  ['height', 'height'],
  ['size_in_bytes', 'sizeInBytes'],
  ['miner', 'miner'],
  ['version', 'version'],
  ['commit_hash', 'commitHash'],
  ['best_block_hash', 'bestBlockHash'],
  ['best_height', 'bestHeight'],
  ['block_assembly_details', 'blockAssemblyDetails'],
  ['fsm_state', 'fsmState'],
  ['start_time', 'startTime'],
  ['uptime', 'uptime'],
  ['client_name', 'clientName'],
  ['miner_name', 'minerName'],
  ['listen_mode', 'listenMode'],
  ['chain_work', 'chainWork'],
  ['sync_peer_id', 'syncPeerId'],
  ['sync_peer_height', 'syncPeerHeight'],
  ['sync_peer_block_hash', 'syncPeerBlockHash'],
  ['sync_connected_at', 'syncConnectedAt'],
] as const satisfies readonly (readonly [string, keyof FrameContent])[];
/** Of servers of message-bus, in order. */
const BUS_NAMES = [
  ['timestamp', 'atMs'],
  ['type', 'type'],
  ['hash', 'hash'],
  ['base_url', 'baseUrl'],
  ['propagation_url', 'propagationUrl'],
  ['peer_id', 'peerId'],
  ['previousblockhash', 'previousHash'],
  ['tx_count', 'txCount'],
  ['height', 'height'],
  ['size_in_bytes', 'sizeInBytes'],
  ['miner', 'miner'],
  ['version', 'version'],
  ['commit_hash', 'commitHash'],
  ['best_block_hash', 'bestBlockHash'],
  ['best_height', 'bestHeight'],
  ['subtree_count', 'subtreeCount'],
  ['fsm_state', 'fsmState'],
  ['start_time', 'startTime'],
  ['uptime', 'uptime'],
  ['client_name', 'clientName'],
  ['miner_name', 'minerName'],
  ['listen_mode', 'listenMode'],
  ['chain_work', 'chainWork'],
  ['sync_peer_id', 'syncPeerId'],
  ['sync_peer_height', 'syncPeerHeight'],
  ['sync_peer_block_hash', 'syncPeerBlockHash'],
  ['sync_connected_at', 'syncConnectedAt'],
  ['min_mining_tx_fee', 'minMiningTxFee'],
  ['fee_policy', 'feePolicy'],
  ['connected_peers_count', 'connectedPeersCount'],
  ['legacy_connected_peers_count', 'legacyConnectedPeersCount'],
  ['storage', 'storage'],
] as const satisfies readonly (readonly [string, keyof FrameContent])[];
const BIGINTS = new Set(['tx_count', 'size_in_bytes', 'start_time', 'sync_connected_at']);

/** The content of a recorded frame, read without any code of ours. */
function contentOf(text: string, names: readonly (readonly [string, keyof FrameContent])[] = NAMES): FrameContent {
  const fields = JSON.parse(text) as Record<string, unknown>;
  const known = names.filter(([name]) => fields[name] !== undefined && fields[name] !== null);
  const content = known.map(([name, key]) => [key, fieldValue(name, fields[name])]);
  return Object.fromEntries(content) as unknown as FrameContent;
}

function fieldValue(name: string, value: unknown): unknown {
  if (name === 'timestamp') return Date.parse(String(value));
  if (name === 'block_assembly_details') {
    return { ...UNKNOWN_BLOCK_ASSEMBLY, ...(value as Partial<BlockAssemblyDetails>) };
  }
  return BIGINTS.has(name) ? BigInt(value as number) : value;
}

function written(content: FrameContent): string {
  return Buffer.from(encodeNotificationFrame(content)).toString('utf8');
}

function writtenOnBus(content: FrameContent): string {
  return Buffer.from(encodeNotificationFrame(content, 'message-bus')).toString('utf8');
}

function namesOf(text: string): string[] {
  return Object.keys(JSON.parse(text) as object);
}

const today = dataJson<{ A_frames: string[]; B_frames: string[] }>('today/websocket.json');
const RECORDED_TODAY = [...today.A_frames, ...today.B_frames];

describe('WebSocket frames recorded from a Go server of message-bus', () => {
  test('include one of every type', () => {
    const types = new Set(RECORDED_TODAY.map((text) => (JSON.parse(text) as { type: string }).type));
    expect([...types].sort()).toEqual(['block', 'node_status', 'subtree']);
  });

  test.each(RECORDED_TODAY.map((text) => [(JSON.parse(text) as { type: string }).type, text] as const))(
    '%s is written again byte by byte',
    (_type, text) => {
      expect(writtenOnBus(contentOf(text, BUS_NAMES))).toBe(text);
    },
  );

  test('have their fields in the same order as a full frame of ours', () => {
    const order = BUS_NAMES.map(([name]) => name as string);
    for (const text of RECORDED_TODAY) {
      const names = namesOf(text);
      expect(names).toEqual(order.filter((name) => names.includes(name)));
    }
    expect(namesOf(writtenOnBus(FULL))).toEqual([...order, 'reason']);
  });
});

describe('WebSocket frames recorded from a Go server', () => {
  test('include one of every type', () => {
    const types = new Set(RECORDED.map((text) => (JSON.parse(text) as { type: string }).type));
    expect([...types].sort()).toEqual(['PING', 'block', 'mining_on', 'node_status', 'subtree']);
  });

  test.each(RECORDED.map((text) => [(JSON.parse(text) as { type: string }).type, text] as const))(
    '%s is written again byte by byte',
    (_type, text) => {
      expect(written(contentOf(text))).toBe(text);
    },
  );

  test('include PING, which has its own encoder and drops milliseconds', () => {
    const text = RECORDED.find((each) => each.includes('"PING"')) ?? '';
    const { atMs, baseUrl = '', peerId = '' } = contentOf(text);
    expect(Buffer.from(encodePingFrame({ atMs: atMs + 999, baseUrl, peerId })).toString()).toBe(text);
  });

  test('have their fields in the same order as a full frame of ours', () => {
    const order = NAMES.map(([name]) => name as string);
    for (const text of RECORDED) {
      const names = namesOf(text);
      expect(names).toEqual(order.filter((name) => names.includes(name)));
    }
    expect(namesOf(written(FULL))).toEqual([...order, 'reason']);
  });
});

const DETAILS: BlockAssemblyDetails = { ...UNKNOWN_BLOCK_ASSEMBLY, txCount: 18_446_744_073_709_551_615n };
const FULL: Required<FrameContent> = {
  type: 'node_status',
  atMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  hash: 'h',
  baseUrl: 'http://a',
  peerId: 'p',
  previousHash: 'q',
  txCount: 18_446_744_073_709_551_615n,
  height: 4_294_967_295,
  sizeInBytes: 9_007_199_254_740_993n,
  miner: 'm',
  version: 'v',
  commitHash: 'c',
  bestBlockHash: 'b',
  bestHeight: 1,
  blockAssemblyDetails: DETAILS,
  fsmState: 'RUNNING',
  startTime: 5n,
  uptime: 1e-7,
  clientName: 'n',
  minerName: 'k',
  listenMode: 'full',
  chainWork: 'w',
  syncPeerId: 's',
  syncPeerHeight: 7,
  syncPeerBlockHash: 't',
  syncConnectedAt: 8n,
  propagationUrl: 'http://b',
  subtreeCount: 9,
  minMiningTxFee: 1e-8,
  feePolicy: {
    miningFee: { satoshis: 1, bytes: 1000 },
    maxScriptSize: 500_000n,
    maxTxSize: 10_485_760n,
    maxTxSigops: 18_446_744_073_709_551_615n,
  },
  connectedPeersCount: 10,
  legacyConnectedPeersCount: 11,
  storage: 'full',
  reason: 'r',
};

describe('fields of a WebSocket frame', () => {
  test('an empty notification has its time, type, best height 0 and null details', () => {
    expect(written({ type: 'block', atMs: 0 })).toBe(
      '{"timestamp":"1970-01-01T00:00:00Z","type":"block","best_height":0,"block_assembly_details":null}',
    );
  });

  test.each(NAMES.filter(([, key]) => !['atMs', 'type', 'bestHeight', 'blockAssemblyDetails'].includes(key)))(
    '%s is left out when empty or zero, and only then',
    (name, key) => {
      const empty = typeof FULL[key] === 'bigint' ? 0n : typeof FULL[key] === 'number' ? 0 : '';
      expect(namesOf(written({ ...FULL, [key]: empty }))).not.toContain(name);
      expect(namesOf(written(FULL))).toContain(name);
    },
  );

  test('on message-bus an empty notification has its time, type and best height 0', () => {
    expect(writtenOnBus({ type: 'block', atMs: 0 })).toBe(
      '{"timestamp":"1970-01-01T00:00:00Z","type":"block","best_height":0}',
    );
  });

  test.each(
    BUS_NAMES.filter(([, key]) => !['atMs', 'type', 'bestHeight', 'minMiningTxFee', 'feePolicy'].includes(key)),
  )('on message-bus %s is left out when empty or zero, and only then', (name, key) => {
    const empty = typeof FULL[key] === 'bigint' ? 0n : typeof FULL[key] === 'number' ? 0 : '';
    expect(namesOf(writtenOnBus({ ...FULL, [key]: empty }))).not.toContain(name);
    expect(namesOf(writtenOnBus(FULL))).toContain(name);
  });

  test('on message-bus a fee of 0 is written, and the fee policy as an object', () => {
    expect(writtenOnBus({ ...FULL, minMiningTxFee: 0 })).toContain(
      '"min_mining_tx_fee":0,"fee_policy":{"miningFee":{"satoshis":1,"bytes":1000},"maxscriptsizepolicy":500000,"maxtxsizepolicy":10485760,"maxtxsigopscountspolicy":18446744073709551615},"connected_peers_count":10,',
    );
    const { minMiningTxFee: _fee, feePolicy: _policy, ...rest } = FULL;
    expect(namesOf(writtenOnBus(rest))).not.toContain('min_mining_tx_fee');
    expect(namesOf(writtenOnBus(rest))).not.toContain('fee_policy');
  });

  test('on message-bus mining-on and PING keep their fields, without block assembly details', () => {
    const mining = { type: 'mining_on', atMs: 0, hash: 'h', previousHash: 'p', txCount: 1n, height: 2, miner: 'm' };
    expect(writtenOnBus(mining)).toBe(
      '{"timestamp":"1970-01-01T00:00:00Z","type":"mining_on","hash":"h","previousblockhash":"p","tx_count":1,"height":2,"miner":"m","best_height":0}',
    );
    const ping = encodePingFrame({ atMs: 0, baseUrl: 'http://a', peerId: 'p' }, 'message-bus');
    expect(Buffer.from(ping).toString()).toBe(
      '{"timestamp":"1970-01-01T00:00:00Z","type":"PING","base_url":"http://a","peer_id":"p","best_height":0}',
    );
  });

  test('writes 64-bit numbers exactly and small ones with Go’s exponent', () => {
    const text = written(FULL);
    expect(text).toContain('"tx_count":18446744073709551615,"height":4294967295,"size_in_bytes":9007199254740993,');
    expect(text).toContain('"uptime":1e-7,');
    expect(text).toContain('"block_assembly_details":{"txCount":18446744073709551615},');
  });

  test('writes {} for unknown block assembly details', () => {
    const text = written({ ...FULL, blockAssemblyDetails: UNKNOWN_BLOCK_ASSEMBLY });
    expect(text).toContain('"block_assembly_details":{},');
  });

  test('escapes texts as Go does, replaces lone surrogates, and leaves out what is not shown', () => {
    const miner = '<&>\u2028\u2029"\\\u0001é\ud800\u202e\u200b\u001b[31m';
    const text = written({ type: 'mining_on', atMs: 0, miner });
    expect(text).toContain('"miner":"\\u003c\\u0026\\u003e \\"\\\\é\ufffd[31m"');
  });
});

describe('WebSocket frames that Go does not have', () => {
  const peerId = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
  const hash = 'ab'.repeat(32) as Hash;
  const common = { atMs: 1000, isOwn: true, hash, peerId };
  const rejected: Notification = { ...common, type: 'rejected_tx', reason: 'fee too low' };
  const best: Notification = { ...common, type: 'best_block', height: 9 };

  test('include rejected transactions and best blocks', () => {
    expect(written(rejected)).toBe(
      `{"timestamp":"1970-01-01T00:00:01Z","type":"rejected_tx","hash":"${hash}","peer_id":"${peerId}","best_height":0,"block_assembly_details":null,"reason":"fee too low"}`,
    );
    expect(written(best)).toBe(
      `{"timestamp":"1970-01-01T00:00:01Z","type":"best_block","hash":"${hash}","peer_id":"${peerId}","height":9,"best_height":0,"block_assembly_details":null}`,
    );
  });

  test('include the number of lost frames', () => {
    expect(Buffer.from(encodeLostFrame(3)).toString()).toBe('{"type":"lost","count":3}');
  });
});

describe('frames of our own chain', () => {
  const point = (digits: string, height: number) => ({ hash: digits.repeat(32) as Hash, height });

  test('a tip has its hash, height and header', () => {
    const event = { type: 'tip', ...point('ab', 7), header: new Uint8Array(80).fill(1) } as const;
    expect(Buffer.from(encodeChainFrame(event, 0)).toString()).toBe(
      `{"timestamp":"1970-01-01T00:00:00Z","type":"tip","hash":"${'ab'.repeat(32)}","height":7,"header":"${'01'.repeat(80)}"}`,
    );
  });

  test('a reorganisation has the tips before and after, and the fork', () => {
    const event = { type: 'reorg', from: point('aa', 9), to: point('bb', 10), fork: point('cc', 6) } as const;
    expect(JSON.parse(Buffer.from(encodeChainFrame(event, 0)).toString())).toEqual({
      timestamp: '1970-01-01T00:00:00Z',
      ...event,
    });
  });
});
