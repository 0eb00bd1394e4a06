// The step that verifies gossip gives the same results as gossipsub's own for every kind of message, good and bad.
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { GossipSub } from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import type { PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { FastVerification, type Received } from '../../../src/adapters/libp2p/gossipsub/fast-verification.ts';
import { GossipInternals } from '../../../src/adapters/libp2p/gossipsub/internals.ts';
import { PackedBatch } from '../../../src/adapters/libp2p/gossipsub/packed-batch.ts';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { fastestVerifier } from '../../../src/adapters/libp2p/patches/ed25519.ts';
import { NO_DELIVERIES } from '../../../src/ports/deliveries.ts';
import type { GossipMessage, ValidationDecision } from '../../../src/ports/p2p-node.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { bareLibp2p } from '../../support/nodes.ts';

const TOPIC = 'prefix-block';
const NONE = new Uint8Array(0);

interface Inside {
  validateReceivedMessage(receivedFrom: PeerId, message: RPC.Message): Promise<LibraryResult>;
  handleReceivedMessage(receivedFrom: PeerId, message: RPC.Message): Promise<void>;
  readonly mcache: { get(id: Uint8Array): RPC.Message | undefined };
}

interface LibraryResult {
  readonly code: string;
  readonly reason?: string;
  readonly error?: string;
}

let ours: GossipSub;
let library: GossipSub;
let author: PrivateKey;
let receivedFrom: PeerId;
let nextSeqno = 1n;
let decision: ValidationDecision | Error = 'accept';
/** What our verification said of each message, and what gossipsub's own step said of those that stay with it. */
let outcomes: string[] = [];
let decided: GossipMessage[] = [];
const progress = { begun: 0, ended: 0 };
const refused: string[] = [];
const idontwants: string[] = [];
const failures: string[] = [];

beforeAll(async () => {
  [ours, library] = [(await bareLibp2p([TOPIC])).services.pubsub, (await bareLibp2p([TOPIC])).services.pubsub];
  author = await generateKeyPair('Ed25519');
  receivedFrom = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
});

const inside = (pubsub: GossipSub) => pubsub as unknown as Inside;

function fastVerification(changes: Partial<ConstructorParameters<typeof FastVerification>[0]> = {}): FastVerification {
  const internals = new GossipInternals(ours, recordingLogger());
  const delivery = internals.delivery();
  const made: FastVerification = new FastVerification({
    verifier: fastestVerifier(),
    isBesideLoop: false,
    seen: new SeenMessages(
      { clock: new FakeClock(), metrics: new RecordedMetrics() },
      { keepMs: 60_000, maxIds: 1000 },
    ),
    decide: (message) => {
      decided.push(message);
      if (decision instanceof Error) throw decision;
      return decision;
    },
    deliveries: NO_DELIVERIES,
    delivery: {
      received: (topic) => delivery.received(topic),
      finished: (received, outcome) => {
        outcomes.push(outcome);
        delivery.finished(received, outcome);
      },
    },
    progress,
    malformed: { add: (kind, peerId) => void refused.push(`${kind} ${peerId}`) },
    sendIDontWants: (id, topic, from) => void idontwants.push(`${Buffer.from(id).toString('hex')} ${topic} ${from}`),
    enqueue: (received) => void made.validate([received]),
    failed: (error, topic) => void failures.push(`${topic} ${error}`),
    ...changes,
  });
  return made;
}

/** What becomes of each message, in gossipsub's words. */
async function ourOutcomes(messages: readonly RPC.Message[], stage = fastVerification()): Promise<string[]> {
  outcomes = [];
  const own: string[] = [];
  const next = async (from: PeerId, message: unknown) => {
    own.push(outcomeOf(await inside(ours).validateReceivedMessage(from, message as RPC.Message)));
  };
  const handle = stage.handleReceivedMessage(next);
  for (const message of messages) await handle(receivedFrom, structuredClone(message));
  return [...outcomes, ...own];
}

async function libraryOutcomes(messages: readonly RPC.Message[]): Promise<string[]> {
  const results: string[] = [];
  for (const message of messages)
    results.push(outcomeOf(await inside(library).validateReceivedMessage(receivedFrom, structuredClone(message))));
  return results;
}

function outcomeOf({ code, reason, error }: LibraryResult): string {
  if (code === 'valid') return 'accept';
  return error ?? reason ?? code;
}

async function signed(key: PrivateKey, changes: Partial<RPC.Message> = {}): Promise<RPC.Message> {
  const seqno = new Uint8Array(8);
  new DataView(seqno.buffer).setBigUint64(0, nextSeqno);
  nextSeqno += 1n;
  const from = peerIdFromPrivateKey(key).toMultihash().bytes;
  const unsigned = { from, data: Buffer.from('payload'), seqno, topic: TOPIC, ...changes };
  const bytes = Buffer.concat([Buffer.from('libp2p-pubsub:'), RPC.Message.encode(unsigned)]);
  return { ...unsigned, signature: await key.sign(bytes), ...changes };
}

const CASES: [what: string, make: () => Promise<RPC.Message>, outcome: string][] = [
  ['a signed message', () => signed(author), 'accept'],
  ['one without data', () => signed(author, { data: new Uint8Array(0) }), 'accept'],
  ['one with its key beside it', async () => withKey(await signed(author), author), 'accept'],
  [
    'one with the key of somebody else',
    async () => withKey(await signed(author), await generateKeyPair('Ed25519')),
    'invalid',
  ],
  [
    'one with a key that is no key',
    async () => ({ ...(await signed(author)), key: Buffer.from('nonsense') }),
    'invalid',
  ],
  ['one of a secp256k1 key', async () => signed(await generateKeyPair('secp256k1')), 'accept'],
  ['one whose data was changed', async () => ({ ...(await signed(author)), data: Buffer.from('other') }), 'invalid'],
  ['one whose topic was changed', async () => ({ ...(await signed(author)), topic: 'prefix-other' }), 'invalid'],
  [
    'one whose author was changed',
    async () => ({ ...(await signed(author)), from: receivedFrom.toMultihash().bytes }),
    'invalid',
  ],
  ['one without a signature', async () => without(await signed(author), 'signature'), 'invalid'],
  ['one with a short signature', async () => ({ ...(await signed(author)), signature: new Uint8Array(63) }), 'invalid'],
  ['one without a sequence number', async () => without(await signed(author), 'seqno'), 'invalid'],
  ['one with a short sequence number', () => signed(author, { seqno: new Uint8Array(7) }), 'invalid'],
  ['one without an author', async () => without(await signed(author), 'from'), 'invalid'],
  [
    'one whose author is no multihash',
    async () => ({ ...(await signed(author)), from: Buffer.alloc(38, 1) }),
    'invalid',
  ],
];

function withKey(message: RPC.Message, key: PrivateKey): RPC.Message {
  return { ...message, key: publicKeyToProtobuf(key.publicKey) };
}

function without(message: RPC.Message, field: 'signature' | 'seqno' | 'from'): RPC.Message {
  const { [field]: _removed, ...rest } = message;
  return rest;
}

test.each(CASES)('%s gets the result that gossipsub gives', async (_what, make, outcome) => {
  const message = await make();
  const [expected] = await libraryOutcomes([message]);
  expect(expected === 'accept' ? 'accept' : 'invalid').toBe(outcome);
  expect(await ourOutcomes([message])).toEqual([expected]);
  expect(progress.ended).toBe(progress.begun);
});

test('a message that comes again is a duplicate, also when its signature is bad the second time', async () => {
  const message = await signed(author);
  const both = [message, { ...message, signature: new Uint8Array(64) }];
  expect(await libraryOutcomes(both)).toEqual(['accept', 'duplicate']);
  expect(await ourOutcomes(both)).toEqual(['accept', 'duplicate']);
});

test('a valid message is handed to the handler and kept for neighbours as it came', async () => {
  const message = await signed(author);
  const id = Buffer.concat([message.from ?? NONE, message.seqno ?? NONE]);
  decided = [];
  await ourOutcomes([message]);
  expect(decided).toMatchObject([
    { topic: TOPIC, author: peerIdFromPrivateKey(author).toString(), receivedFrom: receivedFrom.toString() },
  ]);
  expect(decided[0]?.seqno).toBe(Buffer.from(message.seqno ?? NONE).readBigUInt64BE());
  expect(inside(ours).mcache.get(id)).toEqual(structuredClone(message));
});

test('sends IDONTWANT to mesh peers for a large message only', async () => {
  idontwants.length = 0;
  const large = await signed(author, { data: Buffer.alloc(600) });
  await ourOutcomes([await signed(author), large]);
  const id = Buffer.concat([large.from ?? NONE, large.seqno ?? NONE]).toString('hex');
  expect(idontwants).toEqual([`${id} ${TOPIC} ${receivedFrom}`]);
});

test.each(['accept', 'ignore', 'reject', new Error('broken')] as const)(
  'a handler that says %s decides, and only an accepted message is kept for neighbours',
  async (said) => {
    decision = said;
    const message = await signed(author);
    const outcome = said instanceof Error ? 'ignore' : said;
    expect(await ourOutcomes([message])).toEqual([outcome]);
    decision = 'accept';
    const id = Buffer.concat([message.from ?? NONE, message.seqno ?? NONE]);
    expect(inside(ours).mcache.get(id) !== undefined).toBe(outcome === 'accept');
  },
);

/** Waits for all, then verifies them together. */
async function together(
  messages: readonly RPC.Message[],
  changes: Parameters<typeof fastVerification>[0] = {},
): Promise<string[]> {
  const waiting: Received[] = [];
  const stage = fastVerification({ ...changes, enqueue: (received) => void waiting.push(received) });
  await ourOutcomes(messages, stage);
  outcomes = [];
  await stage.validate(waiting);
  return outcomes;
}

test('in a batch each message gets its own result, and a bad one spoils no other', async () => {
  const other = await generateKeyPair('Ed25519');
  const good = await Promise.all(Array.from({ length: 20 }, (_each, i) => signed(i % 3 === 0 ? other : author)));
  const bad = new Set([0, 7, 19]);
  const batch = good.map((message, i) => (bad.has(i) ? { ...message, data: Buffer.from('changed') } : message));
  refused.length = 0;
  expect(await together(batch)).toEqual(batch.map((_each, i) => (bad.has(i) ? 'invalid_signature' : 'accept')));
  expect(refused).toEqual(Array(bad.size).fill(`signature ${receivedFrom}`));
});

/** A verifier beside the loop whose batches end when they are told to. */
function besideLoop() {
  const { verify } = fastestVerifier();
  const ends: (() => void)[] = [];
  const verifyPackedAsync = (packed: Uint8Array, count: number) => {
    const copy = Buffer.from(packed);
    return new Promise<Uint8Array>((resolve, reject) => {
      ends.push(() => {
        let at = 0;
        const valid = Uint8Array.from({ length: count }, () => {
          const end = at + 100 + copy.readUInt32LE(at);
          const isValid = verify(
            copy.subarray(at + 4, at + 36),
            copy.subarray(at + 36, at + 100),
            copy.subarray(at + 100, end),
          );
          at = end;
          return Number(isValid);
        });
        if (at === copy.length) resolve(valid);
        else reject(new Error('bytes are left'));
      });
    });
  };
  return { verifier: { verify, verifyPackedAsync }, ends };
}

/** The same, with batches that end at once. */
function besideLoopAtOnce() {
  const { verifier, ends } = besideLoop();
  const verifyPackedAsync = (packed: Uint8Array, count: number) => {
    const results = verifier.verifyPackedAsync(packed, count);
    ends.pop()?.();
    return results;
  };
  return { verify: verifier.verify, verifyPackedAsync };
}

test('batches verified beside the loop get their results in the order they began, each message once', async () => {
  const { verifier, ends } = besideLoop();
  const waiting: Received[] = [];
  const stage = fastVerification({ verifier, isBesideLoop: true, enqueue: (received) => void waiting.push(received) });
  const [first, second] = [await signed(author), await signed(author)];
  await ourOutcomes([first, { ...second, signature: new Uint8Array(64) }, second, first], stage);
  outcomes = [];
  decided = [];
  const seqnos = () => decided.map(({ seqno }) => seqno);
  const early = stage.validate(waiting.slice(0, 2));
  const late = stage.validate(waiting.slice(2));
  expect(outcomes).toEqual([]);
  ends[1]?.();
  await new Promise((resolve) => setImmediate(resolve));
  expect(outcomes).toEqual([]);
  ends[0]?.();
  await Promise.all([early, late]);
  expect(outcomes).toEqual(['accept', 'invalid_signature', 'accept', 'duplicate']);
  expect(seqnos()).toEqual([first, second].map(({ seqno }) => Buffer.from(seqno ?? NONE).readBigUInt64BE()));
});

test('when the verifier beside the loop fails, messages are verified one by one', async () => {
  const { verify } = fastestVerifier();
  const verifier = { verify, verifyPackedAsync: () => Promise.reject(new Error('no thread')) };
  const good = await signed(author);
  const bad = { ...(await signed(author)), data: Buffer.from('changed') };
  expect(await together([good, bad], { verifier, isBesideLoop: true })).toEqual(['accept', 'invalid_signature']);
});

const broken = () => {
  throw new Error('broken');
};
/** Throws for the second message only. */
const brokenOnce = (times = { left: 2 }) => {
  times.left -= 1;
  if (times.left === 0) broken();
};
const FAILURES: [what: string, changes: () => Parameters<typeof fastVerification>[0], outcomes: string[]][] = [
  [
    'gossipsub throws on delivery',
    () => {
      const times = { left: 2 };
      const finished = (_received: unknown, outcome: string) => {
        outcomes.push(outcome);
        brokenOnce(times);
      };
      return { delivery: { received() {}, finished } };
    },
    ['accept', 'accept', 'accept'],
  ],
  [
    'gossipsub throws on IDONTWANT',
    () => {
      const times = { left: 2 };
      return { sendIDontWants: () => brokenOnce(times) };
    },
    ['accept', 'ignore', 'accept'],
  ],
  [
    'the verifier of batches throws',
    () => ({ verifier: { ...fastestVerifier(), verifyPacked: broken, verifyPackedAsync: broken } }),
    ['accept', 'accept', 'accept'],
  ],
  [
    'the verifier throws',
    () => ({ verifier: { verify: broken, verifyPackedAsync: broken } }),
    ['invalid_signature', 'invalid_signature', 'invalid_signature'],
  ],
];

describe.each([false, true])('beside the loop: %s;', (isBesideLoop) => {
  test.each(FAILURES)('when %s, each message has its outcome, and so have those of the next batch', async (...row) => {
    const [_what, changes, expected] = row;
    const waiting: Received[] = [];
    const enqueue = (received: Received) => void waiting.push(received);
    const { verify, verifyPackedAsync } = besideLoopAtOnce();
    const stage = fastVerification({ verifier: { verify, verifyPackedAsync }, isBesideLoop, enqueue, ...changes() });
    const large = { data: Buffer.alloc(600) };
    await ourOutcomes([await signed(author, large), await signed(author, large), await signed(author, large)], stage);
    outcomes = [];
    failures.length = 0;
    const before = { ...progress };
    await stage.validate(waiting);
    expect(outcomes).toEqual(expected);
    expect(progress.ended - before.ended).toBe(3);
    expect(failures[0]).toBe(`${TOPIC} Error: broken`);
    waiting.length = 0;
    await ourOutcomes([await signed(author)], stage);
    await stage.validate(waiting);
    expect(outcomes).toEqual([expected[0]]);
    expect(progress.ended).toBe(progress.begun);
  });
});

test('of equal IDs in a batch the first good one counts, wherever it stands', async () => {
  const message = await signed(author);
  const forged = { ...message, signature: new Uint8Array(64) };
  expect(await together([message, message, forged])).toEqual(['accept', 'duplicate', 'duplicate']);
  const second = await signed(author);
  const forgedSecond = { ...second, signature: new Uint8Array(64) };
  expect(await together([forgedSecond, forgedSecond, second, second])).toEqual([
    'invalid_signature',
    'invalid_signature',
    'accept',
    'duplicate',
  ]);
});

test('what authors signed is encoded as the library encodes it', () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  fc.assert(
    fc.property(bytes(5000), fc.boolean(), fc.string(), fc.uint8Array({ minLength: 64, maxLength: 64 }), (...made) => {
      const [data, hasData, topic, signature] = made;
      const from = peerIdFromPrivateKey(author).toMultihash().bytes;
      const unsigned = { from, seqno: new Uint8Array(8).fill(data.length), topic, ...(hasData ? { data } : {}) };
      const packed = new PackedBatch();
      packed.add(unsigned, signature);
      packed.add(unsigned, signature);
      const signedBytes = Buffer.concat([Buffer.from('libp2p-pubsub:'), RPC.Message.encode(unsigned)]);
      for (const [key, readSignature, read] of packed.messages()) {
        expect(Buffer.from(key)).toEqual(Buffer.from(from.slice(6)));
        expect(Buffer.from(readSignature)).toEqual(Buffer.from(signature));
        expect(Buffer.from(read)).toEqual(signedBytes);
      }
      expect(packed.count).toBe(2);
    }),
    { examples: [[new Uint8Array(200_000), true, 'é', new Uint8Array(64)]] },
  );
});

test('who delivers a message that counts again is reported with its delay, and no other repetition is', async () => {
  const clock = new FakeClock();
  const seen = new SeenMessages({ clock, metrics: new RecordedMetrics() }, { keepMs: 60_000, maxIds: 1000 });
  const later: string[] = [];
  const ids: string[] = [];
  const deliveries = {
    counted: 0,
    wasByAuthor: true,
    identified: (low: number, high: number) => void ids.push(`${low} ${high}`),
    deliveredLater: (id: string, ms: number, isByAuthor: boolean, low: number, high: number) =>
      void later.push(`${id} ${ms} ${isByAuthor} ${low} ${high}`),
  };
  const [valid, other] = [await signed(author), await signed(author)];
  const stage = fastVerification({
    seen,
    deliveries,
    decide: ({ seqno }) => {
      if (seqno === BigInt(`0x${Buffer.from(valid.seqno ?? []).toString('hex')}`)) deliveries.counted += 1;
      return 'accept';
    },
  });
  await ourOutcomes([valid, other], stage);
  clock.advance(35);
  expect(await ourOutcomes([other, valid], stage)).toEqual(['duplicate', 'duplicate']);
  expect(ids).toHaveLength(1);
  expect(later).toEqual([`${receivedFrom} 35 true ${ids[0]}`]);
});
