// The API over HTTP: every operation of the served OpenAPI document is called, and every answer is held against the schema that the document gives.
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { P2PError } from '../../src/errors.ts';
import type { BanEntry } from '../../src/ports/ban-store.ts';
import { DEFAULT_BAN_MS } from '../fakes/peer-admin.ts';
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
import { ask, upgradeText } from '../support/websocket.ts';

stopHttpAfterEach();

interface Schema {
  readonly [key: string]: unknown;
}

interface Described {
  readonly operationId: string;
  readonly security?: unknown;
  readonly requestBody?: { readonly content: Record<string, { schema: Schema }> };
  readonly responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}

interface OpenApi {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Described>>;
  readonly components: { readonly schemas: Record<string, Schema> };
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

let served: ServedHttp;
let document: OpenApi;

beforeEach(async () => {
  served = await serveHttp();
  document = (await (await fetch(`http://${served.address}/openapi.json`)).json()) as OpenApi;
});

function described(id: string): { method: string; path: string; operation: Described } {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (operation.operationId === id) return { method: method.toUpperCase(), path, operation };
    }
  }
  throw new Error(`no operation ${id}`);
}

interface CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: string;
  readonly body?: unknown;
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Calls as the document says, and holds the answer against its schema; with the admin key where the document asks for it. */
async function call(id: string, options: CallOptions = {}): Promise<Reply> {
  const { method, path, operation } = described(id);
  const key = 'key' in options ? options.key : operation.security === undefined ? undefined : ADMIN_KEY;
  const filled = path.replace(/\{(\w+)\}/g, (_whole, name) => encodeURIComponent(options.params?.[name] ?? ''));
  const response = await fetch(`http://${served.address}${filled}${options.query ?? ''}`, {
    method,
    headers: {
      ...(key === undefined ? {} : { 'x-api-key': key }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const answer = operation.responses[response.status];
  expect(answer, `${id} answers ${response.status}`).toBeDefined();
  const type = response.headers.get('content-type') ?? '';
  const text = await response.text();
  if (!type.startsWith('application/json')) return { status: response.status, body: text, headers: response.headers };
  const body: unknown = JSON.parse(text);
  const schema = answer?.content?.['application/json']?.schema;
  if (schema !== undefined) conforms(body, schema);
  return { status: response.status, body, headers: response.headers };
}

/** Throws unless it does. */
function conforms(body: unknown, schema: Schema): void {
  const { $ref } = schema;
  const whole = typeof $ref === 'string' ? document.components.schemas[$ref.split('/').at(-1) ?? ''] : schema;
  z.fromJSONSchema(whole as Parameters<typeof z.fromJSONSchema>[0], { defaultTarget: 'openapi-3.0' }).parse(body);
}

const BAN: BanEntry = {
  key: '192.0.2.0/24',
  kind: 'subnet',
  untilMs: 1_900_000_000_000,
  createdAtMs: 1_700_000_000_000,
  reason: 'spam',
  evidence: 'author_rate',
  source: 'automatic',
  because: OTHER_ID,
};

/** A call of every operation that is answered with 200. */
const EVERY: Readonly<Record<string, () => Promise<unknown>>> = {
  health: async () => expect((await call('health')).body).toBe('OK'),
  live: async () => expect((await call('live')).body).toBe('OK'),
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
    };
    served.view.connected = [KNOWN_PEER, unknown];
    const { body } = await call('listPeers');
    expect(body).toEqual({ peers: [KNOWN_PEER, JSON.parse(JSON.stringify(unknown))] });
  },
  getPeer: async () => {
    served.view.connected = [KNOWN_PEER];
    expect((await call('getPeer', { params: { id: PEER } })).body).toEqual(KNOWN_PEER);
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
    served.view.put({ ...BAN, key: '192.0.2.9', kind: 'address', because: undefined });
    const { body } = await call('listBans');
    const { because: _because, ...plain } = BAN;
    expect(body).toEqual({ total: 2, bans: [BAN, { ...plain, key: '192.0.2.9', kind: 'address' }] });
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
    expect(served.view.bans()).toHaveLength(2);
  },
  removeBans: async () => {
    for (const key of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) served.view.put({ ...BAN, key, kind: 'address' });
    expect((await call('removeBans', { query: '?subject=192.0.2.1' })).body).toEqual({ lifted: true });
    expect((await call('removeBans', { query: '?subject=192.0.2.1' })).body).toEqual({ lifted: false });
    expect(served.view.bans()).toHaveLength(2);
    expect((await call('removeBans', { query: '?all=true' })).body).toEqual({ lifted: true });
    expect(served.view.bans()).toEqual([]);
  },
  explain: async () => {
    served.view.explanation = EXPLANATION;
    const { body } = await call('explain', { params: { subject: '192.0.2.0/24' } });
    expect(body).toEqual(JSON.parse(JSON.stringify(EXPLANATION)));
    expect(served.view.lastArgs('explain')).toEqual(['192.0.2.0/24']);
  },
  getSync: async () => {
    expect((await call('getSync')).body).toEqual({});
    const syncPeer = { peerId: OTHER_ID, height: 9, hash: OWN_STATUS.bestBlockHash as never, sinceMs: 1 };
    served.view.syncView = { fsmState: 'RUNNING', bestHeight: 7, bestBlockHash: syncPeer.hash, syncPeer };
    expect((await call('getSync')).body).toEqual(served.view.syncView);
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
      OWN_STATUS,
      { ...common, type: 'rejected_tx', reason: 'fee' },
      { ...common, type: 'best_block', height: 2 },
    ];
    const { body } = await call('listAnnouncements');
    const { announcements } = body as { announcements: Record<string, unknown>[] };
    const { blockAssemblyDetails: _details, ...status } = OWN_STATUS;
    expect(announcements).toEqual([
      block(3),
      subtree(2),
      { ...miningOn, sizeInBytes: Number(miningOn.sizeInBytes), txCount: 2 },
      { ...status, startTime: Number(status.startTime), syncConnectedAt: 0 },
      { ...common, type: 'rejected_tx', reason: 'fee' },
      { ...common, type: 'best_block', height: 2 },
    ]);
    expect((await call('listAnnouncements', { query: '?limit=1' })).body).toEqual({ announcements: [block(3)] });
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
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(ids.sort()).toEqual(Object.keys(EVERY).sort());
  });

  test('describes every parameter that stands in a path, and which calls need the key', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const { parameters = [] } = operation as { parameters?: { name: string; in: string; required: boolean }[] };
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        expect(parameters.filter((each) => each.in === 'path').map(({ name }) => name)).toEqual(inPath);
        expect(operation.security !== undefined).toBe(method !== 'get');
        expect(Object.keys(operation.responses).length).toBeGreaterThan(0);
      }
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

  test('these are all that are no GET', () => {
    const changes = Object.keys(EVERY).filter((id) => described(id).method !== 'GET');
    expect(changes.sort()).toEqual(CHANGES.map(([id]) => id).sort());
  });

  test.each(CHANGES)('%s', async (id, options) => {
    for (const key of [undefined, '', 'wrong', `${ADMIN_KEY}x`, ADMIN_KEY.slice(0, -1), 'ключ'.repeat(3)]) {
      const sent = key === 'ключ'.repeat(3) ? Buffer.from(key).toString('latin1') : key;
      const { status, body } = await call(id, { ...options, key: sent });
      expect([status, (body as { code: string }).code]).toEqual([401, 'UNAUTHENTICATED']);
    }
    expect(served.view.calls).toEqual([]);
  });

  test('the key is asked for before the body is looked at', async () => {
    const { status } = await call('addBan', { body: 'x'.repeat(70_000), key: undefined });
    expect(status).toBe(401);
  });
});

describe('requests that are refused', () => {
  test.each<readonly [string, string, CallOptions]>([
    ['a subject of the wrong type', 'addBan', { body: { subject: {} } }],
    ['no subject', 'addBan', { body: {} }],
    ['a subject that is none', 'addBan', { body: { subject: 'nonsense' } }],
    ['a time that is none', 'addBan', { body: { subject: '192.0.2.7', untilMs: 'soon' } }],
    ['a field that is none', 'addBan', { body: { subject: '192.0.2.7', forever: true } }],
    ['a long reason', 'addBan', { body: { subject: '192.0.2.7', reason: 'x'.repeat(201) } }],
    ['an unknown reason', 'scorePeer', { params: { id: PEER }, body: { reason: 'unknown' } }],
    ['a peer id that is none', 'scorePeer', { params: { id: 'x' }, body: { reason: 'spam' } }],
    ['a peer id that is none', 'getPeer', { params: { id: 'x' } }],
    ['neither subject nor all', 'removeBans', {}],
    ['both', 'removeBans', { query: '?subject=192.0.2.7&all=true' }],
    ['all=false', 'removeBans', { query: '?all=false' }],
    ['a limit of nothing', 'listBans', { query: '?limit=0' }],
    ['a limit beyond the bound', 'listAnnouncements', { query: '?limit=1001' }],
    ['a limit that is none', 'listVerdicts', { query: '?limit=many' }],
    ['no multiaddr', 'connectPeer', { body: { address: '192.0.2.7:9905' } }],
    ['what nobody knows', 'explain', { params: { subject: '???' } }],
  ])('%s: %s', async (_what, id, options) => {
    const { status, body } = await call(id, options);
    expect([status, (body as { code: string }).code]).toEqual([400, 'INPUT_INVALID']);
  });

  test('peers that are not there', async () => {
    expect((await call('getPeer', { params: { id: OTHER_ID } })).status).toBe(404);
    expect((await call('disconnectPeer', { params: { id: OTHER_ID } })).status).toBe(404);
    const { status, body } = await call('connectPeer', { body: { address: '/ip4/192.0.2.7/tcp/1' } });
    expect([status, (body as { code: string }).code]).toEqual([502, 'PEER_UNREACHABLE']);
  });

  test('a store that does not answer, and a fault of our own, whose text stays here', async () => {
    served.view.failure = new P2PError('STORE_UNAVAILABLE', 'the store does not answer');
    const { status, body } = await call('addBan', { body: { subject: '192.0.2.7' } });
    expect([status, body]).toEqual([503, { code: 'STORE_UNAVAILABLE', message: 'the store does not answer' }]);
    served.view.failure = new Error('secret detail');
    const failed = await call('listPeers');
    expect(failed.status).toBe(500);
    expect(JSON.stringify(failed.body)).not.toContain('secret');
    expect(served.log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('bodies that are no JSON, too long, or of another type', async () => {
    const post = async (body: string, type: string) => {
      const headers = { 'content-type': type, 'x-api-key': ADMIN_KEY };
      const response = await fetch(`http://${served.address}/api/v1/bans`, { method: 'POST', headers, body });
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    expect(await post('{', 'application/json')).toEqual([400, 'REQUEST_INVALID']);
    expect(await post('{"__proto__":{}}', 'application/json')).toEqual([400, 'REQUEST_INVALID']);
    expect(await post('<a/>', 'application/xml')).toEqual([415, 'MEDIA_TYPE_UNSUPPORTED']);
    expect(await post(JSON.stringify('x'.repeat(70_000)), 'application/json')).toEqual([413, 'TOO_LARGE']);
  });

  test('paths that are none', async () => {
    const response = await fetch(`http://${served.address}/api/v1/nothing?x=1`);
    expect([response.status, await response.json()]).toEqual([
      404,
      { code: 'NOT_FOUND', message: 'there is no GET /api/v1/nothing; see /openapi.json' },
    ]);
  });
});
