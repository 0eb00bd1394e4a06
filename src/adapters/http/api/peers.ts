// Operations on peers.
import { z } from 'zod';
import { P2PError } from '../../../lib/errors.ts';
import type { AdminApi } from '../../../ports/admin-api.ts';
import { parsePeerId } from '../../../wire/peer-id.ts';
import { HttpProblem } from '../server/http-problem.ts';
import { type Operation, operation } from './operation.ts';
import { PEER, PEER_ID, SCORE_REASON } from './schemas.ts';

const MAX_MULTIADDR_CHARS = 1024;
const params = z.object({ id: PEER_ID });

export function peerOperations(view: AdminApi): Operation[] {
  return [listPeers(view), getPeer(view), connectPeer(view), scorePeer(view), disconnectPeer(view)];
}

function listPeers(view: AdminApi): Operation {
  return operation({
    id: 'listPeers',
    method: 'GET',
    path: '/api/v1/peers',
    area: 'peers',
    summary: 'Exactly the connected peers.',
    answer: z.object({ peers: z.array(PEER) }),
    run: () => ({ peers: view.peers().map(written) }),
  });
}

function getPeer(view: AdminApi): Operation {
  return operation({
    id: 'getPeer',
    method: 'GET',
    path: '/api/v1/peers/:id',
    area: 'peers',
    summary: 'One connected peer.',
    params,
    answer: PEER,
    refusals: [404],
    run: ({ params: { id } }) => {
      if (parsePeerId(id) === undefined) throw new HttpProblem(400, 'INPUT_INVALID', 'this is no peer id');
      const peer = view.peers().find((each) => each.id === id);
      if (peer === undefined) throw notConnected();
      return written(peer);
    },
  });
}

function connectPeer(view: AdminApi): Operation {
  return operation({
    id: 'connectPeer',
    method: 'POST',
    path: '/api/v1/peers/connect',
    area: 'peers',
    summary: 'Dials a peer and stays connected.',
    body: z.strictObject({ address: z.string().min(1).max(MAX_MULTIADDR_CHARS).describe('A multiaddr.') }),
    answer: z.object({ peerId: z.string() }),
    refusals: [502],
    run: async ({ body: { address } }) => ({ peerId: await view.connect(address) }),
  });
}

function scorePeer(view: AdminApi): Operation {
  return operation({
    id: 'scorePeer',
    method: 'POST',
    path: '/api/v1/peers/:id/score',
    area: 'peers',
    summary: 'Adds the points of a reason to the score of a peer as author.',
    params,
    body: z.strictObject({ reason: SCORE_REASON }),
    answer: z.object({ score: z.number().describe('After it.') }),
    run: async ({ params: { id }, body: { reason } }) => ({ score: await view.addScore(id, reason) }),
  });
}

function disconnectPeer(view: AdminApi): Operation {
  return operation({
    id: 'disconnectPeer',
    method: 'DELETE',
    path: '/api/v1/peers/:id',
    area: 'peers',
    summary: 'Ends the connections of a peer.',
    params,
    answer: z.object({ disconnected: z.boolean() }),
    refusals: [404],
    run: async ({ params: { id } }) => {
      try {
        await view.disconnect(id);
      } catch (error) {
        throw error instanceof P2PError && error.code === 'PEER_UNREACHABLE' ? notConnected() : error;
      }
      return { disconnected: true };
    },
  });
}

function written(peer: ReturnType<AdminApi['peers']>[number]): z.input<typeof PEER> {
  return { ...peer, addresses: [...peer.addresses] };
}

function notConnected(): HttpProblem {
  return new HttpProblem(404, 'NOT_FOUND', 'there is no connection to this peer');
}
