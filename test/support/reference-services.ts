// A process that stands in for the node's blockchain, block validation and block assembly services: gRPC by the same
// .proto files, behaving as wire.md says of the real ones. Options come as JSON in its first argument; commands as JSON
// lines on stdin, answered on stdout by their id.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type JsonValue,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { timestampNow } from '@bufbuild/protobuf/wkt';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { methodDefinition } from '../../src/adapters/rpc/service-definition.ts';
import type { BlockHash, Hash } from '../../src/domain/ids.ts';
import { BlockAssemblyAPI, type StateMessageSchema } from '../../src/gen/blockassembly_api_pb.js';
import {
  BlockchainAPI,
  FSMStateType,
  type GetBlockHeaderRequest,
  type GetStateRequest,
  type NotificationSchema,
  PeerRegistryService,
  type SetStateRequest,
} from '../../src/gen/blockchain_api_pb.js';
import { BlockValidationAPI } from '../../src/gen/blockvalidation_api_pb.js';
import { NotificationType } from '../../src/gen/model_pb.js';
import type { BlockHeaderRecord, FsmState } from '../../src/ports/blockchain-client.ts';
import { hashFromBytes, hashToBytes } from '../../src/wire/hash.ts';
import { parseHeader } from '../../src/wire/header.ts';
import { ReferenceChain, type ReferenceChainOptions } from './reference-chain.ts';
import { ReferenceFaults } from './reference-faults.ts';
import { ReferencePeerRegistry } from './reference-peer-registry.ts';

export interface ReferenceServiceOptions extends ReferenceChainOptions {
  /** On loopback; 0 takes a free one. */
  readonly port: number;
  /** PEM files; with `caFile` clients need a certificate that it signed. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string } | undefined;
  /** Calls without it in `x-api-key` are refused. */
  readonly apiKey?: string | undefined;
  /** Whether the blockchain service keeps peers and scores, as those of 2026 do. Default false. */
  readonly hasPeerRegistry?: boolean | undefined;
}

/** A notification as the control channel writes it: hash as bytes in hex, so that it may be wrong. */
export interface RawNotification {
  readonly type: number;
  readonly hash?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

type BlockAssemblyState = MessageInitShape<typeof StateMessageSchema>;
type Answer = Promise<object> | object;

const NO_HASH = new Uint8Array(32);
const EVENTS: Readonly<Record<FsmState, string>> = {
  IDLE: 'STOP',
  RUNNING: 'RUN',
  CATCHINGBLOCKS: 'CATCHUPBLOCKS',
  LEGACYSYNCING: 'LEGACYSYNC',
};

class ReferenceServices {
  readonly faults = new ReferenceFaults();
  private readonly options: ReferenceServiceOptions;
  private readonly server = new Server({ 'grpc.max_send_message_length': -1 });
  private readonly subscriptions = new Set<ServerWritableStream<unknown, object>>();
  private readonly idle = new Set<() => void>();
  private opened: ReferenceChain | undefined;
  private registry: ReferencePeerRegistry | undefined;
  private isMute = false;
  /** Whether headers say that the subtrees of their blocks are stored. */
  private hasSubtrees = true;
  private readonly health = new Map<string, { ok: boolean; details: string }>();
  private assembly: BlockAssemblyState = {};

  constructor(options: ReferenceServiceOptions) {
    this.options = options;
  }

  private get chain(): ReferenceChain {
    if (this.opened === undefined) throw new Error('not started');
    return this.opened;
  }

  /** Resolves with `host:port`. */
  async start(): Promise<string> {
    this.opened = await ReferenceChain.open(this.options, {
      block: (hash) => this.notify(NotificationType.Block, hash),
      subtree: (hash) => this.notify(NotificationType.Subtree, hash),
      miningOn: (hash) => this.notify(NotificationType.MiningOn, hash),
      fsmState: (state) => this.fsmChanged(state),
    });
    this.serve(BlockchainAPI, this.blockchain());
    if (this.options.hasPeerRegistry === true) {
      this.registry = new ReferencePeerRegistry(`${this.options.dataFile}.peers.json`);
      this.serve(PeerRegistryService, this.registry.handlers());
    }
    this.serve(BlockValidationAPI, { HealthGRPC: () => this.healthOf('blockvalidation') });
    this.serve(BlockAssemblyAPI, {
      HealthGRPC: () => this.healthOf('blockassembly'),
      GetBlockAssemblyState: () => this.assembly,
    });
    const address = `127.0.0.1:${this.options.port}`;
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = serverCredentials(this.options.tls);
      this.server.bindAsync(address, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    return `127.0.0.1:${port}`;
  }

  /** Orderly: streams end, calls under way are answered. */
  async stop(): Promise<void> {
    for (const each of this.subscriptions) each.end();
    const late = setTimeout(() => this.server.forceShutdown(), 1000);
    await new Promise<void>((resolve) => this.server.tryShutdown(() => resolve()));
    clearTimeout(late);
    await this.opened?.close();
  }

  /** Command of the control channel by name; see `ReferenceServiceProcess` for what each does. */
  readonly commands: Readonly<Record<string, (args: Record<string, unknown>) => unknown>> = {
    mine: async ({ count = 1, on }) => {
      const mined: object[] = [];
      for (let i = 0; i < Number(count); i += 1) mined.push(shown(await this.chain.mine(on as BlockHash | undefined)));
      return mined;
    },
    addHeader: async ({ header, isInvalid }) =>
      shown(await this.chain.add(Buffer.from(String(header), 'hex'), isInvalid === true)),
    invalidate: ({ hash }) => this.chain.invalidate(hash as BlockHash),
    best: async () => shown(await this.chain.best()),
    setFsmState: ({ state }) => this.chain.setFsmState(state as FsmState),
    notify: ({ notification }) => this.emit(notification as RawNotification),
    mute: ({ isMute }) => {
      this.isMute = isMute === true;
    },
    endSubscriptions: ({ code }) => {
      for (const each of this.subscriptions) each.emit('error', { code: status[code as keyof typeof status] });
      this.subscriptions.clear();
    },
    stall: ({ method }) => this.faults.stall(method as string | undefined),
    resume: () => this.faults.resume(),
    loseAnswer: ({ method, code }) => this.faults.loseAnswer(String(method), String(code)),
    fail: ({ method, code, times }) => this.faults.fail(String(method), String(code), times as number | undefined),
    answer: ({ method, hex, padding = 0 }) =>
      this.faults.answer(
        String(method),
        Buffer.concat([Buffer.from(String(hex), 'hex'), Buffer.alloc(Number(padding))]),
      ),
    heal: () => this.faults.heal(),
    setHealth: ({ service, ok, details }) =>
      this.health.set(String(service), { ok: ok === true, details: String(details) }),
    setAssembly: ({ state }) => {
      const { txCount, queueCount, ...rest } = state as Record<string, unknown>;
      this.assembly = { ...rest, txCount: BigInt(String(txCount)), queueCount: BigInt(String(queueCount)) };
    },
    registryCalls: () => this.registry?.calls ?? [],
    askRegistry: ({ method, fields }) => this.registry?.ask(String(method), fields as JsonValue),
    advanceRegistry: ({ ms }) => this.registry?.advance(Number(ms)),
    setSubtrees: ({ are }) => {
      this.hasSubtrees = are === true;
    },
    counts: ({ method }) => ({
      calls: this.faults.count(method as string | undefined),
      subscriptions: this.subscriptions.size,
    }),
  };

  private blockchain(): Readonly<Record<string, (request: never, cancelled: AbortSignal) => Answer>> {
    return {
      HealthGRPC: () => this.healthOf('blockchain'),
      // Leaves id, peer_id and invalid empty.
      GetBestBlockHeader: async () => {
        const best = await this.chain.best();
        return { ...headerFields(best), chainWork: Buffer.from(best.chainWork.toString(16).padStart(64, '0'), 'hex') };
      },
      // Leaves chain_work empty.
      GetBlockHeader: async ({ blockHash }: GetBlockHeaderRequest) => {
        if (blockHash.byteLength !== 32) throw failed(status.INVALID_ARGUMENT, 'a hash has 32 bytes');
        const record = await this.chain.header(hashFromBytes(blockHash));
        if (record === undefined) throw failed(status.INTERNAL, 'BLOCK_NOT_FOUND');
        const { hasSubtrees: subtreesSet } = this;
        return {
          ...{ ...headerFields(record), id: record.height + 1, peerId: 'legacy' },
          ...{ invalid: record.invalid, subtreesSet },
        };
      },
      GetState: async ({ key }: GetStateRequest) => {
        const data = await this.chain.getState(key);
        if (data === undefined) throw failed(status.INTERNAL, 'sql: no rows in result set');
        return { data };
      },
      SetState: async ({ key, data }: SetStateRequest) => {
        await this.chain.setState(key, data);
        return {};
      },
      GetFSMCurrentState: () => ({ state: FSMStateType[this.chain.fsmState()] }),
      WaitUntilFSMTransitionFromIdleState: async (_request: never, cancelled: AbortSignal) => {
        while (this.chain.fsmState() === 'IDLE' && !cancelled.aborted) {
          await new Promise<void>((resolve) => {
            this.idle.add(resolve);
            cancelled.addEventListener('abort', () => resolve());
          });
        }
        return {};
      },
    };
  }

  private healthOf(service: string): object {
    const { ok, details } = this.health.get(service) ?? { ok: true, details: 'OK' };
    return { ok, details, timestamp: timestampNow() };
  }

  private serve(
    service: DescService,
    handlers: Readonly<Record<string, (request: never, cancelled: AbortSignal) => Answer>>,
  ): void {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const method of service.methods) {
      definition[method.name] = {
        ...methodDefinition(method),
        responseSerialize: (answer: Buffer | object) => (Buffer.isBuffer(answer) ? answer : encoded(method, answer)),
      };
      const handler = handlers[method.name];
      implementation[method.name] =
        method.methodKind === 'server_streaming'
          ? (call: ServerWritableStream<unknown, object>) => void this.subscribed(call)
          : (call: ServerUnaryCall<unknown, object>, done: sendUnaryData<object>) => {
              const ended = new AbortController();
              call.on('cancelled', () => ended.abort());
              this.answered(call, () => handler?.(call.request as never, ended.signal) ?? {}, method.name).then(
                (answer) => done(null, answer),
                (error: unknown) => done(asFailure(error)),
              );
            };
    }
    this.server.addService(definition, implementation);
  }

  private async answered(call: { metadata: { get(key: string): unknown[] } }, own: () => Answer, method: string) {
    const { apiKey } = this.options;
    if (apiKey !== undefined && call.metadata.get('x-api-key')[0] !== apiKey) {
      throw failed(status.UNAUTHENTICATED, 'no key');
    }
    const answer = (await this.faults.pass(method)) ?? (await own());
    this.faults.answered(method);
    return answer;
  }

  private async subscribed(call: ServerWritableStream<unknown, object>): Promise<void> {
    call.on('cancelled', () => this.subscriptions.delete(call));
    call.on('error', () => this.subscriptions.delete(call));
    try {
      await this.answered(call, () => ({}), 'Subscribe');
      if (call.cancelled) return;
      const { hash } = await this.chain.best();
      call.write({ type: NotificationType.Block, hash: hashToBytes(hash) });
      this.subscriptions.add(call);
    } catch (error) {
      call.emit('error', asFailure(error));
    }
  }

  private fsmChanged(state: FsmState): void {
    const notification = {
      type: NotificationType.FSMState,
      hash: Buffer.from(NO_HASH).toString('hex'),
      metadata: { event: EVENTS[state], destination: state },
    };
    if (!this.isMute) this.emit(notification);
    if (state === 'IDLE') return;
    for (const release of this.idle) release();
    this.idle.clear();
  }

  private notify(type: NotificationType, hash: Hash): void {
    if (!this.isMute) this.emit({ type, hash: Buffer.from(hashToBytes(hash)).toString('hex') });
  }

  private emit({ type, hash = '', metadata = {} }: RawNotification): void {
    const notification: MessageInitShape<typeof NotificationSchema> = {
      type: type as NotificationType,
      hash: Buffer.from(hash, 'hex'),
      baseURL: '',
      metadata: { metadata: { ...metadata } },
    };
    for (const each of this.subscriptions) each.write(notification);
  }
}

function encoded(method: DescMethod, fields: object): Buffer {
  return Buffer.from(toBinary(method.output, create(method.output, fields as MessageInitShape<DescMessage>)));
}

function headerFields(record: BlockHeaderRecord) {
  const time = parseHeader(record.header)?.time ?? 0;
  const { height, txCount, sizeInBytes, miner } = record;
  return { blockHeader: record.header, height, txCount, sizeInBytes, miner, blockTime: time, timestamp: time };
}

/** A record as JSON. */
function shown(record: BlockHeaderRecord): object {
  const { hash, height, miner, invalid, header, txCount, sizeInBytes } = record;
  return {
    ...{ hash, height, miner, invalid },
    header: Buffer.from(header).toString('hex'),
    txCount: String(txCount),
    sizeInBytes: String(sizeInBytes),
  };
}

function failed(code: status, details: string): Error {
  return Object.assign(new Error(details), { code, details });
}

function asFailure(error: unknown): { code: status; details: string } {
  const { code, details } = error as { code?: unknown; details?: unknown };
  if (typeof code === 'number' && typeof details === 'string') return { code, details };
  return { code: status.INTERNAL, details: String(error) };
}

function serverCredentials(tls: ReferenceServiceOptions['tls']): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { cert_chain: readFileSync(tls.certFile), private_key: readFileSync(tls.keyFile) };
  const ca = tls.caFile === undefined ? null : readFileSync(tls.caFile);
  return ServerCredentials.createSsl(ca, [pair], ca !== null);
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const services = new ReferenceServices(JSON.parse(process.argv[2] ?? '') as ReferenceServiceOptions);
process.once('SIGTERM', () => void services.stop().then(() => process.exit(0)));
say({ event: 'ready', address: await services.start() });
const input = createInterface({ input: process.stdin });
// One after the other: each has taken effect before the next begins.
for await (const line of input) {
  const { id, command, ...args } = JSON.parse(line) as { id: number; command: string };
  try {
    const run = services.commands[command];
    if (run === undefined) throw new RangeError(`no command ${command}`);
    say({ id, result: (await run(args)) ?? null });
  } catch (error) {
    say({ id, error: String(error) });
  }
}
process.exit(0);
