// This node's own DataHub, for a node that keeps its chain itself: headers, the blocks that it mined and their subtrees
// by the paths and in the formats of Teranode's asset service. Open to everyone: peers have no key, and all of it is
// public.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { BlockHash, Hash } from '../../../domain/ids.ts';
import type { BlockHeaderRecord } from '../../../ports/blockchain-client.ts';
import type { DataHubSource } from '../../../ports/datahub-source.ts';
import { parseHash } from '../../../wire/hash.ts';
import { problems } from '../api/api.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { type DataHubFormat, headerJson } from './formats.ts';

export const DATAHUB_PATH = '/api/v1';
/** As the asset service. */
const DEFAULT_COUNT = 100;
/** The asset service sends 10,000; a client asks on from where an answer ends. */
const MAX_COUNT = 2000;
const MAX_LOCATOR = 64;
const HASH_DIGITS = 64;
const FORMATS: readonly DataHubFormat[] = ['binary', 'hex', 'json'];
const BYTES: readonly DataHubFormat[] = ['binary', 'hex'];
const TEXT = 'text/plain; charset=UTF-8';

const HASH = z.object({ hash: z.string() });
const COUNT = z.object({ n: z.string().optional() });
const LOCATED = z.object({ n: z.string().optional(), block_locator_hashes: z.string().optional() });

type Query = z.infer<typeof LOCATED>;

export function addDataHubRoutes(app: FastifyInstance, source: DataHubSource): void {
  const byHash = (hash: string) => source.header(hashOf(hash)) ?? unknown(hash);
  const located = ({ block_locator_hashes: locator, n }: Query, hash: string) =>
    source.headersFromAncestor(hashOf(hash), locatorOf(locator), countOf(n)) ?? unknown(hash);

  for (const format of FORMATS) {
    const suffix = format === 'binary' ? '' : `/${format}`;
    const one = (reply: FastifyReply, record: BlockHeaderRecord) =>
      send(reply, format, [record.header], headerJson(record));
    const many = (reply: FastifyReply, records: readonly BlockHeaderRecord[]) =>
      send(
        reply,
        format,
        records.map(({ header }) => header),
        records.map(headerJson),
      );

    add(app, `/bestblockheader${suffix}`, 'The best header.', {}, (reply) => one(reply, source.best()));
    add(app, `/header/:hash${suffix}`, 'A header.', { params: HASH }, (reply, hash) => one(reply, byHash(hash)));
    add(
      app,
      `/headers/:hash${suffix}`,
      'Headers from one back, newest first.',
      { params: HASH, querystring: COUNT },
      (reply, hash, { n }) => many(reply, source.headersBack(hashOf(hash), countOf(n)) ?? unknown(hash)),
    );
    const what = { params: HASH, querystring: LOCATED };
    add(
      app,
      `/headers_from_common_ancestor/:hash${suffix}`,
      'Headers from an ancestor on, oldest first.',
      what,
      (reply, hash, query) => many(reply, located(query, hash)),
    );
    add(
      app,
      `/headers_to_common_ancestor/:hash${suffix}`,
      'Headers back to an ancestor, newest first.',
      what,
      (reply, hash, query) => many(reply, located(query, hash).toReversed()),
    );
  }
  for (const format of BYTES) {
    const suffix = format === 'binary' ? '' : `/${format}`;
    const what = { params: HASH };
    add(app, `/block/:hash${suffix}`, 'A block that this node mined.', what, (reply, hash) =>
      send(reply, format, [source.block(hashOf(hash)) ?? unknown(hash)]),
    );
    add(app, `/subtree/:hash${suffix}`, 'The transaction hashes of such a block.', what, (reply, hash) =>
      send(reply, format, [source.subtree(hashOf(hash)) ?? unknown(hash)]),
    );
  }
}

type Answer = (reply: FastifyReply, hash: string, query: Query) => FastifyReply;

function add(app: FastifyInstance, path: string, summary: string, schema: object, answer: Answer): void {
  const operationId = path
    .replace('/:hash', '')
    .slice(1)
    .replace(/[_/](\w)/g, (_all, letter: string) => letter.toUpperCase());
  const described = { operationId, summary, tags: ['DataHub'], response: problems(400, 404, 429), ...schema };
  app.get(`${DATAHUB_PATH}${path}`, { schema: described }, async ({ params, query }, reply) =>
    answer(reply, (params as { readonly hash?: string }).hash ?? '', query as Query),
  );
}

function send(reply: FastifyReply, format: DataHubFormat, parts: readonly Uint8Array[], json?: unknown): FastifyReply {
  if (format === 'json') return reply.type('application/json').send(JSON.stringify(json, undefined, 2));
  const bytes = Buffer.concat(parts);
  return format === 'hex'
    ? reply.type(TEXT).send(bytes.toString('hex'))
    : reply.type('application/octet-stream').send(bytes);
}

function hashOf(text: string): Hash {
  const hash = parseHash(text);
  if (hash === undefined) throw refused(`invalid hash (expected ${HASH_DIGITS} hex digits)`);
  return hash;
}

function countOf(text: string | undefined): number {
  if (text === undefined || text === '0') return DEFAULT_COUNT;
  if (!/^\d{1,9}$/.test(text)) throw refused('invalid number of headers');
  return Math.min(Number(text), MAX_COUNT);
}

function locatorOf(text: string | undefined): BlockHash[] {
  if (text === undefined || text.length === 0 || text.length % HASH_DIGITS !== 0)
    throw refused(`invalid block_locator_hashes (expected hashes of ${HASH_DIGITS} hex digits, one after the other)`);
  const count = Math.min(text.length / HASH_DIGITS, MAX_LOCATOR);
  return Array.from({ length: count }, (_each, i) => hashOf(text.slice(i * HASH_DIGITS, (i + 1) * HASH_DIGITS)));
}

function refused(message: string): HttpProblem {
  return new HttpProblem(400, 'REQUEST_INVALID', message);
}

function unknown(hash: string): never {
  throw new HttpProblem(404, 'NOT_FOUND', `${hash} is not known here`);
}
