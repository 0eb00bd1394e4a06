// The table of guards, for every topic: what passes, what does not, and with which verdict.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { GuardView } from '../../../src/gossip/guards.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { AUTHOR, charged, judge, OWN, RECORDED, RELAY, TOPICS } from '../../fakes/judged.ts';
import { recordedFile } from '../../support/recorded.ts';

describe.each(TOPICS)('%s', (kind) => {
  test('every recorded message is relayed and processed', () => {
    for (const text of RECORDED[kind])
      expect(judge(kind, text)).toMatchObject({ relay: 'accept', reason: 'processed' });
  });

  test('size: 900 KB are rejected unread', () => {
    expect(judge(kind, Buffer.alloc(900_000, 0x20))).toMatchObject({ relay: 'reject', reason: 'size', effects: [] });
  });

  test('own message: what comes back is ignored', () => {
    expect(judge(kind, RECORDED[kind][0] ?? '', { author: OWN })).toMatchObject({
      relay: 'ignore',
      reason: 'own_message',
      effects: [],
    });
  });

  test('listeners’ bytes: relayed when the key is the author’s and the rate allows it, never processed', () => {
    const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '', dataHex: '' };
    const bytes = Buffer.from(dataHex ?? '', 'hex');
    const author = from as PeerId;
    expect(judge(kind, bytes, { author })).toMatchObject({ relay: 'accept', reason: 'peer_discovery', effects: [] });
    const view = { mayRelayPeerDiscovery: () => false };
    expect(judge(kind, bytes, { author, view })).toMatchObject({ relay: 'ignore', reason: 'peer_discovery_repeated' });
    expect(judge(kind, bytes)).toMatchObject({ relay: 'ignore', reason: 'not_json' });
  });

  test('decode: no JSON is ignored, other JSON rejected', () => {
    for (const junk of ['', 'junk', '{"a"', '[1]', '"x"'])
      expect(judge(kind, junk)).toMatchObject({ relay: 'ignore', reason: 'not_json', effects: [] });
    expect(judge(kind, '{}')).toMatchObject({ relay: 'reject', reason: 'decode', effects: [] });
  });

  test('author: a PeerID that is not the signer’s is rejected', () => {
    expect(judge(kind, RECORDED[kind][0] ?? '', { author: RELAY })).toMatchObject({
      relay: 'reject',
      reason: 'author_mismatch',
      effects: [{ type: 'offence', author: RELAY, reason: 'protocol_violation', rule: 'author_mismatch' }],
    });
  });

  test('a banned author is dropped, whoever brings it, and in shadow mode too', () => {
    const view = { isBanned: (peerId: string) => peerId === AUTHOR };
    const dropped = { relay: 'ignore', reason: 'banned_author', effects: [] };
    expect(judge(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject(dropped);
    expect(judge(kind, RECORDED[kind][0] ?? '', { view, shadow: ['banned_author'] })).toMatchObject(dropped);
    expect(judge(kind, RECORDED[kind][0] ?? '', { view: { isBanned: (peerId) => peerId === RELAY } }).reason).toBe(
      'processed',
    );
  });

  test('what passed under another prefix is relayed there too, and counts once', () => {
    const view = { passedElsewhere: () => true, authorRate: () => 'over' as const };
    expect(judge(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject({
      relay: 'accept',
      reason: 'other_prefix',
      effects: [],
    });
    const passed: unknown[] = [];
    const count = { passed: (envelope: unknown) => void passed.push(envelope) };
    judge(kind, RECORDED[kind][0] ?? '', { view: count });
    judge(kind, '{}', { view: count });
    expect(passed).toHaveLength(1);
  });

  test('rates: the author’s comes first and is charged when due, the relay’s is never charged', () => {
    const asked: string[] = [];
    const view = {
      authorRate: (peerId: string, seqno: bigint) => {
        asked.push(`author ${peerId} ${seqno}`);
        return 'ok' as const;
      },
      relayRate: (peerId: string) => {
        asked.push(`relay ${peerId}`);
        return 'over_scored' as const;
      },
    };
    const text = RECORDED[kind][0] ?? '';
    expect(judge(kind, text, { view })).toMatchObject({ relay: 'ignore', reason: 'relay_rate', effects: [] });
    expect(asked).toEqual([`author ${AUTHOR} 1`, `relay ${RELAY}`]);
    expect(judge(kind, text, { view: { ...view, authorRate: () => 'over' } })).toMatchObject({
      reason: 'author_rate',
      effects: [],
    });
    expect(judge(kind, text, { view: { ...view, authorRate: () => 'over_scored' } })).toMatchObject({
      relay: 'ignore',
      reason: 'author_rate',
      effects: charged(kind, 'author_rate', 'spam', AUTHOR),
    });
    expect(asked).toHaveLength(2);
  });

  test('the author’s rate is told whether the author itself is the neighbour', () => {
    const asked: boolean[] = [];
    const view: Partial<GuardView> = {
      authorRate: (_author, _seqno, atFirstHand) => {
        asked.push(atFirstHand);
        return 'ok';
      },
    };
    judge(kind, RECORDED[kind][0] ?? '', { view });
    judge(kind, RECORDED[kind][0] ?? '', { view, author: RELAY });
    expect(asked).toEqual([false, true]);
  });

  test('replays are ignored and charge nobody; listeners’ bytes are exempt', () => {
    const view = { isReplay: () => true };
    expect(judge(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject({
      relay: 'ignore',
      reason: 'replay',
      effects: [],
    });
    const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '', dataHex: '' };
    const bytes = Buffer.from(dataHex ?? '', 'hex');
    expect(judge(kind, bytes, { author: from as PeerId, view }).reason).toBe('peer_discovery');
  });

  test('a rule of policy in shadow stops nothing; what makes a message invalid still does', () => {
    const view: Partial<GuardView> = { authorRate: () => 'over_scored', isReplay: () => true };
    const judged = judge(kind, RECORDED[kind][0] ?? '', { view, shadow: ['author_rate', 'replay', 'author_mismatch'] });
    expect(judged).toMatchObject({ relay: 'accept', reason: 'processed' });
    expect(judged.effects[0]).toMatchObject({ type: 'offence', rule: 'author_rate' });
    expect(judge(kind, RECORDED[kind][0] ?? '', { author: RELAY, shadow: ['author_mismatch'] }).relay).toBe('reject');
  });

  test('a failure of ours is not the author’s: ignored, and gossip never sees it', () => {
    const execute = () => {
      throw new Error('full');
    };
    expect(judge(kind, RECORDED[kind][0] ?? '', { execute })).toMatchObject({
      relay: 'ignore',
      reason: 'handler_failed',
    });
  });
});

test('the recorded listener is who its key says', () => {
  const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '' };
  expect(peerIdFromPublicKey(Buffer.from(dataHex ?? '', 'hex').subarray(2, 38))).toBe(from);
});
