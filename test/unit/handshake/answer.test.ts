// What is made of a version or verack, by its content and by who is proven to have said it.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import { type HandshakeFacts, isAhead, judgeHandshake } from '../../../src/handshake/answer.ts';
import type { HandshakeMessage } from '../../../src/wire/handshake.ts';
import { message, OLD_PREFIX, OWN, PEER, PREFIX } from './fixture.ts';

const FACTS: HandshakeFacts = {
  ownId: OWN,
  sender: PEER,
  topicPrefixes: [PREFIX, OLD_PREFIX],
  isBanned: () => false,
  mayUseUrl: (url) => !url.includes('private'),
};
const { bestHeight: height, bestHash: hash, dataHubUrl, userAgent } = message();
const PATCH = { claimed: { height, hash }, services: 0n, dataHubUrl, userAgent };
const STRANGER = '12D3KooWStranger' as PeerId;

describe('decision about a handshake message', () => {
  test.each<[string, Partial<HandshakeMessage>, Partial<HandshakeFacts>, object]>([
    ['a version is noted and answered', {}, {}, { outcome: 'accepted', patch: PATCH, isAnswered: true }],
    ['a verack only noted', { type: 'verack' }, {}, { outcome: 'accepted', patch: PATCH, isAnswered: false }],
    ['a further prefix is as good', { topicPrefix: OLD_PREFIX }, {}, { outcome: 'accepted', patch: PATCH }],
    [
      'any services',
      { services: 0xffff_ffff_ffff_ffffn },
      {},
      { patch: { ...PATCH, services: 0xffff_ffff_ffff_ffffn } },
    ],
    ['our own is nothing', { peerId: OWN }, { sender: OWN }, { outcome: 'own_message' }],
    ['our id in another mouth is a lie', { peerId: OWN }, {}, { outcome: 'author_mismatch', rule: 'author_mismatch' }],
    ['so is any other id', { peerId: STRANGER }, {}, { outcome: 'author_mismatch' }],
    ['and none, which may be an accident', { peerId: '' }, {}, { outcome: 'author_mismatch', rule: 'peer_id_form' }],
    ['the banned are not heard', {}, { isBanned: (id) => id === PEER }, { outcome: 'banned' }],
    ['not even to be charged', { peerId: OWN }, { isBanned: () => true }, { outcome: 'banned' }],
    ['another prefix', { topicPrefix: 'teranode/bitcoin/1.0.0/testnet' }, {}, { outcome: 'other_prefix' }],
    ['no prefix', { topicPrefix: '' }, {}, { outcome: 'other_prefix' }],
    ['a longer prefix', { topicPrefix: `${PREFIX}x` }, {}, { outcome: 'other_prefix' }],
    ['a lie of another network', { topicPrefix: '', peerId: OWN }, {}, { outcome: 'author_mismatch' }],
    [
      'a URL that may not be used',
      { dataHubUrl: 'http://private' },
      {},
      { patch: { ...PATCH, dataHubUrl: undefined } },
    ],
    ['no URL', { dataHubUrl: '' }, {}, { patch: { claimed: PATCH.claimed, userAgent } }],
    ['no agent', { userAgent: '' }, {}, { patch: { claimed: PATCH.claimed, dataHubUrl } }],
    ['no hash', { bestHash: undefined }, {}, { patch: { ...PATCH, claimed: { height, hash: undefined } } }],
  ])('%s', (_name, changes, facts, expected) => {
    expect(judgeHandshake(message(changes), { ...FACTS, ...facts })).toMatchObject(expected);
  });

  test('clears the URL of a peer when it is not allowed, and keeps it when absent', () => {
    const patchOf = (url: string) => {
      const judgement = judgeHandshake(message({ dataHubUrl: url }), FACTS);
      return judgement.outcome === 'accepted' ? judgement.patch : undefined;
    };
    expect(patchOf('http://private')).toHaveProperty('dataHubUrl', undefined);
    expect(patchOf('')).not.toHaveProperty('dataHubUrl');
  });
});

test.each([
  [3, hash, true],
  [2, hash, false],
  [1, hash, false],
  [3, undefined, false],
  [0xffff_ffff, hash, true],
])('at height %i with hash %s against our 2: ahead is %s', (bestHeight, bestHash, ahead) => {
  expect(isAhead(message({ bestHeight, bestHash }), { height: 2, hash })).toBe(ahead);
});
