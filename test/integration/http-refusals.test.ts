// What the API refuses, and answers of its own that it does not let go: each with a status, a code and a text, as the
// OpenAPI document says.
import { beforeEach, describe, expect, test } from 'vitest';
import { P2PError } from '../../src/lib/errors.ts';
import { KNOWN_PEER, PEER } from '../support/grpc.ts';
import { ADMIN_KEY, OTHER_ID, OWN_ID, type ServedHttp, serveHttp, stopHttpAfterEach } from '../support/http.ts';
import { type CallOptions, OpenApiClient, type Reply } from '../support/openapi.ts';

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

describe('responses that do not match their schema', () => {
  const COUNTER = 'teranode_p2p_http_answers_refused_total';
  const peer = { ...KNOWN_PEER, id: OTHER_ID };

  test.each<readonly [string, string, object]>([
    ['listVerdicts', '/api/v1/verdicts', { verdicts: [{ decision: 'perhaps' }] }],
    ['listPeers', '/api/v1/peers', { connected: [{ ...peer, direction: 'sideways' }] }],
    ['listPeers', '/api/v1/peers', { connected: [{ ...peer, pingMs: Number.NaN }] }],
    ['listPeers', '/api/v1/peers', { connected: [{ ...peer, bytesSent: -1 }] }],
    ['listPeers', '/api/v1/peers', { connected: [{ ...peer, bytesSent: 5n }] }],
    ['listPeers', '/api/v1/peers', { connected: [{ ...peer, pingMs: null }] }],
    ['listSettings', '/api/v1/settings', { settingViews: [{ key: 'a', value: 5 }] }],
    ['getSync', '/api/v1/sync', { syncView: { fsmState: 3 } }],
  ])('%s: the response is not sent, but counted and logged as a bug of ours', async (id, route, spoiled) => {
    Object.assign(served.view, spoiled);
    const { status, body } = await call(id);
    expect([status, body]).toEqual([500, { code: 'INTERNAL', message: 'internal error (see the log of the server)' }]);
    expect(served.metrics.count(COUNTER, { route })).toBe(1);
    expect(served.log.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { fields: { route, err: { message: expect.stringContaining('does not match its schema') } } },
    ]);
  });

  test('a readiness report that does not match its schema is not sent either', async () => {
    const checks = [{ name: 'fsm', ok: 'yes', details: '', tookMs: 0, atMs: 0 }] as never;
    served.answers.health = { status: 200, message: '', checks };
    expect((await call('ready', { headers: { accept: 'application/json' } })).status).toBe(500);
  });

  test('fields that are not in the schema are not sent', async () => {
    const verdict = {
      atMs: 1,
      topic: 'a-block',
      author: OTHER_ID,
      relay: OWN_ID,
      decision: 'accept',
      isProcessed: true,
    };
    Object.assign(served.view, { verdicts: [{ ...verdict, secret: 'x' }] });
    expect((await call('listVerdicts')).body).toEqual({ verdicts: [verdict] });
  });
});

describe('refused requests', () => {
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

  test('answers 404 or 502 for peers that are not connected', async () => {
    expect((await call('getPeer', { params: { id: OTHER_ID } })).status).toBe(404);
    expect((await call('disconnectPeer', { params: { id: OTHER_ID } })).status).toBe(404);
    const { status, body } = await call('connectPeer', { body: { address: '/ip4/192.0.2.7/tcp/1' } });
    expect([status, (body as { code: string }).code]).toEqual([502, 'PEER_UNREACHABLE']);
  });

  test('answers 503 when the store is unavailable, and 500 without details for an internal error', async () => {
    served.view.failure = new P2PError('STORE_UNAVAILABLE', 'the store does not answer');
    const { status, body } = await call('addBan', { body: { subject: '192.0.2.7' } });
    expect([status, body]).toEqual([503, { code: 'STORE_UNAVAILABLE', message: 'the store does not answer' }]);
    served.view.failure = new Error('secret detail');
    const failed = await call('listPeers');
    expect(failed.status).toBe(500);
    expect(JSON.stringify(failed.body)).not.toContain('secret');
    expect(served.log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test.each(['addBan', 'connectPeer', 'scorePeer', 'disconnectPeer', 'removeBans'])(
    '%s: refuses a body that is not JSON, too long or of another type, as the document says',
    async (id) => {
      const refused = async (text: string, type = 'application/json') => {
        const options = { params: { id: PEER }, query: '', text, headers: { 'content-type': type } };
        const { status, body } = await call(id, options);
        return [status, (body as { code: string }).code];
      };
      expect(await refused('{')).toEqual([400, 'REQUEST_INVALID']);
      expect(await refused('{"__proto__":{}}')).toEqual([400, 'REQUEST_INVALID']);
      expect(await refused('<a/>', 'application/xml')).toEqual([415, 'MEDIA_TYPE_UNSUPPORTED']);
      expect(await refused(JSON.stringify('x'.repeat(70_000)))).toEqual([413, 'TOO_LARGE']);
    },
  );

  const NO_BODIES = [
    { subject: 3 },
    { subject: ['192.0.2.7'] },
    { subject: null },
    { subject: '192.0.2.7', untilMs: null },
    { subject: '192.0.2.7', untilMs: true },
    { subject: '192.0.2.7', untilMs: '99999999999999' },
    { subject: '192.0.2.7', untilMs: 99_999_999_999_999.5 },
    { subject: '192.0.2.7', untilMs: 1e300 },
    { subject: '192.0.2.7', reason: null },
    { subject: '192.0.2.7', reason: 5 },
    [],
    'x',
    null,
  ];

  test.each(NO_BODIES.map((body) => ({ body })))('does not coerce a body, and refuses $body', async ({ body }) => {
    const { status, body: problem } = await call('addBan', { body });
    expect([status, problem]).toEqual([
      400,
      { code: 'INPUT_INVALID', message: expect.stringMatching(/^body.{0,60}: .+/) },
    ]);
    expect(served.view.calls).toEqual([]);
  });

  test('refuses a missing body, and answers an overlong field name with a short error', async () => {
    expect(await call('addBan')).toMatchObject({ status: 400, body: { code: 'INPUT_INVALID' } });
    const { status, body } = await call('addBan', { body: { subject: 'x', ['y'.repeat(60_000)]: 1 } });
    expect(status).toBe(400);
    expect((body as { message: string }).message.length).toBeLessThanOrEqual(300);
  });

  test.each(['getPeer', 'explain', 'scorePeer', 'disconnectPeer'])(
    '%s: refuses a path that is too long',
    async (id) => {
      const long = 'a'.repeat(600);
      const { status, body } = await call(id, { params: { id: long, subject: long }, query: '' });
      expect([status, (body as { code: string }).code]).toEqual([414, 'TOO_LARGE']);
    },
  );

  test('answers 429 for every rate-limited operation', async () => {
    served = await serveHttp({ ratePerSecond: 1 });
    client = await OpenApiClient.load(served.address, ADMIN_KEY);
    const uncounted = ['health', 'live', 'ready', 'watch'];
    const ids = client.operations().flatMap(({ id }) => (uncounted.includes(id) ? [] : [id]));
    for (let i = 0; i < 10; i += 1) {
      await fetch(`http://${served.address}/metrics`);
      await fetch(`http://${served.address}/nothing`);
    }
    for (const id of ids) {
      const { status, body } = await call(id, { params: { id: PEER, subject: PEER }, query: '', key: undefined });
      expect([id, status, (body as { code: string }).code]).toEqual([id, 429, 'TOO_MANY_REQUESTS']);
    }
  });

  test('answers 503 before the node has started, and 504 when it does not respond in time', async () => {
    for (const [id, options] of [['listPeers'], ['listBans'], ['removeBans', { query: '?all=true' }]] as const) {
      served.view.failure = new P2PError('NODE_NOT_STARTED', 'the node has not started');
      expect(await call(id, options)).toMatchObject({ status: 503, body: { code: 'NOT_READY' } });
      served.view.failure = new P2PError('TIMEOUT', 'no answer in time');
      expect(await call(id, options)).toMatchObject({ status: 504, body: { code: 'TIMEOUT' } });
    }
  });

  test('answers 404 for unknown paths', async () => {
    const response = await fetch(`http://${served.address}/api/v1/nothing?x=1`);
    expect([response.status, await response.json()]).toEqual([
      404,
      { code: 'NOT_FOUND', message: 'unknown route GET /api/v1/nothing (see /openapi.json)' },
    ]);
  });
});
