// A typed client of this server's gRPC API, which the command line uses. The methods of PeerService also work with the
// Go service.

import { create, type DescMethod, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type ChainHeader, chainHeader } from '../adapters/grpc/chain-header-message.ts';
import { diagnosisOfMessage } from '../adapters/grpc/diagnosis-message.ts';
import { banEntry, connectedPeer, explanation, type PeerSummary, peerSummary } from '../adapters/grpc/messages.ts';
import { MAX_UNTIL_S } from '../adapters/grpc/peer-service.ts';
import { type NodeSummary, nodeSummary } from '../adapters/grpc/status-message.ts';
import { MAX_RESPONSE_BYTES, methodDefinition } from '../adapters/rpc/service-definition.ts';
import { type ClientTlsOptions, clientCredentials, clientTlsOptions } from '../adapters/rpc/tls.ts';
import type { BanEntry, Explanation, LiftedBan } from '../domain/ban.ts';
import { PeerService } from '../gen/p2p_api_pb.js';
import { type Ban, PolicyService } from '../gen/teranode_p2p_pb.js';
import { P2PError } from '../lib/errors.ts';
import type { PeerStanding, ScoreReason } from '../ports/admin-api.ts';
import type { Diagnosis } from '../ports/diagnosis.ts';
import { KEY_HEADER } from '../settings/admin-key.ts';
import { dialAddress } from '../settings/types.ts';

export interface PeerClientOptions {
  /** `host:port`, or as in the Teranode settings: `k8s:///name:port`, `http://host:port`. */
  readonly address: string;
  /** Required by calls that change state. */
  readonly adminKey?: string | undefined;
  /** Undefined: no TLS. */
  readonly tls?: ClientTlsOptions | undefined;
  /** Deadline of each call. Default 20 s, longer than the server's own. */
  readonly deadlineMs?: number | undefined;
}

/** Result of an attempt to connect or disconnect; `error` is empty on success. */
export interface AttemptOutcome {
  readonly success: boolean;
  readonly error: string;
}

/** Whether the server has stored a change that is in force; true for the Go service, which does not say. */
export type StoredOutcome = Pick<LiftedBan, 'isStored'>;

export interface UnbanOutcome extends StoredOutcome {
  /** False when there was nothing to lift. */
  readonly hadAny: boolean;
  readonly coveredBy: string | undefined;
}

/**
 * Every method throws P2PError RPC_FAILED with `details.grpcCode`, the name of the status (`UNAVAILABLE`,
 * `UNAUTHENTICATED`…).
 */
export interface PeerClient {
  getPeers(): Promise<PeerSummary[]>;
  /**
   * IP, CIDR, `host:port` or peer id; until unix ms, rounded up to whole seconds, at most ten years ahead. Undefined: the
   * server's default duration. `reason`: at most 200 characters; the Go service ignores it. `isStored` is false while the
   * server has not stored the ban: a restart before it does would lift it.
   */
  banPeer(subject: string, untilMs?: number, reason?: string): Promise<StoredOutcome>;
  /** `coveredBy`: subject of the ban that still covers this one. */
  unbanPeer(subject: string): Promise<UnbanOutcome>;
  isBanned(subject: string): Promise<boolean>;
  /** Keys of all bans in force. */
  listBanned(): Promise<string[]>;
  clearBanned(): Promise<StoredOutcome>;
  addBanScore(peerId: string, reason: ScoreReason): Promise<void>;
  connectPeer(multiaddr: string): Promise<AttemptOutcome>;
  disconnectPeer(peerId: string): Promise<AttemptOutcome>;
  /** Bans with their reasons; times in whole seconds. */
  listBans(): Promise<BanEntry[]>;
  /** A peer id, an IP, or a DataHub's host. */
  explain(subject: string): Promise<Explanation>;
  /** As `getPeers`, with what the choice of the sync peer depends on; times of the latter in ms. */
  listPeers(): Promise<(PeerSummary & PeerStanding)[]>;
  /** The node at a glance. `isBrief`: only what it knows at once, without chain and health. */
  status(isBrief?: boolean): Promise<NodeSummary>;
  /**
   * Headers of the node's own chain, newest first, from `block` on: the hash of any block, or the height of one of the
   * latest 100; empty: the tip. `count`: at most 100. Empty when there is no such block.
   */
  listHeaders(block: string, count: number): Promise<ChainHeader[]>;
  /** Why the node hears what it hears: dials, disconnects, topics of its peers, mesh, last messages. */
  diagnose(): Promise<Diagnosis>;
  /** Open calls end with an error. */
  close(): void;
}

const DEADLINE_MS = 20_000;

type Call = <M extends DescMethod>(
  method: M,
  fields: MessageInitShape<M['input']>,
) => Promise<MessageShape<M['output']>>;

/**
 * Connects with the first call. Throws ADDRESS_INVALID, ADMIN_KEY_REFUSED (not printable ASCII), SETTINGS_INVALID
 * (unusable certificate files).
 */
export function createPeerClient(options: PeerClientOptions): PeerClient {
  if (dialAddress.parse(options.address) === undefined) {
    throw new P2PError(
      'ADDRESS_INVALID',
      `invalid gRPC address "${options.address}" (expected ${dialAddress.expects})`,
    );
  }
  const hostPort = options.address.replace(/^(?:k8s:\/\/\/|https?:\/\/)/, '');
  const host = hostPort.slice(0, hostPort.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
  const metadata = keyMetadata(options.adminKey);
  const client = new Client(`dns:///${hostPort}`, clientCredentials(options.tls, host), {
    ...clientTlsOptions(host),
    'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
  });
  const call: Call = (method, fields) => unaryCall({ client, metadata, ...options }, method, fields);
  const peers = PeerService.method;
  const policy = PolicyService.method;
  return {
    getPeers: async () => (await call(peers.getPeers, {})).peers.map(peerSummary),
    banPeer: async (addr, untilMs, reason = '') =>
      stored(peers.banPeer, await call(peers.banPeer, { addr, until: untilSeconds(untilMs), reason })),
    unbanPeer: async (addr) => {
      const { ok, coveredBy, notStored } = await call(peers.unbanPeer, { addr });
      return { hadAny: ok, coveredBy: coveredBy || undefined, isStored: !notStored };
    },
    isBanned: async (ipOrSubnet) => (await call(peers.isBanned, { ipOrSubnet })).isBanned,
    listBanned: async () => (await call(peers.listBanned, {})).banned,
    clearBanned: async () => stored(peers.clearBanned, await call(peers.clearBanned, {})),
    addBanScore: async (peerId, reason) => {
      accepted(peers.addBanScore, await call(peers.addBanScore, { peerId, reason }));
    },
    connectPeer: async (peerAddress) => outcome(await call(peers.connectPeer, { peerAddress })),
    disconnectPeer: async (peerId) => outcome(await call(peers.disconnectPeer, { peerId })),
    listBans: async () => await allBans((offset, limit) => call(policy.listBans, { offset, limit })),
    explain: async (subject) => explanation(await call(policy.explain, { subject })),
    listPeers: async () => (await call(policy.listPeers, {})).peers.map(connectedPeer),
    status: async (isBrief = false) => nodeSummary(await call(policy.getStatus, { brief: isBrief })),
    listHeaders: async (block, count) => (await call(policy.listHeaders, { block, count })).headers.map(chainHeader),
    diagnose: async () => diagnosisOfMessage(await call(policy.diagnose, {})),
    close: () => client.close(),
  };
}

/** Bans in one answer. */
const PAGE_BANS = 5000;

/** Page after page. A server that knows no pages answers all at once, with a total of 0. */
async function allBans(
  page: (offset: number, limit: number) => Promise<{ bans: readonly Ban[]; total: number }>,
): Promise<BanEntry[]> {
  const found = new Map<string, BanEntry>();
  for (let offset = 0; ; offset += PAGE_BANS) {
    const { bans, total } = await page(offset, PAGE_BANS);
    for (const ban of bans) found.set(ban.key, banEntry(ban));
    if (bans.length === 0 || offset + PAGE_BANS >= total) return [...found.values()];
  }
}

interface Connection extends PeerClientOptions {
  readonly client: Client;
  readonly metadata: Metadata;
}

function unaryCall<M extends DescMethod>(
  { client, metadata, address, deadlineMs }: Connection,
  method: M,
  fields: MessageInitShape<M['input']>,
): Promise<MessageShape<M['output']>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const deadline = Date.now() + (deadlineMs ?? DEADLINE_MS);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(method.input, fields) as MessageShape<M['input']>,
      metadata,
      { deadline },
      (error, response) => {
        if (error !== null || response === undefined) reject(failure(method, address, error));
        else resolve(response);
      },
    );
  });
}

function failure(method: DescMethod, address: string, error: ServiceError | null): P2PError {
  const grpcCode = status[error?.code ?? status.UNKNOWN];
  const said = (error?.details || 'no response').replace(/\.? Resolution note: $/, '');
  const message =
    error?.code === status.UNAVAILABLE
      ? `the gRPC server at ${address} is not available: ${said}`
      : `${method.name} at ${address} failed with ${grpcCode}: ${said}`;
  return new P2PError('RPC_FAILED', message, { details: { grpcCode, method: method.name, address }, cause: error });
}

function accepted(method: DescMethod, response: { readonly ok: boolean }): void {
  if (response.ok) return;
  throw new P2PError('RPC_FAILED', `${method.name} was refused without a reason`, { details: { grpcCode: 'OK' } });
}

function stored(method: DescMethod, response: { readonly ok: boolean; readonly notStored: boolean }): StoredOutcome {
  accepted(method, response);
  return { isStored: !response.notStored };
}

function outcome({ success, error }: AttemptOutcome): AttemptOutcome {
  return { success, error };
}

function untilSeconds(untilMs: number | undefined): bigint {
  if (untilMs === undefined) return 0n;
  if (Number.isNaN(untilMs))
    throw new P2PError('INPUT_INVALID', 'invalid end of a ban (expected Unix milliseconds, or undefined)');
  return BigInt(Math.max(1, Math.min(Math.ceil(untilMs / 1000), MAX_UNTIL_S)));
}

/** Without the library's own error, which would show the key. */
function keyMetadata(adminKey: string | undefined): Metadata {
  const metadata = new Metadata();
  try {
    if (adminKey) metadata.set(KEY_HEADER, adminKey);
    return metadata;
  } catch {
    throw new P2PError(
      'ADMIN_KEY_REFUSED',
      'invalid admin key (expected printable ASCII, because it is sent in a header)',
    );
  }
}
