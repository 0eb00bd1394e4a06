// The table of guards, row by row: for each topic what passes, what does not, and with which verdict.
import { describe, expect, test } from 'vitest';
import type { Effect } from '../../../src/gossip/effects.ts';
import type { GuardView } from '../../../src/gossip/guards.ts';
import type { ReadTopic } from '../../../src/gossip/messages.ts';
import { topicPipeline } from '../../../src/gossip/pipeline.ts';
import type { GossipMessage } from '../../../src/ports/p2p-node.ts';
import type { PeerId } from '../../../src/wire/ids.ts';
import { NETWORKS } from '../../../src/wire/networks.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';
import { dataJson, recordedFile, recordedTexts } from '../../support/recorded.ts';

const AUTHOR = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
const RELAY = '12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB' as PeerId;
const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;

const RECORDED = {
  block: recordedTexts('teranode-block.json'),
  subtree: recordedTexts('teranode-subtree.json'),
  mining_on: recordedTexts('teranode-miningon.json'),
  handshake: recordedTexts('teranode-handshake.json'),
  rejected_tx: recordedTexts('teranode-rejected_tx.json'),
  node_status: recordedTexts('teranode-node_status.json'),
} as const satisfies Record<ReadTopic, string[]>;
const TOPICS = Object.keys(RECORDED) as ReadTopic[];

const VIEW: GuardView = {
  ownId: OWN,
  verifiesHeaderPow: true,
  requiresHeader: false,
  powLimitBits: NETWORKS.mainnet.powLimitBits,
  blockAnnouncedBy: () => false,
  subtreeAnnouncedBy: () => false,
  mayRelayPeerDiscovery: () => true,
};

interface Judged {
  readonly relay: string;
  readonly reason: string;
  readonly effects: Effect[];
}

function judge(
  kind: ReadTopic,
  data: string | Uint8Array,
  options: { view?: Partial<GuardView>; author?: PeerId; execute?: () => void } = {},
): Judged {
  const metrics = new RecordedMetrics();
  const effects: Effect[] = [];
  const handler = topicPipeline(kind, {
    view: { ...VIEW, ...options.view },
    execute: (each) => {
      options.execute?.();
      effects.push(...each);
    },
    log: recordingLogger(),
    metrics,
  });
  const envelope: GossipMessage = {
    topic: `prefix-${kind}`,
    bytes: Buffer.from(data),
    author: options.author ?? AUTHOR,
    authorKey: () => new Uint8Array(),
    relay: RELAY,
    seqno: 1n,
  };
  const relay = handler(envelope);
  const reasons = ['processed', ...REASONS].filter(
    (reason) => metrics.count('teranode_p2p_gossip_messages_total', { reason }) === 1,
  );
  expect(reasons).toHaveLength(1);
  return { relay, reason: reasons[0] ?? '', effects };
}

const REASONS = [
  'size',
  'own_message',
  'peer_discovery',
  'peer_discovery_repeated',
  'not_json',
  'decode',
  'hash_form',
  'author_mismatch',
  'header_missing',
  'header_mismatch',
  'proof_of_work',
  'duplicate',
  'handler_failed',
];

function changed(kind: ReadTopic, fields: Record<string, unknown>): string {
  return JSON.stringify({ ...JSON.parse(RECORDED[kind][0] ?? ''), ...fields });
}

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
      effects: [],
    });
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
      { type: 'peer_height', peerId: AUTHOR, height: real?.height },
    ]);
  });

  test('hash form', () => {
    expect(judge('block', block({ Hash: 'abc' }))).toMatchObject({ relay: 'reject', reason: 'hash_form', effects: [] });
    expect(judge('block', block({ Hash: real?.hash.toUpperCase() })).effects[0]).toMatchObject({ hash: real?.hash });
  });

  test('header and hash must agree', () => {
    const other = dataJson<{ hash: string }[]>('headers/bsv-886001-886400.json')[1];
    expect(judge('block', block({ Hash: other?.hash }))).toMatchObject({
      relay: 'reject',
      reason: 'header_mismatch',
      effects: [],
    });
  });

  test('proof of work: of the network’s limit or harder, unless the setting is off', () => {
    const easy = NETWORKS.regtest.genesisHeader;
    const fields = {
      Hash: '0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206',
      Header: Buffer.from(easy).toString('hex'),
    };
    expect(judge('block', block(fields))).toMatchObject({ relay: 'reject', reason: 'proof_of_work', effects: [] });
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

  test('the same hash from the same author is ignored', () => {
    const view = { blockAnnouncedBy: (hash: string, author: string) => hash === real?.hash && author === AUTHOR };
    expect(judge('block', block({}), { view })).toMatchObject({ relay: 'ignore', reason: 'duplicate', effects: [] });
  });
});

describe('subtree', () => {
  test('is handed on with its author, and attributed; repeated, it is ignored', () => {
    const { Hash: hash } = JSON.parse(RECORDED.subtree[0] ?? '');
    expect(judge('subtree', RECORDED.subtree[0] ?? '').effects).toEqual([
      { type: 'attribute_subtree', hash, author: AUTHOR, relay: RELAY, dataHubUrl: 'http://127.0.0.1:8090/api/v1' },
      { type: 'publish_subtree', hash, dataHubUrl: 'http://127.0.0.1:8090/api/v1', author: AUTHOR },
    ]);
    expect(judge('subtree', RECORDED.subtree[0] ?? '', { view: { subtreeAnnouncedBy: () => true } })).toMatchObject({
      reason: 'duplicate',
    });
    expect(judge('subtree', changed('subtree', { Hash: 'x' }))).toMatchObject({ relay: 'reject', reason: 'hash_form' });
  });
});

test('the recorded listener is who its key says', () => {
  const { from, dataHex } = recordedFile('listener-peer-discovery.json').messages[0] ?? { from: '' };
  expect(peerIdFromPublicKey(Buffer.from(dataHex ?? '', 'hex').subarray(2, 38))).toBe(from);
});
