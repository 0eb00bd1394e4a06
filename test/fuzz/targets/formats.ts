// Binary forms: Kafka records, what the blockchain service sends, headers, keys, archives, gossip RPCs.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { RPC } from '@libp2p/gossipsub/message';
import {
  decodeKafkaBlock,
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
  decodeKafkaSubtree,
  encodeKafkaBlock,
  encodeKafkaInvalidBlock,
  encodeKafkaInvalidSubtree,
  encodeKafkaRejectedTx,
  encodeKafkaSubtree,
} from '../../../src/adapters/kafka/codec.ts';
import { MalformedRpcReport, UndecodableRpcs } from '../../../src/adapters/libp2p/gossipsub/malformed-rpc.ts';
import { PackedBatch } from '../../../src/adapters/libp2p/gossipsub/packed-batch.ts';
import { isPlainMessage } from '../../../src/adapters/libp2p/gossipsub/plain-message.ts';
import { readNodeKey } from '../../../src/adapters/libp2p/key-forms.ts';
import { headerRecord, readNotification } from '../../../src/adapters/services/blockchain-answers.ts';
import { peerRow } from '../../../src/adapters/services/peer-registry-rows.ts';
import type { BlockHash, Hash } from '../../../src/domain/ids.ts';
import {
  GetBlockHeaderResponseSchema,
  NotificationSchema,
  PeerRegistryInfoSchema,
} from '../../../src/gen/blockchain_api_pb.js';
import { readTarHeader, tarHeader } from '../../../src/lib/tar.ts';
import type { Decoded } from '../../../src/wire/fault.ts';
import { hashFromBytes, hashToBytes, parseHash, parseShortHash } from '../../../src/wire/hash.ts';
import {
  checkProofOfWork,
  compactFromTarget,
  encodeHeader,
  parseHeader,
  targetFromCompact,
} from '../../../src/wire/header.ts';
import { checkChild, genesisHeader } from '../../../src/wire/header-rules.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { dataJson } from '../../support/recorded.ts';
import { type DecoderTarget, must, mustEqual, textOf, texts, unlessRefused } from '../engine/target.ts';
import { NO_METRICS } from './parts.ts';

const HASH = 'ab'.repeat(32) as Hash;
const ANNOUNCED = { hash: HASH, url: 'https://hub.example/api/v1', peerId: peer(1) };
const REPORTED = { hash: HASH, peerUrl: 'https://hub.example', reason: 'block has no coinbase', peerId: peer(1) };
const MAX_KAFKA_BYTES = 64 * 1024;

function kafka<T>(
  name: string,
  decode: (bytes: Uint8Array) => Decoded<T>,
  encode: (message: T) => Uint8Array,
  sample: T,
): DecoderTarget {
  const run = (input: Uint8Array) => {
    const decoded = decode(input);
    if (!decoded.ok) return must(decoded.fault.detail.length <= 120, 'a long detail');
    const again = decode(encode(decoded.message));
    mustEqual(again.ok && again.message, decoded.message, 'encoded and decoded again');
  };
  return { name: `kafka-${name}`, seeds: [encode(sample)], maxBytes: MAX_KAFKA_BYTES + 64, run };
}

const notification: DecoderTarget = {
  name: 'blockchain-notification',
  seeds: [1, 2, 3, 4, 5, 6, 7, 8].map((type) =>
    toBinary(
      NotificationSchema,
      create(NotificationSchema, {
        type,
        hash: hashToBytes(HASH),
        metadata: { metadata: { destination: 'RUNNING', peer_id: peer(1), failure_type: 'catchup', reason: 'x' } },
      }),
    ),
  ),
  words: ['destination', 'RUNNING', 'IDLE', 'peer_id', 'failure_type', 'reason'],
  maxBytes: 4096,
  run: (input) => {
    const { kind, notification: found } = readNotification(input);
    if (found === undefined) return must(['ping', 'unknown', 'malformed'].includes(kind), `nothing of kind ${kind}`);
    mustEqual(found.type, kind, 'kind');
    for (const text of Object.values(found)) must(String(text).length <= 1024, 'a long text');
  },
};

const blockHeaderAnswer: DecoderTarget = {
  name: 'blockchain-header',
  seeds: [
    toBinary(
      GetBlockHeaderResponseSchema,
      create(GetBlockHeaderResponseSchema, {
        blockHeader: NETWORKS.mainnet.genesisHeader,
        height: 7,
        txCount: 9n,
        sizeInBytes: 285n,
        miner: '/taal/',
        chainWork: new Uint8Array(32).fill(1),
      }),
    ),
  ],
  maxBytes: 2048,
  run: (input) => {
    const answer = unlessNotProtobuf(() => fromBinary(GetBlockHeaderResponseSchema, input));
    if (answer === undefined) return;
    try {
      const record = headerRecord(answer);
      must(record.header.byteLength === 80 && record.miner.length <= 256, 'sizes');
      must((record.chainWork ?? 0n) < 1n << 256n, 'work');
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  },
};

const registryRow: DecoderTarget = {
  name: 'peer-registry-row',
  seeds: [toBinary(PeerRegistryInfoSchema, create(PeerRegistryInfoSchema, registryInfo()))],
  maxBytes: 4096,
  run: (input) => {
    const info = unlessNotProtobuf(() => fromBinary(PeerRegistryInfoSchema, input));
    const row = info && peerRow(info);
    if (row === undefined) return;
    const { reputation, attempts, syncAttempts, validated, lastCatchupError } = row.history;
    must(reputation >= 0 && reputation <= 100 && attempts >= 0 && syncAttempts >= 0 && row.score >= 0, 'a number');
    must((validated?.chainWork ?? 0n) < 1n << 1024n && !/[\r\n]/.test(lastCatchupError), 'a value');
  },
};

function registryInfo() {
  return {
    peerId: peer(1),
    banScore: 7,
    storage: 'full',
    isConnected: true,
    interactionAttempts: 3n,
    reputationScore: 55.5,
    lastCatchupError: 'no such block',
    validatedHeight: 5,
    validatedBlockHash: hashToBytes(HASH),
    validatedChainWork: new Uint8Array(32).fill(2),
    bytesReceived: 5_000_000_000n,
  };
}

/** protobuf-es throws for bytes that are no message; our readers of streams expect it. */
function unlessNotProtobuf<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

const MAINNET = dataJson<readonly { header: string }[]>('headers/bsv-886001-886400.json');
const HEADERS = [
  ...MAINNET.slice(0, 4).map(({ header }) => Buffer.from(header, 'hex')),
  ...Object.values(NETWORKS).map(({ genesisHeader: header }) => header),
];

const header: DecoderTarget = {
  name: 'header',
  seeds: HEADERS,
  maxBytes: 82,
  run: (input) => {
    const parsed = parseHeader(input);
    must((parsed !== undefined) === (input.byteLength === 80), 'length');
    if (parsed === undefined) return;
    mustEqual(Buffer.from(encodeHeader(parsed)), Buffer.from(input), 'encoded again');
    const target = targetFromCompact(parsed.bits);
    mustEqual(target, referenceTarget(parsed.bits), 'target');
    if (target !== undefined) {
      const rounded = targetFromCompact(compactFromTarget(target));
      mustEqual(rounded, target, 'a target that was compact');
    }
    const work = checkProofOfWork(input, NETWORKS.regtest.powLimitBits);
    must(['ok', 'bad_target', 'insufficient_work'].includes(work), `work ${work}`);
    const network = NETWORKS.regtest;
    const parent = genesisHeader(network);
    const child = checkChild(input, { parent, lastTimes: [1] }, network, 2_000_000_000);
    if (child.ok) mustEqual([parsed.previousHash, work], [parent.hash, 'ok'], 'a child');
  },
};

/** By strings of hex digits, as the form is described. */
function referenceTarget(bits: number): bigint | undefined {
  const hex = bits.toString(16).padStart(8, '0');
  if (Number.parseInt(hex.slice(2, 4), 16) >= 0x80) return undefined;
  const digits = 2 * Number.parseInt(hex.slice(0, 2), 16);
  const target = BigInt(`0x0${hex.slice(2).padEnd(digits, '0').slice(0, digits)}`);
  return target === 0n || target.toString(16).length > 64 ? undefined : target;
}

const hash: DecoderTarget = {
  name: 'hash',
  seeds: texts(HASH, HASH.toUpperCase(), 'ab', '0', HASH.slice(1)),
  maxBytes: 70,
  run: (input) => {
    const text = textOf(input);
    const parsed = parseHash(text);
    mustEqual(parsed !== undefined, /^[0-9a-f]{64}$/i.test(text) && !text.endsWith('\n'), 'a hash');
    const short = parseShortHash(text);
    if (parsed !== undefined) mustEqual([parsed, short], [text.toLowerCase(), parsed], 'lower case');
    if (short === undefined) return;
    must(short.length === 64, 'digits');
    mustEqual(hashFromBytes(hashToBytes(short)), short, 'bytes and back');
    mustEqual(BigInt(`0x${short}`), BigInt(`0x${text}`), 'number');
  },
};

const nodeKey: DecoderTarget = {
  name: 'node-key',
  seeds: [...nodeKeys()],
  maxBytes: 400,
  run: (input) => {
    const key = unlessRefused(['PRIVATE_KEY_INVALID'], () => readNodeKey(input));
    if (key === undefined) return;
    for (const form of ['hex', 'hex96', 'protobuf'] as const)
      mustEqual(readNodeKey(Buffer.from(key.text(form))).peerId, key.peerId, `peer ID from ${form}`);
  },
};

/** Pairs of RFC 8032, in each form. */
function* nodeKeys(): Generator<Uint8Array> {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const open = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
  for (const text of [seed + open, seed + open + open, `08011240${seed}${open}`]) {
    yield Buffer.from(text);
    yield Buffer.from(text, 'hex');
  }
}

const tar: DecoderTarget = {
  name: 'backup-header',
  seeds: [tarHeader({ name: 'bans.db', bytes: 4096 }, 1_700_000_000_000), new Uint8Array(512)],
  maxBytes: 514,
  run: (input) => {
    try {
      const entry = readTarHeader(input);
      if (entry === undefined)
        return must(
          input.every((byte) => byte === 0),
          'an end that is none',
        );
      must(entry.bytes >= 0 && Number.isSafeInteger(entry.bytes) && entry.name.length <= 100, 'sizes');
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  },
};

interface RecordedMessage {
  readonly pubsub_message_hex: string;
}

/** Whole RPCs: field 2 of one is a message. */
const RECORDED_RPCS = ['block', 'subtree', 'node_status', 'rejected_tx'].map((topic) => {
  const [first] = dataJson<{ messages: readonly RecordedMessage[] }>(`today/${topic}.json`).messages;
  const message = Buffer.from(first?.pubsub_message_hex ?? '', 'hex');
  return Buffer.concat([Buffer.of(0x12, (message.length & 0x7f) | 0x80, message.length >> 7), message]);
});

/** With the decoder of @libp2p/gossipsub. */
function gossipRpc(): DecoderTarget {
  const report = new MalformedRpcReport(NO_METRICS, () => {});
  const decode = new UndecodableRpcs(report).decodeRpc((bytes) => RPC.decode(bytes));
  const packed = new PackedBatch();
  return {
    name: 'gossip-rpc',
    seeds: RECORDED_RPCS,
    maxBytes: 8192,
    run: (input) => {
      const rpc = decode(input) as { messages?: readonly Parameters<typeof isPlainMessage>[0][] };
      for (const message of rpc.messages ?? []) {
        // A topic that is not UTF-8, which no node joins, is decoded to halves of surrogate pairs.
        if (!isPlainMessage(message) || message.signature?.length !== 64 || !message.topic.isWellFormed()) continue;
        packed.clear();
        packed.add(message, message.signature);
        const [parts] = [...packed.messages()];
        const [key, signature, signed] = parts ?? [];
        mustEqual(Buffer.from(signature ?? []), Buffer.from(message.signature), 'signature');
        mustEqual(Buffer.from(key ?? []), Buffer.from(message.from.subarray(6, 38)), 'key');
        const { signature: _signature, key: _key, ...unsigned } = message;
        const plain = RPC.Message.encode(unsigned);
        mustEqual(signed && Buffer.from(signed.subarray(14)), Buffer.from(plain), 'signed bytes');
      }
    },
  };
}

export const FORMAT_TARGETS: readonly DecoderTarget[] = [
  kafka('block', decodeKafkaBlock, encodeKafkaBlock, ANNOUNCED as { hash: BlockHash; url: string; peerId: string }),
  kafka('subtree', decodeKafkaSubtree, encodeKafkaSubtree, ANNOUNCED),
  kafka('rejected-tx', decodeKafkaRejectedTx, encodeKafkaRejectedTx, { txId: HASH, reason: 'fee', peerId: peer(1) }),
  kafka('invalid-block', decodeKafkaInvalidBlock, encodeKafkaInvalidBlock, REPORTED),
  kafka('invalid-subtree', decodeKafkaInvalidSubtree, encodeKafkaInvalidSubtree, REPORTED),
  notification,
  blockHeaderAnswer,
  registryRow,
  header,
  hash,
  nodeKey,
  tar,
  gossipRpc(),
];
