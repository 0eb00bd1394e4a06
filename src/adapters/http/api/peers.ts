// API routes for peers.
import { z } from 'zod';
import { P2PError } from '../../../lib/errors.ts';
import type { AdminApi } from '../../../ports/admin-api.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { type Api, answers, OF_BODY, OF_PATH } from './api.ts';
import { PEER, PEER_ID, SCORE_REASON } from './schemas.ts';

const MAX_MULTIADDR_CHARS = 1024;
const PARAMS = z.object({ id: PEER_ID });
const PEERS_PATH = '/api/v1/peers';

export function addPeerRoutes(api: Api, admin: AdminApi): void {
  addReads(api, admin);
  addConnect(api, admin);
  addScore(api, admin);
  addDisconnect(api, admin);
}

function addReads(api: Api, admin: AdminApi): void {
  api.route({
    method: 'GET',
    url: PEERS_PATH,
    config: { access: 'peers' },
    schema: {
      operationId: 'listPeers',
      tags: ['peers'],
      summary: 'Lists the connected peers.',
      response: answers(z.object({ peers: z.array(PEER) }).describe('The connected peers.')),
    },
    handler: async () => ({ peers: admin.peers().map(peerAnswer) }),
  });
  api.route({
    method: 'GET',
    url: `${PEERS_PATH}/:id`,
    config: { access: 'peers' },
    schema: {
      operationId: 'getPeer',
      tags: ['peers'],
      summary: 'Returns one connected peer.',
      params: PARAMS,
      response: answers(PEER, ...OF_PATH, 404),
    },
    handler: async ({ params: { id } }) => {
      const peer = admin.peer(id);
      if (peer === undefined) throw notConnected(id);
      return peerAnswer(peer);
    },
  });
}

function addConnect(api: Api, admin: AdminApi): void {
  api.route({
    method: 'POST',
    url: `${PEERS_PATH}/connect`,
    config: { access: 'admin' },
    schema: {
      operationId: 'connectPeer',
      tags: ['peers'],
      summary: 'Connects to a peer and stays connected.',
      body: z.strictObject({
        address: z.string().min(1).max(MAX_MULTIADDR_CHARS).describe('Multiaddr, such as /ip4/192.0.2.7/tcp/9905.'),
      }),
      response: answers(z.object({ peerId: z.string() }).describe('Connected.'), ...OF_BODY, 502),
    },
    handler: async ({ body: { address } }) => ({ peerId: await admin.connect(address) }),
  });
}

function addScore(api: Api, admin: AdminApi): void {
  api.route({
    method: 'POST',
    url: `${PEERS_PATH}/:id/score`,
    config: { access: 'admin' },
    schema: {
      operationId: 'scorePeer',
      tags: ['peers'],
      summary: 'Adds the points of a reason to the ban score of a peer as author.',
      params: PARAMS,
      body: z.strictObject({ reason: SCORE_REASON }),
      response: answers(
        z.object({ score: z.number().describe('The score after the addition.') }).describe('Points added.'),
        ...OF_PATH,
        ...OF_BODY,
      ),
    },
    handler: async ({ params: { id }, body: { reason } }) => ({ score: await admin.addScore(id, reason) }),
  });
}

function addDisconnect(api: Api, admin: AdminApi): void {
  api.route({
    method: 'DELETE',
    url: `${PEERS_PATH}/:id`,
    config: { access: 'admin' },
    schema: {
      operationId: 'disconnectPeer',
      tags: ['peers'],
      summary: 'Closes all connections to a peer.',
      params: PARAMS,
      response: answers(z.object({ disconnected: z.boolean() }).describe('Disconnected.'), ...OF_PATH, ...OF_BODY, 404),
    },
    handler: async ({ params: { id } }) => {
      try {
        await admin.disconnect(id);
      } catch (error) {
        throw error instanceof P2PError && error.code === 'PEER_UNREACHABLE' ? notConnected(id) : error;
      }
      return { disconnected: true };
    },
  });
}

function peerAnswer(peer: ReturnType<AdminApi['peers']>[number]): z.output<typeof PEER> {
  const { addresses, wires, txCount, feePolicy } = peer;
  return {
    ...peer,
    addresses: [...addresses],
    wires: [...wires],
    txCount: txCount === undefined ? undefined : Number(txCount),
    feePolicy: feePolicy && {
      miningFee: feePolicy.miningFee,
      maxScriptSize: Number(feePolicy.maxScriptSize),
      maxTxSize: Number(feePolicy.maxTxSize),
      maxTxSigops: Number(feePolicy.maxTxSigops),
    },
  };
}

function notConnected(id: string): HttpProblem {
  return new HttpProblem(404, 'NOT_FOUND', `peer ${id} is not connected`);
}
