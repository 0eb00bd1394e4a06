// The rows of the table of guards that are a topic's own: what passes, what does not, and with which verdict.
import { describe, expect, test } from 'vitest';
import { targetFromCompact } from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { AUTHOR, changed, charged, judge, RECORDED, RELAY } from '../../fakes/judged.ts';
import { dataJson } from '../../support/recorded.ts';

describe('block', () => {
  const real = dataJson<{ header: string; hash: string; height: number }[]>('headers/bsv-886001-886400.json')[0];
  const block = (fields: Record<string, unknown>) =>
    changed('block', { Hash: real?.hash, Header: real?.header, Height: real?.height, ...fields });

  test('a real recent one is handed on with its author, and attributed', () => {
    expect(judge('block', block({})).effects).toEqual([
      {
        type: 'attribute_block',
        hash: real?.hash,
        author: AUTHOR,
        relay: RELAY,
        dataHubUrl: 'http://127.0.0.1:8090/api/v1',
      },
      { type: 'publish_block', hash: real?.hash, dataHubUrl: 'http://127.0.0.1:8090/api/v1', author: AUTHOR },
      {
        type: 'heard',
        peerId: AUTHOR,
        patch: { claimed: { height: real?.height, hash: real?.hash }, dataHubUrl: 'http://127.0.0.1:8090/api/v1' },
      },
      {
        type: 'notify',
        notification: {
          type: 'block',
          isOwn: false,
          hash: real?.hash,
          height: real?.height,
          baseUrl: 'http://127.0.0.1:8090/api/v1',
          peerId: AUTHOR,
        },
      },
    ]);
  });

  test('a header on our own chain proves the height; what is of another peer than the sync peer is not handed on', () => {
    const previous = Buffer.from(Buffer.from(real?.header ?? '', 'hex').subarray(4, 36))
      .reverse()
      .toString('hex');
    const view = { ownHeightOf: (hash: string) => (hash === previous ? (real?.height ?? 0) - 1 : undefined) };
    expect(judge('block', block({}), { view }).effects[2]).toMatchObject({
      patch: { proven: { height: real?.height, hash: real?.hash } },
    });
    const asked: unknown[] = [];
    const handsOn = (...facts: unknown[]) => {
      asked.push(facts);
      return false;
    };
    const judged = judge('block', block({}), { view: { handsOn } });
    expect(judged).toMatchObject({ relay: 'accept', reason: 'processed' });
    expect(judged.effects.map(({ type }) => type)).toEqual(['attribute_block', 'not_handed_on', 'heard', 'notify']);
    expect(asked).toEqual([[AUTHOR, real?.height]]);
    const mining = judge('mining_on', RECORDED.mining_on[0] ?? '', { view: { handsOn } });
    expect(mining.effects.map(({ type }) => type)).toEqual(['heard', 'not_handed_on']);
  });

  test('hash form', () => {
    expect(judge('block', block({ Hash: 'abc' }))).toMatchObject({
      relay: 'reject',
      reason: 'hash_form',
      effects: charged('block', 'hash_form', 'protocol_violation', AUTHOR),
    });
    expect(judge('block', block({ Hash: real?.hash.toUpperCase() })).effects[0]).toMatchObject({ hash: real?.hash });
  });

  test('header and hash must agree', () => {
    const other = dataJson<{ hash: string }[]>('headers/bsv-886001-886400.json')[1];
    expect(judge('block', block({ Hash: other?.hash }))).toMatchObject({
      relay: 'reject',
      reason: 'header_mismatch',
      effects: charged('block', 'header_mismatch', 'protocol_violation', AUTHOR, other?.hash),
    });
  });

  test('proof of work: of the network’s limit or harder, unless the setting is off', () => {
    const easy = NETWORKS.regtest.genesisHeader;
    const fields = {
      Hash: '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206',
      Header: Buffer.from(easy).toString('hex'),
    };
    expect(judge('block', block(fields))).toMatchObject({
      relay: 'reject',
      reason: 'proof_of_work',
      effects: charged('block', 'proof_of_work', 'invalid_block', AUTHOR, fields.Hash),
    });
    expect(judge('block', block(fields), { view: { verifiesHeaderPow: false } }).reason).toBe('processed');
    expect(judge('block', block(fields), { view: { powLimitBits: NETWORKS.regtest.powLimitBits } }).reason).toBe(
      'processed',
    );
  });

  test('a missing header passes as unproven, unless the setting asks for one', () => {
    expect(judge('block', block({ Header: '' }))).toMatchObject({ relay: 'accept', reason: 'processed' });
    expect(judge('block', block({ Header: '' }), { view: { requiresHeader: true } })).toMatchObject({
      relay: 'reject',
      reason: 'header_missing',
    });
  });

  test('height: a child of a header of ours is one higher, and our own block is as high as it is', () => {
    const parent = dataJson<{ hash: string }[]>('headers/bsv-886001-886400.json');
    const next = dataJson<{ header: string; hash: string; height: number }[]>('headers/bsv-886001-886400.json')[1];
    const announced = (Height: number) => block({ Hash: next?.hash, Header: next?.header, Height });
    const height = next?.height ?? 0;
    const childOf = { ownHeightOf: (hash: string) => (hash === parent[0]?.hash ? height - 1 : undefined) };
    const ours = { ownHeightOf: (hash: string) => (hash === next?.hash ? height : undefined) };
    for (const view of [childOf, ours]) {
      expect(judge('block', announced(height), { view }).reason).toBe('processed');
      for (const wrong of [height + 1, height - 1, 0, 4_294_967_295]) {
        expect(judge('block', announced(wrong), { view })).toMatchObject({
          relay: 'reject',
          reason: 'height_implausible',
          effects: charged('block', 'height_implausible', 'protocol_violation', AUTHOR, next?.hash),
        });
      }
    }
    expect(judge('block', announced(4_294_967_295)).reason).toBe('processed');
  });

  test('work: a header far easier than our recent tip is neither relayed nor handed on, and charges nobody', () => {
    const target = targetFromCompact(Buffer.from(real?.header ?? '', 'hex').readUInt32LE(72)) ?? 0n;
    for (const easiest of [target, target * 16n])
      expect(judge('block', block({}), { view: { easiestTarget: () => easiest } }).reason).toBe('processed');
    expect(judge('block', block({}), { view: { easiestTarget: () => target - 1n } })).toMatchObject({
      relay: 'ignore',
      reason: 'work_implausible',
      effects: [],
    });
    const early = {
      Hash: '00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048',
      Height: 1,
      Header: JSON.parse(RECORDED.block[0] ?? '').Header,
    };
    const view = { easiestTarget: () => target * 16n };
    expect(judge('block', block(early), { view }).reason).toBe('work_implausible');
    expect(judge('block', block(early), { view, shadow: ['work_implausible'] }).reason).toBe('processed');
  });

  test('DataHub URL: what cannot be used is not passed on', () => {
    const view = { dataHubUrlFault: (url: string) => (url.startsWith('ftp:') ? ('form' as const) : undefined) };
    expect(judge('block', block({ DataHubURL: 'ftp://a.example' }), { view })).toMatchObject({
      relay: 'ignore',
      reason: 'datahub_url',
      effects: [],
    });
    expect(judge('block', block({}), { view }).reason).toBe('processed');
  });

  test('the same hash from the same author is ignored', () => {
    const view = { blockAnnouncedBy: (hash: string, author: string) => hash === real?.hash && author === AUTHOR };
    expect(judge('block', block({}), { view })).toMatchObject({ relay: 'ignore', reason: 'duplicate', effects: [] });
  });
});

describe('mining-on', () => {
  const { Hash: hash, PreviousHash: previous, Height: height } = JSON.parse(RECORDED.mining_on[0] ?? '');
  const mining = (fields: Record<string, unknown>) => changed('mining_on', fields);

  test('height of a mining-on: a child of a header of ours is one higher, and our own tip is as high as it is', () => {
    const childOf = { ownHeightOf: (of: string) => (of === previous ? height - 1 : undefined) };
    const ours = { ownHeightOf: (of: string) => (of === hash ? height : undefined) };
    const both = { ownHeightOf: (of: string) => (of === hash ? height : of === previous ? height + 7 : undefined) };
    for (const view of [childOf, ours, both]) {
      expect(judge('mining_on', mining({}), { view }).reason).toBe('processed');
      for (const Height of [height + 1, height - 1, 0, 4_000_000_000]) {
        expect(judge('mining_on', mining({ Height }), { view })).toMatchObject({
          relay: 'reject',
          reason: 'height_implausible',
          effects: charged('mining_on', 'height_implausible', 'protocol_violation', AUTHOR, hash),
        });
      }
    }
    expect(judge('mining_on', mining({ Height: 4_000_000_000 })).reason).toBe('processed');
    const view = childOf;
    expect(judge('mining_on', mining({ Height: 4_000_000_000, PreviousHash: '' }), { view }).reason).toBe('processed');
  });

  test('DataHub URL of a mining-on: what cannot be used is neither relayed nor told; none may be named', () => {
    const view = { dataHubUrlFault: (url: string) => (url.startsWith('http:') ? undefined : ('form' as const)) };
    expect(judge('mining_on', mining({ DataHubURL: 'ftp://a.example' }), { view })).toMatchObject({
      relay: 'ignore',
      reason: 'datahub_url',
      effects: [],
    });
    for (const fields of [{}, { DataHubURL: '' }])
      expect(judge('mining_on', mining(fields), { view }).reason).toBe('processed');
  });
});

describe('best block', () => {
  test('height of a best block: a header of ours is as high as it is; a request has none', () => {
    const [Hash, height] = ['ab'.repeat(32), 886_001];
    const view = { ownHeightOf: (of: string) => (of === Hash ? height : undefined) };
    const announced = (Height: number, of = Hash) => JSON.stringify({ Height, Hash: of });
    expect(judge('best_block', announced(height), { view }).reason).toBe('processed');
    expect(judge('best_block', announced(4_000_000_000, 'cd'.repeat(32)), { view }).reason).toBe('processed');
    expect(judge('best_block', announced(4_000_000_000), { view })).toMatchObject({
      relay: 'reject',
      reason: 'height_implausible',
      effects: charged('best_block', 'height_implausible', 'protocol_violation', AUTHOR, Hash),
    });
    expect(judge('best_block', RECORDED.best_block[0], { view }).reason).toBe('processed');
  });
});

describe('subtree', () => {
  test('is handed on with its author, and attributed; repeated, it is ignored', () => {
    const { Hash: hash } = JSON.parse(RECORDED.subtree[0] ?? '');
    expect(judge('subtree', RECORDED.subtree[0] ?? '').effects).toEqual([
      { type: 'attribute_subtree', hash, author: AUTHOR, relay: RELAY, dataHubUrl: 'http://127.0.0.1:8090/api/v1' },
      { type: 'publish_subtree', hash, dataHubUrl: 'http://127.0.0.1:8090/api/v1', author: AUTHOR },
      { type: 'heard', peerId: AUTHOR, patch: { dataHubUrl: 'http://127.0.0.1:8090/api/v1' } },
      {
        type: 'notify',
        notification: { type: 'subtree', isOwn: false, hash, baseUrl: 'http://127.0.0.1:8090/api/v1', peerId: AUTHOR },
      },
    ]);
    expect(judge('subtree', RECORDED.subtree[0] ?? '', { view: { subtreeAnnouncedBy: () => true } })).toMatchObject({
      reason: 'duplicate',
    });
    expect(judge('subtree', changed('subtree', { Hash: 'x' }))).toMatchObject({ relay: 'reject', reason: 'hash_form' });
  });
});
