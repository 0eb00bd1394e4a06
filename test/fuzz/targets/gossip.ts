// Gossip messages of both wires, up to the pipeline that validates and handles them.
import type { PeerId } from '../../../src/domain/ids.ts';
import { decodersOf } from '../../../src/gossip/messages.ts';
import { topicPipeline } from '../../../src/gossip/pipeline.ts';
import { guardViews } from '../../../src/gossip/view.ts';
import { Attribution } from '../../../src/peers/attribution.ts';
import { writeEnvelope } from '../../../src/wire/envelope.ts';
import { type Decoded, FAULT_CODES } from '../../../src/wire/fault.ts';
import {
  encodeFor,
  GO_P2P,
  MESSAGE_BUS,
  type TopicKind,
  type TopicMessage,
  type WireFormat,
} from '../../../src/wire/format.ts';
import { parseObject } from '../../../src/wire/json-source.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { decodePeerDiscovery } from '../../../src/wire/peer-discovery.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { FakeClock } from '../../fakes/recorders.ts';
import { dataJson, recordedFile, recordedTexts } from '../../support/recorded.ts';
import { type DecoderTarget, must, mustEqual, textOf, texts } from '../engine/target.ts';
import { failingLogger, NO_METRICS } from './parts.ts';

const KINDS = ['block', 'subtree', 'mining_on', 'handshake', 'rejected_tx', 'node_status', 'best_block'] as const;
const BUS_KINDS = ['block', 'subtree', 'rejected_tx', 'node_status'] as const;
const FILES: { readonly [K in TopicKind]?: string } = { mining_on: 'miningon' };
const WORDS = [
  'Hash',
  'Height',
  'DataHubURL',
  'PeerID',
  'ClientName',
  'Header',
  'name',
  'data',
  'subtrees',
  'fee_policy',
];

function recordedOf(kind: TopicKind): Uint8Array[] {
  if (kind === 'best_block')
    return texts(
      '{"PeerID":"12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY"}',
      `{"Height":2,"Hash":"${'00'.repeat(31)}7f"}`,
    );
  return texts(...recordedTexts(`teranode-${FILES[kind] ?? kind}.json`));
}

/** Messages of Teranode of November 2025: what is in the envelope, and the envelope. */
function recordedOnBus(kind: (typeof BUS_KINDS)[number]): Uint8Array[] {
  const { messages } = dataJson<{ messages: readonly { envelope_text: string; payload_text: string }[] }>(
    `today/${kind}.json`,
  );
  return texts(...messages.flatMap((each) => [each.envelope_text, each.payload_text])).slice(0, 12);
}

/** Whatever a decoder answers. */
function mustBeAnswer(decoded: Decoded<unknown>, input: Uint8Array, maxBytes: number): void {
  if (decoded.ok) {
    must(input.byteLength <= maxBytes, `it took ${input.byteLength} bytes (at most ${maxBytes})`);
    const value: unknown = JSON.parse(textOf(input));
    must(typeof value === 'object' && value !== null && !Array.isArray(value), 'it took what is no JSON object');
    return;
  }
  const { code, detail } = decoded.fault;
  must((FAULT_CODES as readonly string[]).includes(code), `an unknown fault ${code}`);
  must(detail.length <= 120 && /^[^\n\r\0]*$/.test(detail), `a detail that is not one short line: ${detail}`);
}

/** Texts as an encoder writes them: halves of surrogate pairs are replaced. A zero has no sign. */
function wellFormed<T>(value: T): T {
  if (typeof value === 'string') return value.toWellFormed() as T;
  if (typeof value === 'number') return (value + 0) as T;
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(wellFormed) as T;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, wellFormed(each)])) as T;
}

/** Fields that exist on message-bus only, and the encoder of go-p2p does not write. */
const BUS_FIELDS: ReadonlySet<string> = new Set([
  ...['clientName', 'propagationUrl', 'txCount', 'subtreeCount', 'minMiningTxFee', 'feePolicy'],
  ...['connectedPeersCount', 'legacyConnectedPeersCount', 'storage'],
]);

function goFields(kind: TopicKind, message: object): object {
  const keepsName = kind === 'node_status';
  const keepsCount = kind === 'mining_on';
  const isLeftOut = (name: string) =>
    BUS_FIELDS.has(name) && !(keepsName && name === 'clientName') && !(keepsCount && name === 'txCount');
  return Object.fromEntries(Object.entries(message).filter(([name]) => !isLeftOut(name)));
}

function target(wire: WireFormat, kind: TopicKind, seeds: readonly Uint8Array[]): DecoderTarget {
  const shown = decodersOf(wire)[kind];
  const decode = wire.decode[kind];
  const maxBytes = wire.maxGossipBytes[kind];
  const run = (input: Uint8Array) => {
    const decoded = shown(input);
    // A handshake also comes on a direct stream, with more bytes.
    mustBeAnswer(decoded, input, kind === 'handshake' ? 2 * maxBytes : maxBytes);
    if (!decoded.ok) return;
    const plain = decode(input);
    must(plain.ok, 'decoded once and not again');
    if (!plain.ok) return;
    if (wire === GO_P2P) {
      const message = wellFormed(goFields(kind, plain.message));
      const bytes = encodeFor(wire, { kind, message } as TopicMessage);
      if (bytes.byteLength > maxBytes) return;
      const again = decode(bytes);
      mustEqual(again.ok && goFields(kind, again.message), message, 'encoded and decoded again');
    } else if (plain.form !== 'envelope') {
      const again = decode(writeEnvelope('x', input));
      mustEqual(again.ok && again.message, plain.message, 'the same message in an envelope');
    }
  };
  return { name: `${wire.name}-${kind}`.replaceAll('_', '-'), seeds, words: WORDS, maxBytes: maxBytes + 64, run };
}

/** JSON.parse of ECMAScript 2026, which TypeScript does not know yet. */
const parseWithSource: (
  text: string,
  revive: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown = JSON.parse as never;

/** Numbers as they are written, compared with what JSON.parse says of its source. */
const jsonNumbers: DecoderTarget = {
  name: 'json-numbers',
  seeds: [...KINDS.flatMap(recordedOf), ...texts('{"a":1.0,"b":{"a":-0,"c":[1e3]},"\\u0061":99999999999999999999}')],
  maxBytes: 8192,
  run: (input) => {
    const parsed = parseObject(input, 8192);
    if (!parsed.ok) return mustBeAnswer(parsed, input, 8192);
    const numbers = new Map<unknown, Map<string, string>>();
    const value: unknown = parseWithSource(textOf(input), function (this: unknown, key, each, { source = '' }) {
      if (typeof each === 'number') numbers.set(this, (numbers.get(this) ?? new Map()).set(key, source));
      return each;
    });
    const compare = (object: object, source: typeof parsed.message.source) => {
      for (const [key, each] of Object.entries(object))
        if (typeof each === 'number')
          mustEqual(source?.number(key) ?? String(each), numbers.get(object)?.get(key), `number ${key}`);
    };
    compare(value as object, parsed.message.source);
    for (const [key, each] of Object.entries(value as object))
      if (typeof each === 'object' && each !== null && !Array.isArray(each))
        compare(each, parsed.message.source?.object(key));
  },
};

const peerDiscovery: DecoderTarget = {
  name: 'peer-discovery',
  seeds: recordedFile('listener-peer-discovery.json').messages.map(({ dataHex = '' }) => Buffer.from(dataHex, 'hex')),
  maxBytes: 4200,
  run: (input) => {
    const found = decodePeerDiscovery(input);
    if (found === undefined) return;
    must(found.multiaddrs.length <= 64, 'too many addresses');
    const bytes = [found.publicKey, ...found.multiaddrs].reduce((sum, each) => sum + each.byteLength, 0);
    must(input.byteLength <= 4096 && bytes < input.byteLength, 'more bytes than there are');
  },
};

/** Author, source, number and topic, then the message: the whole way of a message, with the real validators. */
const FIRST_BYTES = 4;

function pipelines() {
  const clock = new FakeClock();
  const bounds = { maxAnnouncements: 1000, ttlMs: 3_600_000 };
  const deps = { clock, metrics: NO_METRICS };
  const views = guardViews(
    {
      ownId: peer(0),
      blocks: new Attribution(deps, { kind: 'block', ...bounds }),
      subtrees: new Attribution(deps, { kind: 'subtree', ...bounds }),
      chain: { heightOf: () => undefined, tip: () => undefined, isSyncing: () => false },
      isBanned: (id) => id === peer(1),
      isLowReputation: () => false,
      isInGoodStanding: () => true,
      sync: { syncPeer: () => undefined },
      clock,
    },
    {
      powLimitBits: NETWORKS.regtest.powLimitBits,
      verifiesHeaderPow: true,
      requiresHeader: false,
      authorRate: { perSecond: 2000, burst: 20_000 },
      sourceRate: { perSecond: 0, burst: 0 },
      dataHubUrls: () => ({ allowsPrivate: false, blacklist: ['bad.example'] }),
      maxHeightLead: 10_000,
      maxTargetRatio: 4,
    },
    [GO_P2P, MESSAGE_BUS].map((wire) => ({
      name: wire.name,
      wire,
      node: { connectedSinceMs: (id: PeerId) => (id === peer(2) ? 0 : undefined) },
    })),
  );
  const handlers = views.flatMap(({ network, view }) =>
    (network.wire === GO_P2P ? KINDS : BUS_KINDS).map((kind) => ({
      topic: `${network.name}-${kind}`,
      handle: topicPipeline(kind, {
        decode: decodersOf(network.wire),
        view,
        execute: (effects) => must(effects.length < 100, 'a hundred effects of one message'),
        isShadow: () => false,
        log: failingLogger(),
        ...deps,
      }),
    })),
  );
  return { clock, handlers };
}

function pipelineTarget(): DecoderTarget {
  const { clock, handlers } = pipelines();
  const seqnos = new Map<string, bigint>();
  return {
    name: 'gossip-pipeline',
    words: WORDS,
    seeds: handlers.flatMap(({ topic }, i) => {
      const kind = topic.replace(/^(go-p2p|message-bus)-/, '') as TopicKind;
      return recordedOf(kind).map((bytes) => Buffer.concat([Buffer.of(2, 2, 1, i), bytes]));
    }),
    maxBytes: 16_384,
    run: (input) => {
      const [author = 0, source = 0, step = 0, at = 0] = input;
      const found = handlers[at % handlers.length];
      if (found === undefined) return;
      const key = `${author % 4}`;
      const seqno = (seqnos.get(key) ?? 1_700_000_000_000_000_000n) + BigInt(step - 16);
      seqnos.set(key, seqno);
      clock.advance(1);
      const { topic, handle } = found;
      const bytes = input.subarray(FIRST_BYTES);
      const decision = handle({ topic, bytes, author: peer(author % 4), receivedFrom: peer(source % 4), seqno });
      must(['accept', 'ignore', 'reject'].includes(decision as string), `decided ${String(decision)}`);
    },
  };
}

export const GOSSIP_TARGETS: readonly DecoderTarget[] = [
  ...KINDS.map((kind) => target(GO_P2P, kind, recordedOf(kind))),
  ...BUS_KINDS.map((kind) => target(MESSAGE_BUS, kind, [...recordedOnBus(kind), ...recordedOf(kind)])),
  jsonNumbers,
  peerDiscovery,
  pipelineTarget(),
];
