// Feeds one recorded input to the part that it came to.
import {
  decodeKafkaInvalidBlock,
  decodeKafkaInvalidSubtree,
  decodeKafkaRejectedTx,
} from '../../adapters/kafka/codec.ts';
import type { InputKind, InputValue } from '../../capture/tap.ts';
import type { TappedBans } from '../../capture/tapped-bans.ts';
import type { TappedHistories, TappedRegistry } from '../../capture/tapped-peers.ts';
import type { BanReason, OffenceFacts } from '../../domain/offence.ts';
import type { PeerEvent } from '../../domain/peer-history.ts';
import type { Gossip } from '../../gossip/attach.ts';
import type { BoundedMap } from '../../lib/bounded-map.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { ConsumedMessage } from '../../ports/consumer.ts';
import type { TopicHandler } from '../../ports/p2p-node.ts';
import type { Decoded } from '../../wire/fault.ts';
import { bigintIn, numberIn, optional, peerIn, plainIn, textIn, wrong } from './input-values.ts';

export interface ReplayedParts {
  readonly bans: TappedBans;
  readonly registry: TappedRegistry;
  readonly histories: TappedHistories;
  readonly gossip: Gossip;
  /** By node and full topic name, see {@link handlerKey}. */
  readonly handlers: ReadonlyMap<string, TopicHandler>;
  /** Handlers of Kafka records by the kind of report. */
  readonly reports: Readonly<Record<string, ((message: ConsumedMessage<never>) => unknown) | undefined>>;
  /** What to do when a record that was handed on did not reach Kafka. */
  readonly handed: Pick<BoundedMap<string, () => void>, 'get'>;
}

/** Two nodes, one for each wire, may have topics of the same name. */
export function handlerKey(node: number, topic: string): string {
  return `${node} ${topic}`;
}

const NO_BYTES = new Uint8Array(0);
const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => Decoded<unknown>>> = {
  invalid_block: decodeKafkaInvalidBlock,
  invalid_subtree: decodeKafkaInvalidSubtree,
  rejected_tx: decodeKafkaRejectedTx,
};

type Apply = (parts: ReplayedParts, value: InputValue, bytes: Uint8Array) => unknown;

const APPLY: { readonly [K in InputKind]: Apply } = {
  gossip,
  report,
  opened: ({ bans }, value) => bans.connectionOpened(peerIn(value, 'peerId'), optional(textIn, value, 'ip')),
  malformed: ({ bans }, value) => bans.malformedRpc(peerIn(value, 'peerId')),
  connected: ({ registry }, value) => registry.connected(peerIn(value, 'peerId')),
  disconnected: ({ registry }, value) => registry.disconnected(peerIn(value, 'peerId')),
  heard: ({ registry }, value) => registry.heard(peerIn(value, 'peerId'), plainIn(value, 'patch') as PeerPatch),
  score: ({ bans }, value) => {
    bans.addScore(textIn(value, 'subject'), textIn(value, 'reason') as BanReason, facts(value));
  },
  ban: ({ bans }, value) =>
    bans.ban(textIn(value, 'text'), optional(numberIn, value, 'untilMs'), textIn(value, 'reason')),
  unban: ({ bans }, value) => bans.unban(textIn(value, 'text')),
  clear: ({ bans }) => bans.clear(),
  history,
  tick,
  dropped: ({ handed }, value) => handed.get(textIn(value, 'key'))?.(),
};

/** Throws TypeError for values that no node has written. */
export function applyInput(
  parts: ReplayedParts,
  kind: InputKind,
  value: InputValue,
  [bytes = NO_BYTES]: readonly Uint8Array[],
): void {
  const done = APPLY[kind](parts, value, bytes);
  // An order that was refused then is refused now.
  if (done instanceof Promise) done.catch(() => {});
}

function gossip({ handlers }: ReplayedParts, value: InputValue, bytes: Uint8Array): void {
  const topic = textIn(value, 'topic');
  const [author, receivedFrom] = [peerIn(value, 'author'), peerIn(value, 'receivedFrom')];
  handlers.get(handlerKey(numberIn(value, 'node'), topic))?.({
    topic,
    bytes,
    author,
    receivedFrom,
    seqno: bigintIn(value, 'seqno'),
  });
}

function report({ reports }: ReplayedParts, value: InputValue, bytes: Uint8Array): unknown {
  const of = textIn(value, 'of');
  const decode = Object.hasOwn(DECODERS, of) ? DECODERS[of] : undefined;
  if (decode === undefined) throw wrong('of', Object.keys(DECODERS).join(', '));
  const message = { value: decode(bytes), topic: textIn(value, 'topic'), offset: bigintIn(value, 'offset') };
  return reports[of]?.(message as ConsumedMessage<never>);
}

function facts(value: InputValue): OffenceFacts {
  const given = plainIn(value, 'facts');
  const fields = { role: textIn(given, 'role'), rule: textIn(given, 'rule'), topic: textIn(given, 'topic') };
  return { ...fields, hash: optional(textIn, given, 'hash') } as OffenceFacts;
}

function history({ histories }: ReplayedParts, value: InputValue): Promise<unknown> {
  const op = textIn(value, 'op');
  switch (op) {
    case 'record':
      return histories.record(peerIn(value, 'peerId'), plainIn(value, 'event') as PeerEvent);
    case 'reset':
      return histories.reset(optional(peerIn, value, 'peerId'));
    case 'reconsider':
      return histories.reconsider(numberIn(value, 'cooldownMs'));
    case 'clear_sync_attempts':
      return histories.clearSyncAttempts();
    default:
      throw wrong('op', 'record, reset, reconsider or clear_sync_attempts');
  }
}

function tick({ registry, histories, gossip: announcements, bans }: ReplayedParts, value: InputValue): void {
  const of = textIn(value, 'of');
  if (of === 'bans') bans.tick();
  else if (of === 'registry') registry.purge();
  else if (of === 'histories') histories.purge();
  else if (of === 'announcements') announcements.cleanUp();
  else throw wrong('of', 'a clean-up');
}
