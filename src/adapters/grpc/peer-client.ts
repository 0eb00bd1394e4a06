// A typed client of the gRPC that this server offers; its PeerService half works with the Go service too. The command line stands on it.
import { create, type DescMethod, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { P2PError } from '../../errors.ts';
import { PeerService } from '../../gen/p2p_api_pb.js';
import { PolicyService } from '../../gen/teranode_p2p_pb.js';
import type { BanEntry } from '../../ports/ban-store.ts';
import type { Explanation } from '../../ports/peer-admin.ts';
import { KEY_HEADER } from './call-guard.ts';
import { banEntry, explanation, type PeerSummary, peerSummary } from './messages.ts';
import type { ScoreReason } from './peer-service.ts';
import { MAX_RESPONSE_BYTES, methodDefinition } from './service-definition.ts';
import { type ClientTlsOptions, clientCredentials } from './tls.ts';

export interface PeerClientOptions {
  /** `host:port`, or as Teranode's settings write it: `k8s:///name:port`, `http://host:port`. */
  readonly address: string;
  /** Needed by calls that change something. */
  readonly adminKey?: string | undefined;
  /** Undefined: plain. */
  readonly tls?: ClientTlsOptions | undefined;
  /** Of each call; default 20 s, longer than the server's own. */
  readonly deadlineMs?: number | undefined;
}

/** How an attempt to connect or disconnect went; `error` is empty on success. */
export interface AttemptOutcome {
  readonly success: boolean;
  readonly error: string;
}

/** Every method throws P2PError RPC_FAILED with `details.grpcCode`, the name of the status (`UNAVAILABLE`, `UNAUTHENTICATED`…). */
export interface PeerClient {
  getPeers(): Promise<PeerSummary[]>;
  /** IP, CIDR, `host:port` or peer id; until unix ms, rounded up to whole seconds. Undefined: the server's default duration. */
  banPeer(subject: string, untilMs?: number): Promise<void>;
  /** False when there was nothing to lift. */
  unbanPeer(subject: string): Promise<boolean>;
  isBanned(subject: string): Promise<boolean>;
  /** Keys of all bans in force. */
  listBanned(): Promise<string[]>;
  clearBanned(): Promise<void>;
  addBanScore(peerId: string, reason: ScoreReason): Promise<void>;
  connectPeer(multiaddr: string): Promise<AttemptOutcome>;
  disconnectPeer(peerId: string): Promise<AttemptOutcome>;
  /** Bans with their reasons; times in whole seconds. */
  listBans(): Promise<BanEntry[]>;
  /** A peer id, an IP, or a DataHub's host. */
  explain(subject: string): Promise<Explanation>;
  /** Open calls end with an error. */
  close(): void;
}

const DEADLINE_MS = 20_000;

type Call = <M extends DescMethod>(
  method: M,
  fields: MessageInitShape<M['input']>,
) => Promise<MessageShape<M['output']>>;

/** Connects with the first call. Throws SETTINGS_INVALID for certificate files that cannot be used. */
export function createPeerClient(options: PeerClientOptions): PeerClient {
  const client = new Client(target(options.address), clientCredentials(options.tls), {
    'grpc.max_receive_message_length': MAX_RESPONSE_BYTES,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
  });
  const call: Call = (method, fields) => unaryCall(client, options, method, fields);
  const peers = PeerService.method;
  const policy = PolicyService.method;
  return {
    getPeers: async () => (await call(peers.getPeers, {})).peers.map(peerSummary),
    banPeer: async (addr, untilMs) => {
      accepted(peers.banPeer, await call(peers.banPeer, { addr, until: untilSeconds(untilMs) }));
    },
    unbanPeer: async (addr) => (await call(peers.unbanPeer, { addr })).ok,
    isBanned: async (ipOrSubnet) => (await call(peers.isBanned, { ipOrSubnet })).isBanned,
    listBanned: async () => (await call(peers.listBanned, {})).banned,
    clearBanned: async () => accepted(peers.clearBanned, await call(peers.clearBanned, {})),
    addBanScore: async (peerId, reason) => {
      accepted(peers.addBanScore, await call(peers.addBanScore, { peerId, reason }));
    },
    connectPeer: async (peerAddress) => outcome(await call(peers.connectPeer, { peerAddress })),
    disconnectPeer: async (peerId) => outcome(await call(peers.disconnectPeer, { peerId })),
    listBans: async () => (await call(policy.listBans, {})).bans.map(banEntry),
    explain: async (subject) => explanation(await call(policy.explain, { subject })),
    close: () => client.close(),
  };
}

function unaryCall<M extends DescMethod>(
  client: Client,
  options: PeerClientOptions,
  method: M,
  fields: MessageInitShape<M['input']>,
): Promise<MessageShape<M['output']>> {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const metadata = new Metadata();
  if (options.adminKey) metadata.set(KEY_HEADER, options.adminKey);
  const deadline = Date.now() + (options.deadlineMs ?? DEADLINE_MS);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      create(method.input, fields) as MessageShape<M['input']>,
      metadata,
      { deadline },
      (error, response) => {
        if (error !== null || response === undefined) reject(failure(method, options.address, error));
        else resolve(response);
      },
    );
  });
}

function failure(method: DescMethod, address: string, error: ServiceError | null): P2PError {
  const grpcCode = status[error?.code ?? status.UNKNOWN];
  const said = (error?.details || 'no answer').replace(/\.? Resolution note: $/, '');
  const message =
    error?.code === status.UNAVAILABLE
      ? `no gRPC server could be asked at ${address}: ${said}`
      : `${method.name} at ${address} failed with ${grpcCode}: ${said}`;
  return new P2PError('RPC_FAILED', message, { details: { grpcCode, method: method.name, address }, cause: error });
}

function accepted(method: DescMethod, response: { readonly ok: boolean }): void {
  if (response.ok) return;
  throw new P2PError('RPC_FAILED', `${method.name} was refused without a reason`, { details: { grpcCode: 'OK' } });
}

function outcome({ success, error }: AttemptOutcome): AttemptOutcome {
  return { success, error };
}

function untilSeconds(untilMs: number | undefined): bigint {
  return untilMs === undefined ? 0n : BigInt(Math.ceil(untilMs / 1000));
}

/** gRPC's form of an address. */
function target(address: string): string {
  return `dns:///${address.replace(/^(?:k8s:\/\/\/|https?:\/\/)/, '')}`;
}
