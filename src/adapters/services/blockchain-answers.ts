// Checks the answers of the blockchain service and converts them to this project's types. A broken service makes calls
// fail, never this process.
import { fromBinary } from '@bufbuild/protobuf';
import type { Hash } from '../../domain/ids.ts';
import {
  FSMStateType,
  type GetBlockHeaderResponse,
  type Notification,
  NotificationSchema,
} from '../../gen/blockchain_api_pb.js';
import { NotificationType } from '../../gen/model_pb.js';
import type { BlockchainNotification, BlockHeaderRecord, FsmState } from '../../ports/blockchain-client.ts';
import { hashFromBytes } from '../../wire/hash.ts';
import { HEADER_BYTES, hashHeader } from '../../wire/header.ts';

const HASH_BYTES = 32;
/** Chain work is below 2^256. */
const MAX_WORK_BYTES = 32;
/** Miners write up to a hundred bytes; longer texts are cut. */
const MAX_MINER_CHARS = 256;
/** A peer ID has about fifty characters, a reason is one line; longer texts are cut. */
const MAX_TEXT_CHARS = 1024;

const FSM_STATES: ReadonlyMap<number, FsmState> = new Map([
  [FSMStateType.IDLE, 'IDLE'],
  [FSMStateType.RUNNING, 'RUNNING'],
  [FSMStateType.CATCHINGBLOCKS, 'CATCHINGBLOCKS'],
  [FSMStateType.LEGACYSYNCING, 'LEGACYSYNCING'],
]);

/** Computes the hash instead of trusting the service's. Throws RangeError for an invalid header. */
export function headerRecord(answer: GetBlockHeaderResponse): BlockHeaderRecord {
  const { blockHeader: header, chainWork } = answer;
  if (header.byteLength !== HEADER_BYTES)
    throw new RangeError(`invalid header of ${header.byteLength} bytes (expected 80)`);
  if (chainWork.byteLength > MAX_WORK_BYTES)
    throw new RangeError(`invalid chain work of ${chainWork.byteLength} bytes (expected at most ${MAX_WORK_BYTES})`);
  return {
    hash: hashHeader(header),
    // A copy: a view would keep the memory of the whole answer.
    header: new Uint8Array(header),
    height: answer.height,
    txCount: answer.txCount,
    sizeInBytes: answer.sizeInBytes,
    miner: answer.miner.slice(0, MAX_MINER_CHARS),
    chainWork: chainWork.byteLength === 0 ? undefined : BigInt(`0x${Buffer.from(chainWork).toString('hex')}`),
    invalid: answer.invalid,
    subtreesSet: answer.subtreesSet,
  };
}

/** As `headerRecord`, of the best block: this answer does not tell whether its subtrees are stored. */
export function bestHeaderRecord(answer: GetBlockHeaderResponse): BlockHeaderRecord {
  const { subtreesSet: _subtreesSet, ...record } = headerRecord(answer);
  return record;
}

/** Throws RangeError for an unknown state. */
export function fsmStateOf(value: FSMStateType): FsmState {
  const state = FSM_STATES.get(value);
  if (state === undefined) throw new RangeError(`unknown FSM state ${value}`);
  return state;
}

/** A message of the stream: a notification for listeners, one that they do not need, or an invalid one. */
export interface ReadNotification {
  /** Label of the metric. */
  readonly kind: BlockchainNotification['type'] | 'ping' | 'unknown' | 'malformed';
  /** undefined for the last three kinds. */
  readonly notification: BlockchainNotification | undefined;
}

export function readNotification(bytes: Uint8Array): ReadNotification {
  try {
    return read(fromBinary(NotificationSchema, bytes));
  } catch {
    return MALFORMED;
  }
}

const MALFORMED: ReadNotification = { kind: 'malformed', notification: undefined };

function read(message: Notification): ReadNotification {
  switch (message.type) {
    case NotificationType.PING:
      return { kind: 'ping', notification: undefined };
    case NotificationType.BlockSubtreesSet:
      return ofHash('block_subtrees_set', message.hash);
    case NotificationType.Subtree:
      return ofHash('subtree', message.hash);
    case NotificationType.Block:
      return ofHash('block', message.hash);
    case NotificationType.MiningOn:
      return ofHash('mining_on', message.hash);
    case NotificationType.FSMState:
      return fsmNotification(textOf(message, 'destination'));
    case NotificationType.PeerFailure:
      return {
        kind: 'peer_failure',
        notification: {
          type: 'peer_failure',
          peerId: textOf(message, 'peer_id'),
          failureType: textOf(message, 'failure_type'),
          reason: textOf(message, 'reason'),
        },
      };
    default:
      return { kind: 'unknown', notification: undefined };
  }
}

type OfHash = Extract<BlockchainNotification, { readonly hash: Hash }>['type'];

function ofHash(type: OfHash, bytes: Uint8Array): ReadNotification {
  if (bytes.byteLength !== HASH_BYTES) return MALFORMED;
  const hash: Hash = hashFromBytes(bytes);
  return { kind: type, notification: { type, hash } };
}

function fsmNotification(name: string): ReadNotification {
  const state = [...FSM_STATES.values()].find((each) => each === name);
  return state === undefined ? MALFORMED : { kind: 'fsm_state', notification: { type: 'fsm_state', state } };
}

/** Empty when the key is missing. */
function textOf(message: Notification, key: string): string {
  const texts = message.metadata?.metadata ?? {};
  return (Object.hasOwn(texts, key) ? (texts[key] ?? '') : '').slice(0, MAX_TEXT_CHARS);
}
