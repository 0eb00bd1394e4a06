// The API over HTTP: every operation of the served OpenAPI document is called, and every answer is held against the
// schema that the document gives.

import { beforeEach, describe, expect, test } from 'vitest';
import type { BanEntry } from '../../src/domain/ban.ts';
import type { PeerStanding, PeerStatus } from '../../src/ports/admin-api.ts';
import { MAX_RECENT } from '../../src/ports/admin-api.ts';
import { chosen, DEFAULT_BAN_MS } from '../fakes/admin-api.ts';
import { EventClient } from '../support/event-source.ts';
import { EXPLANATION, KNOWN_PEER, PEER } from '../support/grpc.ts';
import {
  ADMIN_KEY,
  block,
  OTHER_ID,
  OWN_ID,
  OWN_STATUS,
  type ServedHttp,
  serveHttp,
  stopHttpAfterEach,
  subtree,
} from '../support/http.ts';
import { type CallOptions, OpenApiClient, type Reply } from '../support/openapi.ts';
import { ask, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

let served: ServedHttp;
let client: OpenApiClient;

beforeEach(async () => {
  served = await serveHttp();
  client = await OpenApiClient.load(served.address, ADMIN_KEY);
});

async function call(id: string, options: CallOptions = {}): Promise<Reply> {
  return await client.call(id, options);
}

const NO_STANDING: PeerStanding = {
  bestBlockHash: undefined,
  claimedAtMs: undefined,
  provenHeight: undefined,
  provenHash: undefined,
  dataHubUrl: undefined,
  dataHubHealth: 'unknown',
  lastMessageMs: undefined,
  isBanned: true,
};

const NO_STATUS: PeerStatus = {
  clientName: undefined,
  wires: [],
  storage: undefined,
  propagationUrl: undefined,
  minMiningTxFee: undefined,
  feePolicy: undefined,
  txCount: undefined,
  subtreeCount: undefined,
  connectedPeersCount: undefined,
};

/** As in an answer: JSON has no 64-bit integers. */
const KNOWN_PEER_JSON = {
  ...KNOWN_PEER,
  txCount: 12,
  feePolicy: { ...KNOWN_PEER.feePolicy, maxScriptSize: 500_000, maxTxSize: 10_485_760, maxTxSigops: 0 },
};

const BAN: BanEntry = {
  key: '192.0.2.0/24',
  kind: 'subnet',
  untilMs: 1_900_000_000_000,
  createdAtMs: 1_700_000_000_000,
  reason: 'spam',
  evidence: 'author_rate',
  source: 'automatic',
  causedBy: OTHER_ID,
};

/** A call of every operation that is answered with 200. */
const EVERY: Readonly<Record<string, () => Promise<unknown>>> = {
  health: async () => expect((await call('health')).body).toBe('OK'),
  live: async () => {
    expect((await call('live')).body).toBe('OK');
    const json = await call('live', { headers: { accept: 'application/json' } });
    expect(json.body).toEqual({ status: 'ok', checks: [] });
  },
  ready: async () => {
    const checks = [{ name: 'fsm', ok: false, details: 'IDLE', tookMs: 3, atMs: 1_700_000_000_000 }];
    served.answers.health = { status: 503, message: 'fsm: FAILED (IDLE)\n', checks };
    const text = await call('ready');
    expect([text.status, text.body]).toEqual([503, 'fsm: FAILED (IDLE)\n']);
    const json = await call('ready', { headers: { accept: 'application/json' } });
    expect([json.status, json.body]).toEqual([503, { status: 'failed', checks }]);
  },
  metrics: async () => expect((await call('metrics')).body).toBe('a_metric 1\n'),
  document: async () => expect((await call('document')).body).toMatchObject({ openapi: '3.0.3' }),
  watch: async () => {
    expect((await ask(served.address, upgradeText(served.address))).status).toBe(101);
    expect((await call('watch')).status).toBe(426);
  },
  streamEvents: async () => {
    const client = await EventClient.open(served.address);
    served.notifications.publish(block(1));
    expect((await client.received(1))[0]?.data).toMatchObject({ type: 'block', height: 1 });
    client.close();
    expect((await call('streamEvents', { query: '?since=x' })).status).toBe(400);
  },
  getNetwork: async () => {
    expect((await call('getNetwork')).body).toEqual(JSON.parse(JSON.stringify(served.view.networkView)));
    const row = {
      ...{ clientName: 'a', peers: 1, connectedPeers: 0, lowestHeight: 1, highestHeight: 2, full: 1, pruned: 0 },
      ...{ lag: 1, meanDelayMs: 12.5 },
    };
    const hash = 'aa'.repeat(32) as never;
    served.view.networkView = {
      tip: { height: 3, hash, claimedBy: 2, provenBy: 1 },
      own: { height: 2, hash },
      lag: 1,
      peerLag: { peers: 2, behind: 1, median: 0, highest: 1 },
      peers: 4,
      connectedPeers: 1,
      versions: [{ version: 'v1', peers: 3 }],
      operators: [row],
      heights: [{ height: 3, peers: 2 }],
      topics: [{ name: 'a-block', accepted: 1, ignored: 2, rejected: 3 }],
      league: [
        {
          ...{ peerId: 'a' as never, firstDeliveries: 3, laterDeliveries: 1 },
          ...{ firstDeliveryShare: 0.75, meanDelayMs: 5 },
        },
      ],
      spread: {
        ...{ copies: 3, p50Ms: 12.5, p99Ms: 90 },
        recent: [
          {
            ...{ kind: 'block', hash, height: 3, author: OTHER_ID, deliveredBy: OWN_ID, atMs: 5, headerAgeMs: -400 },
            ...{ copyCount: 9, copies: [{ peerId: OTHER_ID, delayMs: 12 }] },
          },
        ],
      },
    };
    expect((await call('getNetwork')).body).toEqual(served.view.networkView);
  },
  listEndpoints: async () => {
    expect((await call('listEndpoints')).body).toEqual({ endpoints: [], total: 0 });
    const feePolicy = { miningFee: { satoshis: 1, bytes: 1000 }, maxScriptSize: 4n, maxTxSize: 5n, maxTxSigops: 6n };
    const checked = { public: true, answers: true, sameGenesis: false, reason: 'another genesis block', atMs: 5 };
    const row = { peerId: 'a' as never, isConnected: true, clientName: 'a', version: 'v1', storage: 'full', checked };
    const known = { minMiningTxFee: 0.5, height: 3, lastSeenMs: 4 };
    served.view.endpointRows = [
      { ...row, ...known, kind: 'datahub', url: 'https://a.example/api/v1', feePolicy },
      { ...row, ...known, kind: 'propagation', url: 'https://a.example', feePolicy: undefined },
    ] as never;
    const { body } = await call('listEndpoints', { query: '?kind=datahub' });
    const { endpoints, total } = body as { endpoints: unknown[]; total: number };
    expect(total).toBe(1);
    const shown = { miningFee: { satoshis: 1, bytes: 1000 }, maxScriptSize: 4, maxTxSize: 5, maxTxSigops: 6 };
    expect(endpoints).toEqual([expect.objectContaining({ ...row, ...known, kind: 'datahub', feePolicy: shown })]);
    expect((await call('listEndpoints', { query: '?offset=1' })).body).toMatchObject({ endpoints: [{}], total: 2 });
    expect((await call('listEndpoints', { query: '?kind=x' })).status).toBe(400);
  },
  listHistoryBlocks: async () => {
    expect((await call('listHistoryBlocks')).status).toBe(404);
    const row = { hash: 'aa'.repeat(32) as never, height: 3, author: OTHER_ID, firstSeenMs: 5, announcers: 2 };
    served.view.blocks = [
      { ...row, clientName: 'a', receivedFrom: OWN_ID },
      { ...row, clientName: undefined, receivedFrom: undefined },
    ];
    const { body } = await call('listHistoryBlocks', { query: '?from=1&to=9&limit=7' });
    expect(body).toEqual({ blocks: JSON.parse(JSON.stringify(served.view.blocks)) });
    expect(served.view.lastArgs('historyBlocks')).toEqual([{ fromMs: 1, toMs: 9, limit: 7 }]);
    expect((await call('listHistoryBlocks', { query: '?from=x' })).status).toBe(400);
    expect((await call('listHistoryBlocks', { query: '?limit=1001' })).status).toBe(400);
  },
  listHistoryHours: async () => {
    const messages = [{ topic: 'a-block', result: 'processed', count: 4 }];
    served.view.hours = [
      { hourMs: 3_600_000, peers: 2, tipHeight: 9, lag: 1, reorgs: 0, messages },
      { hourMs: 0, peers: 0, tipHeight: undefined, lag: undefined, reorgs: 1, messages: [] },
    ];
    expect((await call('listHistoryHours')).body).toEqual({ hours: JSON.parse(JSON.stringify(served.view.hours)) });
    expect((await call('listHistoryHours', { query: '?limit=200' })).status).toBe(200);
    expect((await call('listHistoryHours', { query: '?limit=201' })).status).toBe(400);
  },
  listPeers: async () => {
    const unknown = {
      ...KNOWN_PEER,
      id: OTHER_ID,
      agentVersion: undefined,
      services: undefined,
      lastSendMs: undefined,
      lastReceiveMs: undefined,
      pingMs: undefined,
      startingHeight: undefined,
      height: undefined,
      localAddress: undefined,
      ...NO_STANDING,
      ...NO_STATUS,
    };
    served.view.connected = [KNOWN_PEER, unknown];
    const { body } = await call('listPeers');
    expect(body).toEqual({ peers: [KNOWN_PEER_JSON, JSON.parse(JSON.stringify(unknown))] });
  },
  getPeer: async () => {
    served.view.connected = [KNOWN_PEER];
    expect((await call('getPeer', { params: { id: PEER } })).body).toEqual(KNOWN_PEER_JSON);
  },
  connectPeer: async () => {
    served.view.connected = [KNOWN_PEER];
    const body = { address: KNOWN_PEER.addresses[0] };
    expect((await call('connectPeer', { body })).body).toEqual({ peerId: PEER });
  },
  scorePeer: async () => {
    const reply = await call('scorePeer', { params: { id: PEER }, body: { reason: 'spam' } });
    expect(reply.body).toEqual({ score: 10 });
    expect(served.view.lastArgs('addScore')).toEqual([PEER, 'spam']);
  },
  disconnectPeer: async () => {
    served.view.connected = [KNOWN_PEER];
    expect((await call('disconnectPeer', { params: { id: PEER } })).body).toEqual({ disconnected: true });
    expect(served.view.connected).toEqual([]);
  },
  listBans: async () => {
    served.view.put(BAN);
    served.view.put({ ...BAN, key: '192.0.2.9', kind: 'address', causedBy: undefined });
    const { body } = await call('listBans');
    const { causedBy, ...plain } = BAN;
    const shown = { ...plain, because: causedBy };
    expect(body).toEqual({ total: 2, bans: [shown, { ...plain, key: '192.0.2.9', kind: 'address' }] });
    expect((await call('listBans', { query: '?offset=1&limit=1' })).body).toMatchObject({
      total: 2,
      bans: [{ key: '192.0.2.9' }],
    });
  },
  addBan: async () => {
    const untilMs = Date.now() + 1000;
    const { body } = await call('addBan', { body: { subject: '192.0.2.7', untilMs, reason: 'rude' } });
    expect(body).toMatchObject({ key: '192.0.2.7', kind: 'address', untilMs });
    const byDefault = await call('addBan', { body: { subject: '2001:db8::/32' } });
    expect((byDefault.body as BanEntry).untilMs).toBeGreaterThan(Date.now() + DEFAULT_BAN_MS - 60_000);
    expect(served.view.banPage(0, undefined).bans).toHaveLength(2);
  },
  removeBans: async () => {
    for (const key of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) served.view.put({ ...BAN, key, kind: 'address' });
    expect((await call('removeBans', { query: '?subject=192.0.2.1' })).body).toEqual({ lifted: true, isStored: true });
    expect((await call('removeBans', { query: '?subject=192.0.2.1' })).body).toEqual({ lifted: false, isStored: true });
    expect(served.view.banPage(0, undefined).bans).toHaveLength(2);
    expect((await call('removeBans', { query: '?all=true' })).body).toEqual({ lifted: true, isStored: true });
    expect(served.view.banPage(0, undefined).bans).toEqual([]);
  },
  explain: async () => {
    served.view.explanation = EXPLANATION;
    const { body } = await call('explain', { params: { subject: '192.0.2.0/24' } });
    const inForce = EXPLANATION.inForce.map(({ causedBy, ...ban }) => ({ ...ban, because: causedBy }));
    expect(body).toEqual(JSON.parse(JSON.stringify({ ...EXPLANATION, inForce })));
    expect(served.view.lastArgs('explain')).toEqual(['192.0.2.0/24']);
  },
  getSync: async () => {
    expect((await call('getSync')).body).toEqual({});
    const syncPeer = { peerId: OTHER_ID, height: 9, hash: OWN_STATUS.bestBlockHash as never, sinceMs: 1 };
    served.view.syncView = {
      ...{ fsmState: 'RUNNING', bestHeight: 7, bestBlockHash: syncPeer.hash, syncPeer, choice: chosen(OTHER_ID) },
      lastEnd: { peerId: OTHER_ID, reason: 'level', explanation: 'caught up', atMs: 3, failedAttempts: 0 },
    };
    expect((await call('getSync')).body).toEqual(JSON.parse(JSON.stringify(served.view.syncView)));
  },
  listSettings: async () => {
    served.view.settingViews = [{ key: 'p2p_shared_key', value: '********', origin: 'environment p2p_shared_key' }];
    expect((await call('listSettings')).body).toEqual({ settings: served.view.settingViews });
  },
  listTopics: async () => {
    served.view.topicViews = [{ name: 'a-block', subscribers: [OTHER_ID, OWN_ID], mesh: [OTHER_ID] }];
    expect((await call('listTopics')).body).toEqual({ topics: served.view.topicViews });
  },
  listAnnouncements: async () => {
    const common = { atMs: 1, isOwn: true, peerId: OWN_ID, hash: 'aa'.repeat(32) as never };
    const miningOn = {
      ...common,
      type: 'mining_on' as const,
      previousHash: common.hash,
      height: 1,
      miner: '/a&b/',
      sizeInBytes: 9_007_199_254_740_993n,
      txCount: 2n,
      baseUrl: '',
    };
    served.view.announcements = [
      block(3),
      subtree(2),
      miningOn,
      { ...common, type: 'rejected_tx', reason: 'fee' },
      { ...common, type: 'best_block', height: 2 },
    ];
    const { body } = await call('listAnnouncements');
    const { announcements } = body as { announcements: Record<string, unknown>[] };
    expect(announcements).toEqual([
      block(3),
      subtree(2),
      { ...miningOn, sizeInBytes: Number(miningOn.sizeInBytes), txCount: 2 },
      { ...common, type: 'rejected_tx', reason: 'fee' },
      { ...common, type: 'best_block', height: 2 },
    ]);
    expect((await call('listAnnouncements', { query: '?limit=1' })).body).toEqual({ announcements: [block(3)] });
    expect((await call('listAnnouncements', { query: `?limit=${MAX_RECENT}` })).status).toBe(200);
    expect((await call('listAnnouncements', { query: `?limit=${MAX_RECENT + 1}` })).status).toBe(400);
  },
  listVerdicts: async () => {
    const verdict = { atMs: 1, topic: 'a-block', author: OTHER_ID, relay: OWN_ID };
    served.view.verdicts = [
      { ...verdict, decision: 'accept', isProcessed: true, reason: undefined },
      { ...verdict, decision: 'reject', isProcessed: false, reason: 'proof_of_work' },
    ];
    const { body } = await call('listVerdicts');
    expect(body).toEqual({ verdicts: JSON.parse(JSON.stringify(served.view.verdicts)) });
  },
};

describe('the OpenAPI document', () => {
  test('names exactly the operations that are tried here', () => {
    expect(client.document.openapi).toBe('3.0.3');
    const ids = client.operations().map(({ id }) => id);
    expect(ids.sort()).toEqual(Object.keys(EVERY).sort());
  });

  test('describes every path parameter and which calls need the key', () => {
    for (const { path, method, needsKey, described } of client.operations()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = described.parameters?.filter((each) => each.in === 'path') ?? [];
      expect(parameters.map(({ name }) => name)).toEqual(inPath);
      expect(needsKey).toBe(method !== 'GET');
    }
  });

  test.each(Object.keys(EVERY))('%s answers as it says', async (id) => {
    await EVERY[id]?.();
  });
});

describe('changes need the admin key', () => {
  const CHANGES: readonly (readonly [string, CallOptions])[] = [
    ['connectPeer', { body: { address: '/ip4/192.0.2.7/tcp/9905' } }],
    ['scorePeer', { params: { id: PEER }, body: { reason: 'spam' } }],
    ['disconnectPeer', { params: { id: PEER } }],
    ['addBan', { body: { subject: '192.0.2.7' } }],
    ['removeBans', { query: '?all=true' }],
  ];

  test('these are all operations other than GET', () => {
    const changes = client.operations().filter(({ method }) => method !== 'GET');
    expect(changes.map(({ id }) => id).sort()).toEqual(CHANGES.map(([id]) => id).sort());
  });

  test.each(CHANGES)('%s', async (id, options) => {
    for (const key of [undefined, '', 'wrong', `${ADMIN_KEY}x`, ADMIN_KEY.slice(0, -1), 'ключ'.repeat(3)]) {
      const sent = key === 'ключ'.repeat(3) ? Buffer.from(key).toString('latin1') : key;
      const { status, body } = await call(id, { ...options, key: sent });
      expect([status, (body as { code: string }).code]).toEqual([401, 'UNAUTHENTICATED']);
    }
    expect(served.view.calls).toEqual([]);
  });

  test('checks the key before the body', async () => {
    const { status } = await call('addBan', { body: 'x'.repeat(70_000), key: undefined });
    expect(status).toBe(401);
  });
});
