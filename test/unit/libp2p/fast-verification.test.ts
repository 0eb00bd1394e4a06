// The step that verifies gossip gives the same results as gossipsub's own for every kind of message, good and bad.
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys';
import { type GossipSub, type TopicValidatorFn, TopicValidatorResult } from '@libp2p/gossipsub';
import { RPC } from '@libp2p/gossipsub/message';
import type { PeerId, PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { beforeAll, expect, test } from 'vitest';
import { FastVerification } from '../../../src/adapters/libp2p/gossipsub/fast-verification.ts';
import { GossipInternals } from '../../../src/adapters/libp2p/gossipsub/internals.ts';
import { SeenCaches } from '../../../src/adapters/libp2p/gossipsub/memory.ts';
import { SeenMessages } from '../../../src/adapters/libp2p/gossipsub/seen-messages.ts';
import { fastestVerifier } from '../../../src/adapters/libp2p/patches/ed25519.ts';
import { FakeClock, RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { bareLibp2p } from '../../support/nodes.ts';

const TOPIC = 'prefix-block';

interface Step {
  validateReceivedMessage(receivedFrom: PeerId, message: RPC.Message): Promise<Record<string, unknown>>;
}

let ours: GossipSub;
let library: GossipSub;
let author: PrivateKey;
let receivedFrom: PeerId;
let nextSeqno = 1n;

beforeAll(async () => {
  [ours, library] = [(await bareLibp2p([TOPIC])).services.pubsub, (await bareLibp2p([TOPIC])).services.pubsub];
  install(ours);
  author = await generateKeyPair('Ed25519');
  receivedFrom = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
});

function install(pubsub: GossipSub): void {
  const internals = new GossipInternals(pubsub, recordingLogger());
  const seen = new SeenMessages(
    { clock: new FakeClock(), metrics: new RecordedMetrics() },
    { keepMs: 60_000, maxIds: 1000 },
  );
  const fastVerification = new FastVerification({
    verify: fastestVerifier().verify,
    seen,
    topicValidators: pubsub.topicValidators,
    sendIDontWants: (...given) => internals.sendIDontWants(...given),
  });
  internals.install({ incoming: [fastVerification, new SeenCaches(seen)], outgoing: [], opening: [] });
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

const step = (pubsub: GossipSub) => pubsub as unknown as Step;

async function bothResults(message: RPC.Message): Promise<Record<string, unknown>[]> {
  const results: Record<string, unknown>[] = [];
  for (const pubsub of [library, ours])
    results.push(await step(pubsub).validateReceivedMessage(receivedFrom, structuredClone(message)));
  return results.map((result) => ({ ...result, msg: plain(result.msg) }));
}

function plain(message: unknown) {
  if (message === undefined) return undefined;
  const { from, key, ...rest } = message as { from: PeerId; key: { raw: Uint8Array } };
  return { ...rest, from: from.toString(), key: Buffer.from(key.raw).toString('hex') };
}

const CASES: [what: string, make: () => Promise<RPC.Message>, code: string][] = [
  ['a signed message', () => signed(author), 'valid'],
  ['one without data', () => signed(author, { data: new Uint8Array(0) }), 'valid'],
  ['one with its key beside it', async () => withKey(await signed(author), author), 'valid'],
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
  ['one of a secp256k1 key', async () => signed(await generateKeyPair('secp256k1')), 'valid'],
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

test.each(CASES)('%s gets the result that gossipsub gives', async (_what, make, code) => {
  const [expected, actual] = await bothResults(await make());
  expect(expected?.code).toBe(code);
  expect(actual).toEqual(expected);
});

test('a message that comes again is a duplicate, also when its signature is bad the second time', async () => {
  const message = await signed(author);
  await bothResults(message);
  const [expected, actual] = await bothResults({ ...message, signature: new Uint8Array(64) });
  expect(expected?.code).toBe('duplicate');
  expect(actual).toEqual(expected);
});

const VALIDATORS: [what: string, validator: TopicValidatorFn, code: string, reason?: string][] = [
  ['accepts', () => Promise.resolve(TopicValidatorResult.Accept), 'valid'],
  ['ignores', () => TopicValidatorResult.Ignore, 'invalid', 'ignore'],
  ['rejects', () => TopicValidatorResult.Reject, 'invalid', 'reject'],
  ['throws on', () => Promise.reject(new Error('broken')), 'invalid', 'ignore'],
];

test.each(VALIDATORS)(
  'a validator that %s a message decides as in gossipsub',
  async (_what, validator, code, reason) => {
    for (const pubsub of [ours, library]) pubsub.topicValidators.set(TOPIC, validator);
    const [expected, actual] = await bothResults(await signed(author));
    for (const pubsub of [ours, library]) pubsub.topicValidators.delete(TOPIC);
    expect(expected).toMatchObject(reason === undefined ? { code } : { code, reason });
    expect(actual).toEqual(expected);
  },
);
