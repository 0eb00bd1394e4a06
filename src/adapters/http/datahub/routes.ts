// This node's own DataHub, for a node that keeps its chain itself: headers, the blocks that it mined and their subtrees
// by the paths and in the formats of Teranode's asset service. Open to everyone: peers have no key, and all of it is
// public.
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import type { BlockHash, Hash } from '../../../domain/ids.ts';
import type { BlockHeaderRecord } from '../../../ports/blockchain-client.ts';
import type { DataHubSource } from '../../../ports/datahub-source.ts';
import { parseHash } from '../../../wire/hash.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { headerJson } from './header-json.ts';

export const DATAHUB_PATH = '/api/v1';
/** As the asset service. */
const DEFAULT_COUNT = 100;
/** The asset service sends 10,000; a client asks on from where an answer ends. */
const MAX_COUNT = 2000;
const MAX_LOCATOR = 64;
const HASH_DIGITS = 64;
const TEXT = 'text/plain; charset=UTF-8';
const BINARY = 'application/octet-stream';

const PARAMS = z.object({ hash: z.string().optional() });
const QUERY = z.object({ n: z.string().optional(), block_locator_hashes: z.string().optional() });

type Query = z.infer<typeof QUERY>;

export function addDataHubRoutes(app: FastifyInstance, source: DataHubSource): void {
  const located = (query: Query, hash: string) =>
    source.headersFromAncestor(hashOf(hash), locatorOf(query.block_locator_hashes), countOf(query.n)) ??
    unknown(`${hash}, or an ancestor of it in block_locator_hashes,`);
  /** Headers by their paths: one, or a list. */
  const headers: Readonly<Record<string, (hash: string, query: Query) => Headers>> = {
    bestblockheader: () => source.best(),
    'header/:hash': (hash) => source.header(hashOf(hash)) ?? unknown(hash),
    'headers/:hash': (hash, { n }) => source.headersBack(hashOf(hash), countOf(n)) ?? unknown(hash),
    'headers_from_common_ancestor/:hash': (hash, query) => located(query, hash),
    'headers_to_common_ancestor/:hash': (hash, query) => located(query, hash).toReversed(),
  };
  const bytes: Readonly<Record<string, (hash: string) => Uint8Array>> = {
    'block/:hash': (hash) => source.block(hashOf(hash)) ?? unknown(hash),
    'subtree/:hash': (hash) => source.subtree(hashOf(hash)) ?? unknown(hash),
  };
  for (const [path, answer] of Object.entries(headers)) {
    const joined = (hash: string, query: Query) =>
      Buffer.concat([answer(hash, query)].flat().map(({ header }: BlockHeaderRecord) => header));
    addBytes(app, path, joined);
    add(app, `${path}/json`, (reply, hash, query) => {
      const found = answer(hash, query);
      const json = 'hash' in found ? headerJson(found) : found.map(headerJson);
      return reply.type('application/json').send(JSON.stringify(json, undefined, 2));
    });
  }
  for (const [path, answer] of Object.entries(bytes)) addBytes(app, path, answer);
}

type Headers = BlockHeaderRecord | readonly BlockHeaderRecord[];
type Answer = (reply: FastifyReply, hash: string, query: Query) => FastifyReply;

/** The binary form, and the hexadecimal one. */
function addBytes(app: FastifyInstance, path: string, bytesOf: (hash: string, query: Query) => Uint8Array): void {
  add(app, path, (reply, hash, query) => reply.type(BINARY).send(Buffer.from(bytesOf(hash, query))));
  add(app, `${path}/hex`, (reply, hash, query) =>
    reply.type(TEXT).send(Buffer.from(bytesOf(hash, query)).toString('hex')),
  );
}

/** Not in the OpenAPI document, which is of this node's own API: these are Teranode's. */
function add(app: FastifyInstance, path: string, answer: Answer): void {
  const schema = { hide: true, params: PARAMS, querystring: QUERY };
  app.get(`${DATAHUB_PATH}/${path}`, { schema }, async ({ params, query }, reply) =>
    answer(reply, (params as z.infer<typeof PARAMS>).hash ?? '', query as Query),
  );
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

function unknown(what: string): never {
  throw new HttpProblem(404, 'NOT_FOUND', `${what} is not known here`);
}
