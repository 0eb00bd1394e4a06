// The table of guards, for every topic: what passes, what does not, and with which verdict.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { GuardView } from '../../../src/gossip/guards.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { AUTHOR, OWN, penalized, RECORDED, SOURCE, TOPICS, validate } from '../../fakes/validated.ts';
import { recordedFile } from '../../support/recorded.ts';

describe.each(TOPICS)('validators of topic %s', (kind) => {
  test('forward and process every recorded message', () => {
    for (const text of RECORDED[kind])
      expect(validate(kind, text)).toMatchObject({ decision: 'accept', reason: 'processed' });
  });

  test('reject a message of 900 KB without reading it', () => {
    expect(validate(kind, Buffer.alloc(900_000, 0x20))).toMatchObject({
      decision: 'reject',
      reason: 'size',
      effects: [],
    });
  });

  test('ignore our own message when it comes back', () => {
    expect(validate(kind, RECORDED[kind][0] ?? '', { author: OWN })).toMatchObject({
      decision: 'ignore',
      reason: 'own_message',
      effects: [],
    });
  });

  test('forward peer-discovery bytes when the key is the author’s and the rate allows it, and never process them', () => {
    const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '', dataHex: '' };
    const bytes = Buffer.from(dataHex ?? '', 'hex');
    const author = from as PeerId;
    expect(validate(kind, bytes, { author })).toMatchObject({
      decision: 'accept',
      reason: 'peer_discovery',
      effects: [],
    });
    const view = { mayForwardPeerDiscovery: () => false };
    expect(validate(kind, bytes, { author, view })).toMatchObject({
      decision: 'ignore',
      reason: 'peer_discovery_repeated',
    });
    expect(validate(kind, bytes)).toMatchObject({ decision: 'ignore', reason: 'not_json' });
  });

  test('ignore bytes that are not JSON, and reject other JSON', () => {
    for (const junk of ['', 'junk', '{"a"', '[1]', '"x"'])
      expect(validate(kind, junk)).toMatchObject({ decision: 'ignore', reason: 'not_json', effects: [] });
    expect(validate(kind, '{}')).toMatchObject({ decision: 'reject', reason: 'decode', effects: [] });
  });

  test('reject a PeerID that is not the author’s', () => {
    expect(validate(kind, RECORDED[kind][0] ?? '', { author: SOURCE })).toMatchObject({
      decision: 'reject',
      reason: 'author_mismatch',
      effects: [{ type: 'offence', author: SOURCE, reason: 'protocol_violation', rule: 'author_mismatch' }],
    });
  });

  test('drop messages of a banned author from any neighbour, in shadow mode too', () => {
    const view = { isBanned: (peerId: string) => peerId === AUTHOR };
    const dropped = { decision: 'ignore', reason: 'banned_author', effects: [] };
    expect(validate(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject(dropped);
    expect(validate(kind, RECORDED[kind][0] ?? '', { view, shadow: ['banned_author'] })).toMatchObject(dropped);
    expect(validate(kind, RECORDED[kind][0] ?? '', { view: { isBanned: (peerId) => peerId === SOURCE } }).reason).toBe(
      'processed',
    );
  });

  test('forward a message that passed under another prefix, and process it once', () => {
    const view = { passedElsewhere: () => true, authorRate: () => 'over' as const };
    expect(validate(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject({
      decision: 'accept',
      reason: 'other_prefix',
      effects: [],
    });
    const passed: unknown[] = [];
    const count = { passed: (envelope: unknown) => void passed.push(envelope) };
    validate(kind, RECORDED[kind][0] ?? '', { view: count });
    validate(kind, '{}', { view: count });
    expect(passed).toHaveLength(1);
  });

  test('check the author’s rate first and penalize it, and never penalize the propagation source’s rate', () => {
    // Older nodes announce every rejected transaction.
    const isUnlimited = kind === 'rejected_tx';
    const asked: string[] = [];
    const view = {
      authorRate: (peerId: string, seqno: bigint) => {
        asked.push(`author ${peerId} ${seqno}`);
        return 'ok' as const;
      },
      sourceRate: (peerId: string) => {
        asked.push(`relay ${peerId}`);
        return 'over_scored' as const;
      },
    };
    const text = RECORDED[kind][0] ?? '';
    expect(validate(kind, text, { view })).toMatchObject({ decision: 'ignore', reason: 'relay_rate', effects: [] });
    expect(asked).toEqual([`author ${AUTHOR} 1`, `relay ${SOURCE}`]);
    expect(validate(kind, text, { view: { ...view, authorRate: () => 'over' } })).toMatchObject({
      reason: 'author_rate',
      effects: [],
    });
    expect(validate(kind, text, { view: { ...view, authorRate: () => 'over_scored' } })).toMatchObject({
      decision: 'ignore',
      reason: 'author_rate',
      effects: isUnlimited ? [] : penalized(kind, 'author_rate', 'spam', AUTHOR),
    });
    expect(validate(kind, text, { view: { ...view, authorRate: () => 'flood' } })).toMatchObject({
      decision: 'ignore',
      reason: isUnlimited ? 'author_rate' : 'author_flood',
      effects: isUnlimited ? [] : penalized(kind, 'author_flood', 'spam', AUTHOR),
    });
    expect(asked).toHaveLength(2);
  });

  test('stop an author and a propagation source beyond their bytes; only the author is penalized', () => {
    const text = RECORDED[kind][0] ?? '';
    const stopped = (view: Partial<GuardView>) => validate(kind, text, { view });
    expect(stopped({ authorRate: () => 'bytes' })).toMatchObject({ reason: 'author_bytes', effects: [] });
    expect(stopped({ authorRate: () => 'bytes_scored' })).toMatchObject({
      decision: 'ignore',
      reason: 'author_bytes',
      effects: kind === 'rejected_tx' ? [] : penalized(kind, 'author_bytes', 'spam', AUTHOR),
    });
    expect(stopped({ authorRate: () => 'time' })).toMatchObject({
      decision: 'ignore',
      reason: 'author_time',
      effects: [],
    });
    for (const taken of ['bytes', 'bytes_scored'] as const)
      expect(stopped({ sourceRate: () => taken })).toMatchObject({
        decision: 'ignore',
        reason: 'relay_bytes',
        effects: [],
      });
    const isStatus = kind === 'node_status';
    expect(stopped({ mayTellStatus: () => false }).reason).toBe(isStatus ? 'status_rate' : 'processed');
  });

  test('count the bytes of a propagation source, but not those of blocks', () => {
    const text = RECORDED[kind][0] ?? '';
    const counted: number[] = [];
    const view: Partial<GuardView> = {
      sourceRate: (_receivedFrom, _author, bytes) => {
        counted.push(bytes);
        return 'ok';
      },
    };
    validate(kind, text, { view });
    expect(counted).toEqual([kind === 'block' ? 0 : Buffer.byteLength(text)]);
  });

  test('tell the author’s rate whether the author itself sent the message', () => {
    const asked: boolean[] = [];
    const view: Partial<GuardView> = {
      authorRate: (_author, _seqno, atFirstHand) => {
        asked.push(atFirstHand);
        return 'ok';
      },
    };
    validate(kind, RECORDED[kind][0] ?? '', { view });
    validate(kind, RECORDED[kind][0] ?? '', { view, author: SOURCE });
    expect(asked).toEqual([false, true]);
  });

  test('ignore replays without penalty; peer-discovery bytes are exempt', () => {
    const view = { isReplay: () => true };
    expect(validate(kind, RECORDED[kind][0] ?? '', { view })).toMatchObject({
      decision: 'ignore',
      reason: 'replay',
      effects: [],
    });
    const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '', dataHex: '' };
    const bytes = Buffer.from(dataHex ?? '', 'hex');
    expect(validate(kind, bytes, { author: from as PeerId, view }).reason).toBe('peer_discovery');
  });

  test('let messages pass that only a policy rule in shadow mode would stop, but not invalid ones', () => {
    const view: Partial<GuardView> = { authorRate: () => 'over_scored', isReplay: () => true };
    const judged = validate(kind, RECORDED[kind][0] ?? '', {
      view,
      shadow: ['author_rate', 'replay', 'author_mismatch'],
    });
    expect(judged).toMatchObject({ decision: 'accept', reason: 'processed' });
    if (kind !== 'rejected_tx') expect(judged.effects[0]).toMatchObject({ type: 'offence', rule: 'author_rate' });
    expect(validate(kind, RECORDED[kind][0] ?? '', { author: SOURCE, shadow: ['author_mismatch'] }).decision).toBe(
      'reject',
    );
  });

  test('ignore a message when our own handler fails, without an exception or a penalty', () => {
    const execute = () => {
      throw new Error('full');
    };
    expect(validate(kind, RECORDED[kind][0] ?? '', { execute })).toMatchObject({
      decision: 'ignore',
      reason: 'handler_failed',
    });
  });
});

test('the recorded listener’s peer ID is that of its key', () => {
  const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '' };
  expect(peerIdFromPublicKey(Buffer.from(dataHex ?? '', 'hex').subarray(2, 38))).toBe(from);
});
