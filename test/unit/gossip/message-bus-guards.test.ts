// The rows of the table of validators that hold on message-bus only, or differ there.
import { describe, expect, test } from 'vitest';
import type { PeerId } from '../../../src/domain/ids.ts';
import type { GuardView } from '../../../src/gossip/guards.ts';
import { dataHubUrlCheck } from '../../../src/peers/datahub/datahub-url.ts';
import { GO_P2P, MESSAGE_BUS, type TopicKind } from '../../../src/wire/format.ts';
import { AUTHOR, OWN, penalized, SOURCE, validate } from '../../fakes/validated.ts';
import { dataJson, recordedFile } from '../../support/recorded.ts';

type BusKind = 'block' | 'subtree' | 'rejected_tx' | 'node_status';
const KINDS = ['block', 'subtree', 'rejected_tx', 'node_status'] as const satisfies readonly TopicKind[];

/** As they were recorded, without their envelopes. */
const RECORDED = Object.fromEntries(
  KINDS.map((kind) => [
    kind,
    dataJson<{ messages: { payload_text: string }[] }>(`today/${kind}.json`).messages[0]?.payload_text ?? '',
  ]),
) as { readonly [K in BusKind]: string };

const URL = 'http://hub.example/api/v1';
const PUBLIC: Partial<GuardView> = {
  dataHubUrlFault: dataHubUrlCheck({ allowsPrivate: false, blacklist: ['bad.example'] }),
};

/** A recorded message in its envelope, with other fields. */
function enveloped(kind: BusKind, fields: Record<string, unknown> = {}): string {
  const inner = { ...JSON.parse(RECORDED[kind]), ...urlOf(kind), ...idOf(kind), ...fields };
  return JSON.stringify({ name: 'x', data: Buffer.from(JSON.stringify(inner)).toString('base64') });
}

function urlOf(kind: BusKind) {
  if (kind === 'rejected_tx') return {};
  return kind === 'node_status' ? { base_url: URL } : { DataHubURL: URL };
}

function idOf(kind: BusKind, peerId: string = AUTHOR) {
  return kind === 'node_status' ? { peer_id: peerId } : { PeerID: peerId };
}

function onBus(kind: BusKind, fields: Record<string, unknown> = {}, view: Partial<GuardView> = {}) {
  return validate(kind, enveloped(kind, fields), { wire: MESSAGE_BUS, view: { ...PUBLIC, ...view } });
}

const notification = (kind: BusKind, fields: Record<string, unknown>, view: Partial<GuardView> = {}) => {
  const effect = onBus(kind, fields, view).effects.find(({ type }) => type === 'notify');
  return effect?.type === 'notify' ? effect.notification : undefined;
};

const patch = (kind: BusKind, fields: Record<string, unknown>, view: Partial<GuardView> = {}) => {
  const effect = onBus(kind, fields, view).effects.find(({ type }) => type === 'heard');
  return effect?.type === 'heard' ? effect.patch : undefined;
};

describe.each(KINDS)('on message-bus, %s', (kind) => {
  test('in either form is processed', () => {
    expect(onBus(kind).reason).toBe('processed');
    const plain = Buffer.from(JSON.parse(enveloped(kind)).data, 'base64');
    expect(validate(kind, plain, { wire: MESSAGE_BUS, view: PUBLIC }).reason).toBe('processed');
  });

  test('is ignored without penalty when it is not JSON, outside or inside the envelope', () => {
    const inside = JSON.stringify({ name: 'x', data: Buffer.from('nothing').toString('base64') });
    for (const text of ['nothing', inside, '{"name":"x","data":""}'])
      expect(validate(kind, text, { wire: MESSAGE_BUS })).toMatchObject({ reason: 'not_json', effects: [] });
  });

  test('is never forwarded when it is an envelope that its receivers mute the author for', () => {
    for (const text of ['{"name":5,"data":"e30="}', '{"name":"x","data":"***"}', '[]'])
      expect(validate(kind, text, { wire: MESSAGE_BUS })).toMatchObject({
        decision: expect.stringMatching(/ignore|reject/),
        effects: [],
      });
  });

  test('is not forwarded when it is peer discovery, which costs nobody points', () => {
    const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '', dataHex: '' };
    const bytes = Buffer.from(dataHex ?? '', 'hex');
    expect(validate(kind, bytes, { wire: MESSAGE_BUS, author: from as PeerId })).toMatchObject({
      decision: 'ignore',
      reason: 'peer_discovery',
      effects: [],
    });
  });

  test('with the PeerID of another peer costs points, with a text that is no peer ID none', () => {
    expect(onBus(kind, idOf(kind, SOURCE))).toMatchObject({
      decision: 'reject',
      effects: [{ type: 'offence', author: AUTHOR, reason: 'protocol_violation', rule: 'author_mismatch' }],
    });
    for (const peerId of ['', 'me', 'x'.repeat(128), `${AUTHOR} `])
      expect(onBus(kind, idOf(kind, peerId))).toMatchObject({ reason: 'peer_id_form', effects: [] });
    expect(onBus(kind, idOf(kind, 'x'.repeat(129)))).toMatchObject({ reason: 'decode', effects: [] });
  });

  test('over its size is rejected without points', () => {
    const caps = { block: 10, subtree: 8, rejected_tx: 8, node_status: 10 };
    expect(onBus(kind, { Padding: 'p'.repeat(caps[kind] * 1024) })).toMatchObject({
      decision: 'reject',
      reason: expect.stringMatching(/size|decode/),
      effects: [],
    });
  });
});

describe.each(['block', 'subtree'] as const)('the hash of a %s', (kind) => {
  const name = (fields: Record<string, unknown>) => onBus(kind, { Header: '', ...fields });
  const hashOf = (fields: Record<string, unknown>) => {
    const [first] = name(fields).effects;
    return first !== undefined && 'hash' in first ? first.hash : undefined;
  };

  test('may have any case and fewer digits on message-bus, where zeros fill it up', () => {
    expect(hashOf({ Hash: 'AB'.repeat(32) })).toBe('ab'.repeat(32));
    expect(hashOf({ Hash: 'c'.repeat(63) })).toBe(`0${'c'.repeat(63)}`);
    expect(hashOf({ Hash: '1' })).toBe('1'.padStart(64, '0'));
  });

  test.each([['zz'], ['a'.repeat(65)], ['0x12'], [' 12']])('is refused without points when it is "%s"', (Hash) => {
    expect(name({ Hash })).toMatchObject({ decision: 'reject', reason: 'hash_form', effects: [] });
  });

  test('is refused without points when it is empty', () => {
    expect(name({ Hash: '' })).toMatchObject({ decision: 'reject', reason: 'decode', effects: [] });
  });

  test('stays strict on go-p2p', () => {
    const text = enveloped(kind, { Header: '', Hash: 'c'.repeat(63) });
    expect(validate(kind, text, { wire: GO_P2P })).toMatchObject({
      reason: 'hash_form',
      effects: penalized(kind, 'hash_form', 'protocol_violation', AUTHOR),
    });
  });
});

describe.each(['block', 'subtree', 'node_status'] as const)('the DataHub URL of a %s on message-bus', (kind) => {
  const withUrl = (url: string) => onBus(kind, kind === 'node_status' ? { base_url: url } : { DataHubURL: url });

  test.each([
    ['javascript:alert(1)'],
    ['ftp://hub.example'],
    ['http://'],
    ['/api/v1'],
    ['hub.example'],
    ['file:///etc/passwd'],
  ])('is an offence when it leads nowhere by http: %s', (url) => {
    expect(withUrl(url)).toMatchObject({
      decision: 'ignore',
      reason: 'datahub_url',
      effects: [{ type: 'offence', author: AUTHOR, reason: 'protocol_violation', rule: 'datahub_url' }],
    });
  });

  test.each([
    ['http://127.0.0.1:8090/api/v1'],
    ['http://localhost:8090'],
    ['http://node.localhost'],
    ['https://10.1.2.3'],
    ['https://[::1]/'],
    ['http://169.254.1.1'],
    ['http://0.0.0.0'],
    ['http://user:secret@hub.example'],
    ['http://hub.example/a b'],
    ['http://hub.example/\u0007'],
    ['http://hub.example/\ufffd'],
    ['http://hub.example/\u202emoc'],
    ['http://hub.example/a\u200b'],
    ['http://hub.example/api?x='],
    ['http://hub.example/api#'],
    ['http://hub.example/api/../v2'],
    ['http://hub.example/api/%2E%2e'],
    ['http://hub.example/api/..%2fv2'],
    ['http://hub.example\\api'],
  ])('is refused without points when it is private, ambiguous, not printable or cannot be appended to: %s', (url) => {
    expect(withUrl(url)).toMatchObject({ decision: 'ignore', reason: 'datahub_url', effects: [] });
  });

  test('is refused without points when it is longer than 2048 characters', () => {
    expect(withUrl(`http://hub.example/${'x'.repeat(2029)}`).reason).toBe('processed');
    expect(withUrl(`http://hub.example/${'x'.repeat(2030)}`)).toMatchObject({ reason: 'decode', effects: [] });
  });

  test('may be private where that is allowed', () => {
    const dataHubUrlFault = dataHubUrlCheck({ allowsPrivate: true, blacklist: [] });
    const fields = { [kind === 'node_status' ? 'base_url' : 'DataHubURL']: 'http://127.0.0.1:8090/api/v1' };
    expect(onBus(kind, fields, { dataHubUrlFault }).reason).toBe('processed');
  });

  test('may be empty in a node status only, and be blacklisted in one, which loses it', () => {
    const isStatus = kind === 'node_status';
    expect(withUrl('')).toMatchObject(isStatus ? { reason: 'processed' } : { reason: 'datahub_url', effects: [] });
    const blacklisted = withUrl('http://bad.example/api/v1');
    if (!isStatus) expect(blacklisted).toMatchObject({ decision: 'ignore', reason: 'datahub_url', effects: [] });
    else
      expect(blacklisted.effects).toMatchObject([
        { type: 'heard', patch: { dataHubUrl: undefined } },
        { type: 'notify', notification: { baseUrl: '' } },
        { type: 'url_omitted', topic: 'node_status' },
      ]);
  });
});

describe('a block on message-bus', () => {
  const real = dataJson<{ header: string; hash: string; height: number }[]>('headers/bsv-886001-886400.json');
  const [first, second] = real;
  const fields = { Hash: first?.hash, Header: first?.header, Height: first?.height };

  test('needs a header that hashes to its Hash, as on go-p2p, but a wrong one costs no points', () => {
    expect(onBus('block', fields).reason).toBe('processed');
    expect(onBus('block', { ...fields, Hash: second?.hash })).toMatchObject({
      decision: 'reject',
      reason: 'header_mismatch',
      effects: [],
    });
    for (const Header of ['ab', '00'.repeat(81), 'zz'.repeat(80)])
      expect(onBus('block', { ...fields, Header })).toMatchObject({ reason: 'decode', effects: [] });
  });

  test('needs proof of work, whose lack costs points', () => {
    expect(onBus('block', fields, { powLimitBits: 0x03000001 })).toMatchObject({
      reason: 'proof_of_work',
      effects: [{ type: 'offence', reason: 'invalid_block' }],
    });
  });

  test('may lack its header unless the setting requires it', () => {
    expect(onBus('block', { ...fields, Header: '' }).reason).toBe('processed');
    expect(onBus('block', { ...fields, Header: '' }, { requiresHeader: true })).toMatchObject({
      reason: 'header_missing',
      effects: [],
    });
  });

  test('of our own chain with another height is rejected without points', () => {
    const view = { ownHeightOf: (hash: string) => (hash === first?.hash ? 7 : undefined) };
    expect(onBus('block', fields, view)).toMatchObject({ reason: 'height_implausible', effects: [] });
  });

  test('is notified and registered with the author’s name, cut to what is safe to show', () => {
    const ClientName = `<b>"Nœud"&'\`\n${'x'.repeat(70)}`;
    const clientName = `bNud${'x'.repeat(60)}`;
    expect(notification('block', { ...fields, ClientName })).toMatchObject({ clientName, height: first?.height });
    expect(patch('block', { ...fields, ClientName })).toMatchObject({ clientName, wire: 'message-bus' });
    expect(notification('subtree', { ClientName })).toMatchObject({ clientName });
    expect(notification('subtree', { ClientName: 'é' })).not.toHaveProperty('clientName');
  });
});

test.each(['block', 'subtree', 'node_status'] as const)(
  'an envelope with a %s on a topic of go-p2p is processed by the rules of go-p2p, with its name cut',
  (kind) => {
    const name = kind === 'node_status' ? 'client_name' : 'ClientName';
    const { reason, effects } = validate(kind, enveloped(kind, { [name]: '<b>é', Header: '' }), { wire: GO_P2P });
    expect(reason).toBe('processed');
    expect(effects.at(-1)).toMatchObject({ type: 'notify', notification: { clientName: 'b' } });
    expect(effects.at(-2)).toMatchObject({ type: 'heard', patch: { clientName: 'b', wire: 'go-p2p' } });
  },
);

describe('an announcement that its author made on another wire before', () => {
  test.each(['block', 'subtree'] as const)('of a %s is forwarded once, not processed, and still checked', (kind) => {
    let asked = 0;
    const passed: unknown[] = [];
    const view: Partial<GuardView> = {
      blockAnnouncedBy: () => true,
      subtreeAnnouncedBy: () => true,
      isFirstOnWire: () => {
        asked += 1;
        return asked === 1;
      },
      passed: (envelope) => void passed.push(envelope),
    };
    expect(onBus(kind, { Header: '' }, view)).toMatchObject({ decision: 'accept', reason: 'other_wire', effects: [] });
    expect(passed).toHaveLength(1);
    expect(onBus(kind, { Header: '' }, view)).toMatchObject({ decision: 'ignore', reason: 'duplicate' });
    asked = 0;
    expect(onBus(kind, { DataHubURL: '' }, view)).not.toMatchObject({ decision: 'accept' });
  });
});

describe('an author with a low reputation that is connected', () => {
  const view: Partial<GuardView> = { isLowReputation: (author) => author === AUTHOR };

  test.each(['subtree', 'node_status'] as const)('has each %s forwarded, and not processed', (kind) => {
    const passed: unknown[] = [];
    const result = onBus(kind, {}, { ...view, passed: (envelope) => void passed.push(envelope) });
    expect(result).toMatchObject({ decision: 'accept', reason: 'low_reputation', effects: [] });
    expect(passed).toHaveLength(1);
  });

  test.each(['block', 'rejected_tx'] as const)('has each %s processed', (kind) => {
    expect(onBus(kind, {}, view).reason).toBe('processed');
  });

  test('is still penalized for a bad URL, and processed on go-p2p and in shadow mode', () => {
    expect(onBus('subtree', { DataHubURL: 'ftp://x' }, view).reason).toBe('datahub_url');
    expect(validate('subtree', enveloped('subtree'), { wire: GO_P2P, view }).reason).toBe('processed');
    const shadow = { wire: MESSAGE_BUS, view, shadow: ['low_reputation'] };
    expect(validate('subtree', enveloped('subtree'), shadow).reason).toBe('processed');
  });
});

describe('the reason of a rejected transaction on message-bus', () => {
  const reasonOf = (Reason: string) => {
    const told = notification('rejected_tx', { Reason });
    return told?.type === 'rejected_tx' ? told.reason : undefined;
  };

  test.each([
    ['x'.repeat(1024), 'x'.repeat(1024)],
    ['x'.repeat(5000), 'x'.repeat(1024)],
    [`${'x'.repeat(1023)}é`, 'x'.repeat(1023)],
    [`${'x'.repeat(1022)}é`, `${'x'.repeat(1022)}é`],
    ['語'.repeat(500), '語'.repeat(341)],
    [`x${'🤖'.repeat(300)}`, `x${'🤖'.repeat(255)}`],
  ])('is cut to 1024 bytes of whole characters (case %#)', (reason, expected) => {
    expect(reasonOf(reason)).toBe(expected);
  });
});

describe('a node status on message-bus', () => {
  const HASH = 'cd'.repeat(32);

  test('claims its tip with a height cut to what counts, and shows the height that it was sent with', () => {
    const view = { countedHeight: (height: number) => Math.min(height, 10_007) };
    const fields = { best_height: 4_000_000_000, best_block_hash: HASH };
    expect(patch('node_status', fields, view)).toMatchObject({ claimed: { height: 10_007, hash: HASH } });
    expect(notification('node_status', fields, view)).toMatchObject({ bestHeight: 4_000_000_000 });
    expect(patch('node_status', { ...fields, best_height: 5 }, view)).toMatchObject({ claimed: { height: 5 } });
  });

  test.each([['zz'], ['a'.repeat(65)], ['x'.repeat(2000)], [''], [null]])(
    'is processed without a tip when its best hash is none (case %#)',
    (best_block_hash) => {
      const fields = { best_height: 9, best_block_hash };
      expect(onBus('node_status', fields).reason).toBe('processed');
      expect(patch('node_status', fields)).not.toHaveProperty('claimed');
    },
  );

  test.each([
    ['chain_work', 'z'.repeat(64), { chainWork: '' }],
    ['chain_work', 'a'.repeat(65), { chainWork: '' }],
    ['chain_work', 'F00D', { chainWork: 'F00D' }],
    ['sync_peer_block_hash', 'zz', { syncPeerBlockHash: '' }],
    ['sync_peer_block_hash', 'a'.repeat(65), { syncPeerBlockHash: '' }],
    ['listen_mode', 'loud', { listenMode: '' }],
    ['listen_mode', 'silent', { listenMode: 'silent' }],
    ['version', `v1\u001b[31m${'9'.repeat(3000)}`, { version: `v1[31m${'9'.repeat(58)}` }],
    ['commit_hash', '<script>', { commitHash: 'script' }],
    ['miner_name', '/矿池/', { minerName: '//' }],
    ['fsm_state', "RUNNING'", { fsmState: 'RUNNING' }],
    ['client_name', 'x'.repeat(65), { clientName: 'x'.repeat(64) }],
    ['sync_peer_id', `${AUTHOR}<`, { syncPeerId: AUTHOR }],
  ])('shows %s only as far as it is safe and known', (field, value, shown) => {
    expect(notification('node_status', { [field]: value })).toMatchObject(shown);
  });

  test.each([['half'], [''], ['FULL']])('has no storage when it says "%s"', (storage) => {
    expect(notification('node_status', { storage })).not.toHaveProperty('storage');
    expect(patch('node_status', { storage })).toMatchObject({ storage: undefined });
  });

  test.each([
    ['http://10.0.0.1/tx', true],
    ['https://bad.example/tx', true],
    ['javascript:alert(1)', false],
    ['', false],
  ])('keeps its propagation URL only if it is http or https: "%s"', (propagation_url, isKept) => {
    const propagationUrl = isKept ? propagation_url : undefined;
    expect(patch('node_status', { propagation_url })).toMatchObject({ propagationUrl });
    expect(notification('node_status', { propagation_url })?.type).toBe('node_status');
    if (isKept) expect(notification('node_status', { propagation_url })).toMatchObject({ propagationUrl });
    else expect(notification('node_status', { propagation_url })).not.toHaveProperty('propagationUrl');
  });

  test('tells the registry and subscribers of the newer fields', () => {
    const fields = {
      storage: 'full',
      propagation_url: 'https://tx.example',
      min_mining_tx_fee: 0,
      fee_policy: {
        miningFee: { satoshis: 1, bytes: 1000 },
        maxscriptsizepolicy: 500_000,
        maxtxsizepolicy: 10_485_760,
        maxtxsigopscountspolicy: 0,
      },
      tx_count: 12,
      subtree_count: 3,
      connected_peers_count: 9,
    };
    const facts = {
      storage: 'full',
      propagationUrl: 'https://tx.example',
      minMiningTxFee: 0,
      feePolicy: { miningFee: { satoshis: 1, bytes: 1000 }, maxScriptSize: 500_000n, maxTxSize: 10_485_760n },
      txCount: 12n,
      subtreeCount: 3,
      connectedPeersCount: 9,
    };
    expect(patch('node_status', fields)).toMatchObject(facts);
    expect(notification('node_status', fields)).toMatchObject(facts);
    const own = validate('node_status', enveloped('node_status', fields), { wire: MESSAGE_BUS, author: OWN });
    expect(own.reason).toBe('own_message');
  });
});
