// The rows of the table of guards that are a topic's own: what passes, what does not, and with which verdict.
import { describe, expect, test } from 'vitest';
import { targetFromCompact } from '../../../src/wire/header.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { AUTHOR, changed, penalized, RECORDED, SOURCE, validate } from '../../fakes/validated.ts';
import { dataJson } from '../../support/recorded.ts';

describe('block', () => {
  const real = dataJson<{ header: string; hash: string; height: number }[]>('headers/bsv-886001-886400.json')[0];
  const block = (fields: Record<string, unknown>) =>
    changed('block', { Hash: real?.hash, Header: real?.header, Height: real?.height, ...fields });

  test('publishes a real recent block with its author and attributes it', () => {
    expect(validate('block', block({})).effects).toEqual([
      {
        type: 'attribute_block',
        hash: real?.hash,
        author: AUTHOR,
        receivedFrom: SOURCE,
        dataHubUrl: 'http://127.0.0.1:8090/api/v1',
        height: real?.height,
        headerTime: Buffer.from(real?.header ?? '', 'hex').readUInt32LE(68),
      },
      { type: 'publish_block', hash: real?.hash, dataHubUrl: 'http://127.0.0.1:8090/api/v1', author: AUTHOR },
      {
        type: 'heard',
        peerId: AUTHOR,
        patch: {
          wire: 'go-p2p',
          claimed: { height: real?.height, hash: real?.hash },
          dataHubUrl: 'http://127.0.0.1:8090/api/v1',
        },
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
          receivedFrom: SOURCE,
          header: new Uint8Array(Buffer.from(real?.header ?? '', 'hex')),
        },
      },
    ]);
  });

  test('proves the height of a header on our own chain; withholds blocks of peers other than the sync peer', () => {
    const previous = Buffer.from(Buffer.from(real?.header ?? '', 'hex').subarray(4, 36))
      .reverse()
      .toString('hex');
    const view = { ownHeightOf: (hash: string) => (hash === previous ? (real?.height ?? 0) - 1 : undefined) };
    expect(validate('block', block({}), { view }).effects[2]).toMatchObject({
      patch: { proven: { height: real?.height, hash: real?.hash } },
    });
    const asked: unknown[] = [];
    const shouldForward = (...facts: unknown[]) => {
      asked.push(facts);
      return false;
    };
    const judged = validate('block', block({}), { view: { shouldForward } });
    expect(judged).toMatchObject({ decision: 'accept', reason: 'processed' });
    expect(judged.effects.map(({ type }) => type)).toEqual(['attribute_block', 'withheld', 'heard', 'notify']);
    expect(asked).toEqual([[AUTHOR, real?.height]]);
    const mining = validate('mining_on', RECORDED.mining_on[0] ?? '', { view: { shouldForward } });
    expect(mining.effects.map(({ type }) => type)).toEqual(['heard', 'withheld']);
  });

  test('rejects a hash of another form', () => {
    expect(validate('block', block({ Hash: 'abc' }))).toMatchObject({
      decision: 'reject',
      reason: 'hash_form',
      effects: penalized('block', 'hash_form', 'protocol_violation', AUTHOR),
    });
    expect(validate('block', block({ Hash: real?.hash.toUpperCase() })).effects[0]).toMatchObject({ hash: real?.hash });
  });

  test('rejects a block whose header does not hash to its Hash', () => {
    const other = dataJson<{ hash: string }[]>('headers/bsv-886001-886400.json')[1];
    expect(validate('block', block({ Hash: other?.hash }))).toMatchObject({
      decision: 'reject',
      reason: 'header_mismatch',
      effects: penalized('block', 'header_mismatch', 'protocol_violation', AUTHOR, other?.hash),
    });
  });

  test('requires proof of work at the network’s limit or harder, unless the setting is off', () => {
    const easy = NETWORKS.regtest.genesisHeader;
    const fields = {
      Hash: '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206',
      Header: Buffer.from(easy).toString('hex'),
    };
    expect(validate('block', block(fields))).toMatchObject({
      decision: 'reject',
      reason: 'proof_of_work',
      effects: penalized('block', 'proof_of_work', 'invalid_block', AUTHOR, fields.Hash),
    });
    expect(validate('block', block(fields), { view: { verifiesHeaderPow: false } }).reason).toBe('processed');
    expect(validate('block', block(fields), { view: { powLimitBits: NETWORKS.regtest.powLimitBits } }).reason).toBe(
      'processed',
    );
  });

  test('passes a block without a header as unproven, unless the setting requires one', () => {
    expect(validate('block', block({ Header: '' }))).toMatchObject({ decision: 'accept', reason: 'processed' });
    expect(validate('block', block({ Header: '' }), { view: { requiresHeader: true } })).toMatchObject({
      decision: 'reject',
      reason: 'header_missing',
    });
  });

  test('requires the right height of our own blocks and of their children', () => {
    const parent = dataJson<{ hash: string }[]>('headers/bsv-886001-886400.json');
    const next = dataJson<{ header: string; hash: string; height: number }[]>('headers/bsv-886001-886400.json')[1];
    const announced = (Height: number) => block({ Hash: next?.hash, Header: next?.header, Height });
    const height = next?.height ?? 0;
    const childOf = { ownHeightOf: (hash: string) => (hash === parent[0]?.hash ? height - 1 : undefined) };
    const ours = { ownHeightOf: (hash: string) => (hash === next?.hash ? height : undefined) };
    for (const view of [childOf, ours]) {
      expect(validate('block', announced(height), { view }).reason).toBe('processed');
      for (const wrong of [height + 1, height - 1, 0, 4_294_967_295]) {
        expect(validate('block', announced(wrong), { view })).toMatchObject({
          decision: 'reject',
          reason: 'height_implausible',
          effects: penalized('block', 'height_implausible', 'protocol_violation', AUTHOR, next?.hash),
        });
      }
    }
    expect(validate('block', announced(4_294_967_295)).reason).toBe('processed');
  });

  test('ignores a header far easier than our recent tip, without penalty', () => {
    const target = targetFromCompact(Buffer.from(real?.header ?? '', 'hex').readUInt32LE(72)) ?? 0n;
    for (const easiest of [target, target * 16n])
      expect(validate('block', block({}), { view: { easiestTarget: () => easiest } }).reason).toBe('processed');
    expect(validate('block', block({}), { view: { easiestTarget: () => target - 1n } })).toMatchObject({
      decision: 'ignore',
      reason: 'work_implausible',
      effects: [],
    });
    const early = {
      Hash: '00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048',
      Height: 1,
      Header: JSON.parse(RECORDED.block[0] ?? '').Header,
    };
    const view = { easiestTarget: () => target * 16n };
    expect(validate('block', block(early), { view }).reason).toBe('work_implausible');
    expect(validate('block', block(early), { view, shadow: ['work_implausible'] }).reason).toBe('processed');
  });

  test('ignores a block whose DataHub URL is not allowed', () => {
    const view = { dataHubUrlFault: (url: string) => (url.startsWith('ftp:') ? ('form' as const) : undefined) };
    expect(validate('block', block({ DataHubURL: 'ftp://a.example' }), { view })).toMatchObject({
      decision: 'ignore',
      reason: 'datahub_url',
      effects: [],
    });
    expect(validate('block', block({}), { view }).reason).toBe('processed');
  });

  test('ignores the same hash from the same author', () => {
    const view = { blockAnnouncedBy: (hash: string, author: string) => hash === real?.hash && author === AUTHOR };
    expect(validate('block', block({}), { view })).toMatchObject({
      decision: 'ignore',
      reason: 'duplicate',
      effects: [],
    });
  });
});

describe('mining-on', () => {
  const { Hash: hash, PreviousHash: previous, Height: height } = JSON.parse(RECORDED.mining_on[0] ?? '');
  const mining = (fields: Record<string, unknown>) => changed('mining_on', fields);

  test('requires the right height of a mining-on at our own tip and at its child', () => {
    const childOf = { ownHeightOf: (of: string) => (of === previous ? height - 1 : undefined) };
    const ours = { ownHeightOf: (of: string) => (of === hash ? height : undefined) };
    const both = { ownHeightOf: (of: string) => (of === hash ? height : of === previous ? height + 7 : undefined) };
    for (const view of [childOf, ours, both]) {
      expect(validate('mining_on', mining({}), { view }).reason).toBe('processed');
      for (const Height of [height + 1, height - 1, 0, 4_000_000_000]) {
        expect(validate('mining_on', mining({ Height }), { view })).toMatchObject({
          decision: 'reject',
          reason: 'height_implausible',
          effects: penalized('mining_on', 'height_implausible', 'protocol_violation', AUTHOR, hash),
        });
      }
    }
    expect(validate('mining_on', mining({ Height: 4_000_000_000 })).reason).toBe('processed');
    const view = childOf;
    expect(validate('mining_on', mining({ Height: 4_000_000_000, PreviousHash: '' }), { view }).reason).toBe(
      'processed',
    );
  });

  test('ignores a mining-on whose DataHub URL is not allowed, and accepts one without a URL', () => {
    const view = { dataHubUrlFault: (url: string) => (url.startsWith('http:') ? undefined : ('form' as const)) };
    expect(validate('mining_on', mining({ DataHubURL: 'ftp://a.example' }), { view })).toMatchObject({
      decision: 'ignore',
      reason: 'datahub_url',
      effects: [],
    });
    for (const fields of [{}, { DataHubURL: '' }])
      expect(validate('mining_on', mining(fields), { view }).reason).toBe('processed');
  });
});

describe('best block', () => {
  test('requires the right height of a best block on our own chain; a request has none', () => {
    const [Hash, height] = ['ab'.repeat(32), 886_001];
    const view = { ownHeightOf: (of: string) => (of === Hash ? height : undefined) };
    const announced = (Height: number, of = Hash) => JSON.stringify({ Height, Hash: of });
    expect(validate('best_block', announced(height), { view }).reason).toBe('processed');
    expect(validate('best_block', announced(4_000_000_000, 'cd'.repeat(32)), { view }).reason).toBe('processed');
    expect(validate('best_block', announced(4_000_000_000), { view })).toMatchObject({
      decision: 'reject',
      reason: 'height_implausible',
      effects: penalized('best_block', 'height_implausible', 'protocol_violation', AUTHOR, Hash),
    });
    expect(validate('best_block', RECORDED.best_block[0], { view }).reason).toBe('processed');
  });
});

describe('subtree', () => {
  test('publishes a subtree with its author and attributes it; ignores it when repeated', () => {
    const { Hash: hash } = JSON.parse(RECORDED.subtree[0] ?? '');
    expect(validate('subtree', RECORDED.subtree[0] ?? '').effects).toEqual([
      {
        type: 'attribute_subtree',
        hash,
        author: AUTHOR,
        receivedFrom: SOURCE,
        dataHubUrl: 'http://127.0.0.1:8090/api/v1',
      },
      { type: 'publish_subtree', hash, dataHubUrl: 'http://127.0.0.1:8090/api/v1', author: AUTHOR },
      { type: 'heard', peerId: AUTHOR, patch: { wire: 'go-p2p', dataHubUrl: 'http://127.0.0.1:8090/api/v1' } },
      {
        type: 'notify',
        notification: {
          ...{ type: 'subtree', isOwn: false, hash, baseUrl: 'http://127.0.0.1:8090/api/v1' },
          ...{ peerId: AUTHOR, receivedFrom: SOURCE },
        },
      },
    ]);
    expect(validate('subtree', RECORDED.subtree[0] ?? '', { view: { subtreeAnnouncedBy: () => true } })).toMatchObject({
      reason: 'duplicate',
    });
    expect(validate('subtree', changed('subtree', { Hash: 'x' }))).toMatchObject({
      decision: 'reject',
      reason: 'hash_form',
    });
  });
});
