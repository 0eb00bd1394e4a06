// A gRPC server on loopback over a fake AdminApi, and calls to it as any client may make them: with raw bytes, any
// metadata, no admin key.

import { create, type DescMethod, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { Client, type ClientUnaryCall, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach } from 'vitest';
import { GrpcServer, type GrpcServerOptions } from '../../src/adapters/grpc/grpc-server.ts';
import { AdminKeys } from '../../src/adapters/listeners/admin-keys.ts';
import { methodDefinition } from '../../src/adapters/rpc/service-definition.ts';
import type { Explanation } from '../../src/domain/ban.ts';
import type { BlockHash, PeerId } from '../../src/domain/ids.ts';
import { citedRules } from '../../src/domain/offences.ts';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import { PolicyService } from '../../src/gen/teranode_p2p_pb.js';
import type { PeerView } from '../../src/ports/admin-api.ts';
import { systemClock } from '../../src/ports/clock.ts';
import { parseHash } from '../../src/wire/hash.ts';
import { FakeAdminApi } from '../fakes/admin-api.ts';
import { RecordedMetrics, recordingLogger } from '../fakes/recorders.ts';

export const ADMIN_KEY = 'a key for tests only, 0815';
export const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
export const NO_TLS = { level: 0, certFile: undefined, keyFile: undefined, caFile: undefined };

/** Of a block or a subtree. */
export const HASH = 'ab'.repeat(32) as BlockHash;

/** A peer of which everything is known. */
export const KNOWN_PEER: PeerView = {
  clientName: 'A name',
  wires: ['message-bus'],
  storage: 'full',
  propagationUrl: 'https://tx.example',
  minMiningTxFee: 0.00000001,
  feePolicy: {
    miningFee: { satoshis: 1, bytes: 1000 },
    maxScriptSize: 500_000n,
    maxTxSize: 10_485_760n,
    maxTxSigops: 0n,
  },
  txCount: 12n,
  subtreeCount: 3,
  connectedPeersCount: 9,
  id: PEER,
  addresses: ['/ip4/192.0.2.7/tcp/9905', '/ip6/2001:db8::7/tcp/9905'],
  localAddress: '/ip4/192.0.2.1/tcp/9905/p2p/12D3KooWCv5gciT4GsWGpxJLa8nmCNkE6Y8FpMgM5vnfVfVGwUXB',
  direction: 'inbound',
  connectedAtMs: 1_700_000_000_999,
  agentVersion: 'teranode/bitcoin/v0.1.0',
  services: '18446744073709551615',
  lastSendMs: 1_700_000_100_500,
  lastReceiveMs: 1_700_000_200_500,
  bytesSent: 5_000_000_000,
  bytesReceived: 123,
  pingMs: 1.25,
  startingHeight: 886_000,
  height: 886_001,
  bestBlockHash: 'cd'.repeat(32) as BlockHash,
  claimedAtMs: 1_700_000_150_500,
  provenHeight: 886_000,
  provenHash: 'ef'.repeat(32) as BlockHash,
  dataHubUrl: 'https://hub.example/api/v1',
  dataHubHealth: 'healthy',
  lastMessageMs: 1_700_000_160_500,
  isBanned: false,
  banScore: 30,
  isWhitelisted: true,
  firstDeliveryShare: 0.25,
  meanDelayMs: 12.5,
};

/** Every field filled, with and without what may be missing. */
export const EXPLANATION: Explanation = {
  subject: PEER,
  scores: [{ role: 'author', score: 30 }],
  scoreKeptBy: 'blockchain service',
  shadowScores: [{ role: 'relay', score: 5 }],
  threshold: 100,
  offences: [
    {
      subject: PEER,
      role: 'author',
      reason: 'catch_up_failure',
      points: 30,
      rule: 'peer_failure',
      topic: 'teranode-block',
      hash: parseHash('ab'.repeat(32)),
      atMs: 1_700_000_000_123,
      isShadow: false,
    },
    {
      subject: 'hub.example:8090',
      role: 'datahub',
      reason: 'unknown',
      points: 1,
      rule: 'operator',
      topic: '',
      hash: undefined,
      atMs: 1_700_000_000_124,
      isShadow: true,
    },
  ],
  rules: citedRules([{ rule: 'peer_failure' }, { rule: 'operator' }]),
  inForce: [
    {
      key: '192.0.2.7',
      kind: 'address',
      untilMs: 1_800_000_000_000,
      createdAtMs: 1_700_000_000_000,
      reason: 'score 100',
      evidence: 'author_is_peer_id on teranode-block',
      source: 'automatic',
      causedBy: PEER,
    },
  ],
  withheld: ['ban of 198.51.100.9'],
  isWhitelisted: false,
  addressesSeen: ['192.0.2.7'],
};

/** Each method that changes something, with a right request. */
export const CHANGES = [
  [PeerService.method.banPeer, { addr: '192.0.2.1' }],
  [PeerService.method.unbanPeer, { addr: '192.0.2.1' }],
  [PeerService.method.clearBanned, {}],
  [PeerService.method.addBanScore, { peerId: PEER, reason: 'spam' }],
  [PeerService.method.connectPeer, { peerAddress: '/ip4/192.0.2.7/tcp/9905' }],
  [PeerService.method.disconnectPeer, { peerId: PEER }],
  [PeerService.method.recordCatchupAttempt, { peerId: PEER }],
  [PeerService.method.recordCatchupSuccess, { peerId: PEER, durationMs: 1234n }],
  [PeerService.method.recordCatchupFailure, { peerId: PEER }],
  [PeerService.method.recordCatchupMalicious, { peerId: PEER }],
  [PeerService.method.updateCatchupError, { peerId: PEER, errorMsg: 'no such block' }],
  [PeerService.method.updateCatchupReputation, { peerId: PEER, score: 42.5 }],
  [PeerService.method.reportValidSubtree, { peerId: PEER, subtreeHash: HASH }],
  [PeerService.method.reportValidBlock, { peerId: PEER, blockHash: HASH }],
  [PeerService.method.reportValidBlockHeaders, { peerId: PEER, durationMs: 1234n }],
  [
    PeerService.method.reportValidatedChainProgress,
    { peerId: PEER, height: 7, blockHash: HASH, chainWork: new Uint8Array([1, 0]) },
  ],
  [PeerService.method.recordBytesDownloaded, { peerId: PEER, bytesDownloaded: 5_000_000_000n }],
  [PeerService.method.resetReputation, { peerId: PEER }],
] as const;
/** Each method that changes nothing. */
export const READINGS = [
  [PeerService.method.getPeers, {}],
  [PeerService.method.isBanned, { ipOrSubnet: '192.0.2.1' }],
  [PeerService.method.listBanned, {}],
  [PeerService.method.getPeersForCatchup, {}],
  [PeerService.method.isPeerMalicious, { peerId: PEER }],
  [PeerService.method.isPeerUnhealthy, { peerId: PEER }],
  [PeerService.method.getPeerRegistry, {}],
  [PeerService.method.getPeer, { peerId: PEER }],
  [PolicyService.method.listBans, {}],
  [PolicyService.method.explain, { subject: PEER }],
  [PolicyService.method.listPeers, {}],
  [PolicyService.method.getStatus, {}],
  [PolicyService.method.listHeaders, {}],
  [PolicyService.method.diagnose, {}],
] as const;

export interface RunningGrpc {
  readonly server: GrpcServer;
  /** `host:port` as bound. */
  readonly address: string;
  readonly admin: FakeAdminApi;
  readonly metrics: RecordedMetrics;
  readonly log: ReturnType<typeof recordingLogger>;
}

const undo: (() => Promise<void> | void)[] = [];

/** To be called in a test file that uses `serveGrpc` or `rawClient`; `first` ends what the file made itself. */
export function stopGrpcAfterEach(first: () => Promise<void> = async () => {}): void {
  afterEach(async () => {
    await first();
    for (const each of undo.splice(0).reverse()) await each();
  });
}

export async function serveGrpc(
  options: Partial<GrpcServerOptions> & { readonly adminKey?: string; readonly adminKeys?: AdminKeys } = {},
): Promise<RunningGrpc> {
  const admin = new FakeAdminApi();
  const metrics = new RecordedMetrics();
  const log = recordingLogger();
  const { adminKey = ADMIN_KEY, ...given } = options;
  const adminKeys = options.adminKeys ?? new AdminKeys({ log, metrics, clock: systemClock }, { adminKey });
  const server = new GrpcServer(
    { admin, adminKeys, metrics, log },
    { listenAddress: '127.0.0.1:0', tls: NO_TLS, ...given },
  );
  undo.push(() => server.stop());
  await server.start();
  return { server, address: server.address() ?? '', admin, metrics, log };
}

export function rawClient(address: string): Client {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  undo.push(() => client.close());
  return client;
}

export interface RawCall {
  /** Values of x-api-key. */
  readonly keys?: readonly string[];
  readonly deadlineMs?: number;
}

/** Name of the status, its text, and the response if there is one. */
export interface RawAnswer<M extends DescMethod> {
  readonly code: string;
  readonly details: string;
  readonly response: MessageShape<M['output']> | undefined;
}

/** One call with these fields, or with bytes as they are. */
export function rawCall<M extends DescMethod>(
  client: Client,
  method: M,
  request: MessageInitShape<M['input']> | Buffer,
  options: RawCall = {},
): Promise<RawAnswer<M>> {
  return startRawCall(client, method, request, options).answer;
}

export function startRawCall<M extends DescMethod>(
  client: Client,
  method: M,
  request: MessageInitShape<M['input']> | Buffer,
  options: RawCall = {},
): { readonly call: ClientUnaryCall; readonly answer: Promise<RawAnswer<M>> } {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const metadata = new Metadata();
  for (const key of options.keys ?? []) metadata.add('x-api-key', key);
  const bytes = Buffer.isBuffer(request)
    ? request
    : requestSerialize(create(method.input, request) as MessageShape<M['input']>);
  const answered = Promise.withResolvers<RawAnswer<M>>();
  const call = client.makeUnaryRequest(
    path,
    (each: Buffer) => each,
    responseDeserialize,
    bytes,
    metadata,
    { deadline: Date.now() + (options.deadlineMs ?? 10_000) },
    (error: ServiceError | null, response) =>
      answered.resolve({ code: status[error?.code ?? status.OK], details: error?.details ?? '', response }),
  );
  return { call, answer: answered.promise };
}
