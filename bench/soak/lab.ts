// Everything that a soak runs: the broker, PostgreSQL and the node's services, each behind a relay that can be cut and
// slowed, the server, and Go peers of both wires behind relays of their own.
import { join } from 'node:path';
import { Relay } from '../../src/cli/devnet/relay.ts';
import { messageBus } from '../../test/support/bus-network.ts';
import { temporaryFolder } from '../../test/support/cleanup.ts';
import { FullDisk } from '../../test/support/full-disk.ts';
import { freePort, KafkaBroker } from '../../test/support/kafka-broker.ts';
import { PSK } from '../../test/support/network.ts';
import { PostgresServer } from '../../test/support/postgres.ts';
import { ReferenceServiceProcess } from '../../test/support/reference-service-process.ts';
import { ServerProcess } from '../../test/support/server-process.ts';
import { waitFor } from '../../test/support/wait.ts';
import { WIRES, type Wire } from '../receiver-port.ts';
import { Inside } from './inside.ts';
import { NETWORK, newKey, SoakPeer } from './peers.ts';

const LINKS = ['broker', 'database', 'services', ...WIRES] as const;
export type LinkName = (typeof LINKS)[number];

/** Of each wire. */
const PUBLISHERS = 2;
/** Identities that visitors of a wire take turns with: those who come back are known, as on a network. */
const VISITORS = 4;
const DISK_MEGABYTES = 64;
const ADMIN_KEY = 'a key of the soak alone';
const MAX_CONNECTIONS = 200;
/** Of tables that would take hours to fill: full after the warm-up, so that what grows later is no table. */
const TABLE_SIZE = '1000';

/** Topics that keep everything until it is counted, in several partitions. */
function kafkaTopics(broker: string): Record<string, string> {
  const url = (topic: string) =>
    `kafka://${broker}/${topic}?partitions=3&replication=1&retention=604800000&segment_bytes=33554432`;
  return {
    kafka_blocksConfig: url('blocks'),
    kafka_subtreesConfig: url('subtrees'),
    kafka_invalidBlocksConfig: url('invalid-blocks'),
    kafka_invalidSubtreesConfig: url('invalid-subtrees'),
    kafka_rejectedTxConfig: url('rejectedtx'),
  };
}

/** `withDisk`: with the data folder on a small file system of its own, which needs root. */
export interface LabOptions {
  readonly withDisk: boolean;
  /** Modules that the server loads first. */
  readonly modules: readonly string[];
}

interface Parts {
  readonly broker: KafkaBroker;
  readonly database: PostgresServer;
  readonly services: ReferenceServiceProcess;
  readonly server: ServerProcess;
  readonly inside: Inside;
  readonly disk: FullDisk | undefined;
  readonly links: Readonly<Record<LinkName, Relay>>;
  readonly addresses: Readonly<Record<Wire, string>>;
}

export class Lab {
  readonly broker: KafkaBroker;
  readonly database: PostgresServer;
  readonly services: ReferenceServiceProcess;
  readonly server: ServerProcess;
  readonly inside: Inside;
  readonly disk: FullDisk | undefined;
  readonly links: Readonly<Record<LinkName, Relay>>;
  readonly publishers: SoakPeer[] = [];
  private readonly addresses: Readonly<Record<Wire, string>>;
  private readonly visitors = new Map<Wire, SoakPeer>();
  private readonly keys: Readonly<Record<Wire, string[]>> = { 'go-p2p': [], 'message-bus': [] };
  private isStopped = false;

  private constructor(parts: Parts) {
    this.broker = parts.broker;
    this.database = parts.database;
    this.services = parts.services;
    this.server = parts.server;
    this.inside = parts.inside;
    this.disk = parts.disk;
    this.links = parts.links;
    this.addresses = parts.addresses;
    for (const wire of WIRES) this.keys[wire].push(...Array.from({ length: VISITORS }, newKey));
  }

  static async start({ withDisk, modules }: LabOptions): Promise<Lab> {
    const disk = withDisk ? FullDisk.mount(DISK_MEGABYTES) : undefined;
    // Whatever ends this process, and before its folders are removed.
    if (disk !== undefined) process.prependOnceListener('exit', () => disk.unmount());
    const ports: Partial<Record<LinkName, number>> = {};
    const [links, relayed] = await openLinks((name) => ports[name]);
    const [broker, database, services] = await Promise.all([
      freePort().then((port) => {
        ports.broker = port;
        return KafkaBroker.start({ port, advertisedPort: relayed.broker });
      }),
      PostgresServer.create(),
      ReferenceServiceProcess.start({ network: NETWORK }),
    ]);
    ports.database = database.port;
    ports.services = Number(services.address.split(':').at(-1));
    for (const wire of WIRES) ports[wire] = await freePort();
    const inside = new Inside();
    const server = await ServerProcess.start({
      dataFolder: disk === undefined ? temporaryFolder('soak') : join(disk.folder, 'data'),
      settings: {
        ...messageBus(NETWORK),
        ...kafkaTopics(`127.0.0.1:${relayed.broker}`),
        ...inside.settings(modules),
        p2p_wire: 'both',
        p2p_shared_key: PSK,
        p2p_dht_use_private: 'true',
        p2p_port: `${ports['message-bus']}`,
        p2p_go_p2p_port: `${ports['go-p2p']}`,
        // Nobody listens there: peers reach the server through the relays and not beside them.
        p2p_advertise_addresses: '/ip4/127.0.0.1/tcp/1',
        p2p_allow_private_ips: 'true',
        p2p_ban_store: `postgres://postgres@127.0.0.1:${relayed.database}/postgres`,
        p2p_history_days: '1',
        p2p_peer_map_max_size: TABLE_SIZE,
        p2p_seen_hash_max_size: TABLE_SIZE,
        p2p_events_kept: TABLE_SIZE,
        p2p_http_rate: '0',
        grpc_admin_api_key: ADMIN_KEY,
        blockchain_grpcAddress: `127.0.0.1:${relayed.services}`,
        blockvalidation_grpcAddress: `127.0.0.1:${relayed.services}`,
        blockassembly_grpcAddress: `127.0.0.1:${relayed.services}`,
        logLevel: 'INFO',
      },
    });
    // npm does not end what it started when it is killed.
    const { pid } = server;
    process.prependOnceListener('exit', () => endProcess(pid));
    await inside.connect();
    await waitFor(async () => (await server.get('/health/ready')).status === 200, { what: 'readiness' });
    const address = (wire: Wire) => `/ip4/127.0.0.1/tcp/${relayed[wire]}/p2p/${server.peerId}`;
    const addresses = { 'go-p2p': address('go-p2p'), 'message-bus': address('message-bus') };
    const lab = new Lab({ broker, database, services, server, inside, disk, links, addresses });
    await Promise.all(
      WIRES.flatMap((wire) => [
        ...Array.from({ length: PUBLISHERS }, async () => lab.publishers.push(await lab.startPeer(wire))),
        lab.welcome(wire),
      ]),
    );
    await waitFor(() => lab.publishers.every(({ isSteady }) => isSteady), { timeoutMs: 60_000, what: 'the peers' });
    return lab;
  }

  /** A visitor of a wire comes, the next of those who take turns. */
  async welcome(wire: Wire): Promise<void> {
    const key = this.keys[wire].shift() ?? newKey();
    this.keys[wire].push(key);
    this.visitors.set(wire, await this.startPeer(wire, key));
  }

  /** The visitor of a wire leaves. */
  async dismiss(wire: Wire): Promise<void> {
    await this.visitors.get(wire)?.stop();
  }

  /** `path` below /api/v1, with the admin key. Throws for any answer but 200. */
  async api<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await fetch(`http://${this.server.ready.httpAddress}/api/v1/${path}`, {
      method,
      headers: { 'x-api-key': ADMIN_KEY, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    if (response.status !== 200) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    this.inside.close();
    await Promise.all([...this.publishers, ...this.visitors.values()].map((peer) => peer.stop()));
    await this.server.stop();
    await Promise.all([this.broker.stop(), this.database.remove(), this.services.stop()]);
    for (const link of Object.values(this.links)) link.stop();
  }

  private startPeer(wire: Wire, key?: string): Promise<SoakPeer> {
    return SoakPeer.start(wire, { peerId: this.server.peerId, address: this.addresses[wire] }, key);
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** A relay for each link, and the ports at which they listen. */
async function openLinks(
  portOf: (name: LinkName) => number | undefined,
): Promise<[Record<LinkName, Relay>, Record<LinkName, number>]> {
  const opened = await Promise.all(
    LINKS.map(async (name) => {
      const ips = { listenIp: '127.0.0.1', fromIp: '127.0.0.1' };
      const relay = new Relay({ ...ips, targetPort: () => portOf(name), maxConnections: MAX_CONNECTIONS });
      return [name, relay, await relay.listen()] as const;
    }),
  );
  return [
    Object.fromEntries(opened.map(([name, relay]) => [name, relay])) as Record<LinkName, Relay>,
    Object.fromEntries(opened.map(([name, , port]) => [name, port])) as Record<LinkName, number>,
  ];
}
