// Hole punching (DCUtR) over TCP: both peers dial each other at the same moment, each from the port that its NAT has
// already mapped for the connection to their relay. js-libp2p's service does the protocol, and three things are missing
// there for TCP: it dials from a new port each time, it forgets the addresses at which other peers see it, and its dial
// queue loses which of the two is the server. So these dials are made here.
import { type DCUtRServiceComponents, dcutr } from '@libp2p/dcutr';
import type {
  Connection,
  ConnectionGater,
  DialTransportOptions,
  IdentifyResult,
  MultiaddrConnection,
  Transport,
} from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { dialledIp, isPrivateMultiaddr, isRelayed, peerIdOf, socketIp } from '../addresses.ts';
import { notifying } from '../connections/named-dials.ts';
import { localEnd } from '../patches/connection-socket.ts';

/** Addresses of a peer that are dialled at the same time. */
const MAX_ADDRESSES = 4;
/** An attempt; js-libp2p makes three. */
const DIAL_DEADLINE_MS = 5000;

type AddressManager = DCUtRServiceComponents['addressManager'];
type ConnectionManager = DCUtRServiceComponents['connectionManager'];
type OpenConnection = ConnectionManager['openConnection'];

interface PunchComponents extends DCUtRServiceComponents {
  readonly connectionGater: Pick<ConnectionGater, 'denyDialMultiaddr'>;
  readonly events: {
    addEventListener(type: 'peer:identify', listener: (event: CustomEvent<IdentifyResult>) => void): void;
  };
}

/** What `reusablePorts` reads of the options of a dial, and what the upgrader reads. */
interface PunchDial {
  readonly localPort: number;
  readonly initiator: boolean;
}

/**
 * A transport whose sockets are bound before they connect, so that a second socket can dial from the same port. (A port
 * that the system picks while it connects is not shared.)
 */
export function reusablePorts<C>(create: (components: C) => Transport): (components: C) => Transport {
  return (components) => {
    const transport = create(components);
    const dial = transport.dial.bind(transport);
    transport.dial = async (address: Multiaddr, options: DialTransportOptions & Partial<PunchDial>) => {
      const ip = dialledIp(address);
      if (ip === undefined) return await dial(address, options);
      const bound = { localAddress: ip.includes(':') ? '::' : '0.0.0.0', localPort: options.localPort ?? 0 };
      const upgrader = options.initiator === false ? notifying(options.upgrader, beServer) : options.upgrader;
      return await dial(address, { ...options, ...bound, upgrader });
    };
    return transport;
  };
}

/** The upgrader takes part in the handshakes as the server; the muxer goes by the direction. */
function beServer(socket: MultiaddrConnection): void {
  socket.direction = 'inbound';
}

/** The service of a libp2p node that upgrades relayed connections to direct ones. */
export function holePunching() {
  return (components: PunchComponents): unknown => {
    const punch = new Punch(components);
    const { addressManager, connectionManager } = components;
    return dcutr()({
      peerStore: components.peerStore,
      registrar: components.registrar,
      transportManager: components.transportManager,
      logger: components.logger,
      addressManager: overriding<AddressManager>(addressManager, { getAddresses: () => punch.addresses() }),
      connectionManager: overriding<ConnectionManager>(connectionManager, {
        openConnection: (target, options) => punch.openConnection(target, options),
      }),
    });
  };
}

/** The object, with methods of its own in front of it. */
function overriding<T extends object>(object: T, methods: Partial<T>): T {
  return Object.assign(Object.create(object), methods) as T;
}

/** The port that our NAT has mapped for the connection to a relay. */
interface MappedPort {
  readonly localPort: number;
  /** Where the relay sees us. */
  readonly seenAt: Multiaddr;
  /** The peer behind the relay. */
  readonly peer: string;
}

class Punch {
  private readonly components: PunchComponents;
  /** Where the other end of a connection sees us. */
  private readonly seenAt = new WeakMap<Connection, Multiaddr>();

  constructor(components: PunchComponents) {
    this.components = components;
    components.events.addEventListener('peer:identify', ({ detail: { connection, observedAddr } }) => {
      if (observedAddr !== undefined && !isRelayed(connection.remoteAddr)) this.seenAt.set(connection, observedAddr);
    });
  }

  /** What is told the other peer: our announced addresses, and the mapped one. */
  addresses(): Multiaddr[] {
    const announced = this.components.addressManager.getAddresses();
    const seenAt = this.mappedPort()?.seenAt;
    return seenAt === undefined ? announced : [seenAt, ...announced];
  }

  /** The service gives a priority to the dials that punch, and to no others. */
  async openConnection(...[target, options = {}]: Parameters<OpenConnection>): Promise<Connection> {
    const port = this.mappedPort();
    if (options.priority === undefined || !Array.isArray(target))
      return await this.components.connectionManager.openConnection(target, options);
    if (port === undefined)
      return await this.components.connectionManager.openConnection(target.slice(0, MAX_ADDRESSES), options);
    const { initiator = true, signal = AbortSignal.timeout(DIAL_DEADLINE_MS) } = options;
    const addresses = await this.dialable(target, port.peer);
    signal.throwIfAborted();
    // Node.js destroys a socket when its signal aborts later, so each dial has one that ends with the dial.
    const dials = addresses.map((address) => {
      const controller = new AbortController();
      const how = { signal: controller.signal, localPort: port.localPort, initiator };
      return { controller, connection: this.components.transportManager.dial(address, how) };
    });
    const abortAll = () => {
      for (const { controller } of dials) controller.abort();
    };
    signal.addEventListener('abort', abortAll);
    try {
      const first = dials.map(async (dial) => ({ dial, connection: await dial.connection }));
      const { dial, connection } = await Promise.any(first);
      for (const other of dials) if (other !== dial) other.controller.abort();
      return connection;
    } finally {
      signal.removeEventListener('abort', abortAll);
    }
  }

  /** Go names addresses without the peer ID; without it whoever answers there would be taken for the peer. */
  private async dialable(target: readonly Multiaddr[], peer: string): Promise<Multiaddr[]> {
    const whole = target.map((each) => (peerIdOf(each) === undefined ? `${each}/p2p/${peer}` : each.toString()));
    const all = [...new Set(whole)].map((text) => multiaddr(text));
    const { connectionGater } = this.components;
    const allowed = await Promise.all(
      all.map(
        async (each) => socketIp(each) !== undefined && (await connectionGater.denyDialMultiaddr?.(each)) !== true,
      ),
    );
    return all.filter((_each, i) => allowed[i]).slice(0, MAX_ADDRESSES);
  }

  /**
   * That of the relay of the newest relayed connection. When two peers are met through two relays at once, one of the
   * attempts fails and is repeated.
   */
  private mappedPort(): MappedPort | undefined {
    const { connectionManager } = this.components;
    const relayed = connectionManager.getConnections().filter(({ remoteAddr }) => isRelayed(remoteAddr));
    const newest = relayed.toSorted((a, b) => b.timeline.open - a.timeline.open)[0];
    if (newest === undefined) return undefined;
    const relay = newest.remoteAddr.getComponents().find(({ name }) => name === 'p2p')?.value;
    for (const connection of connectionManager.getConnections()) {
      if (connection.remotePeer.toString() !== relay || isRelayed(connection.remoteAddr)) continue;
      const localPort = localEnd(connection)?.localPort;
      const seenAt = this.seenAt.get(connection);
      if (connection.direction !== 'outbound' || localPort === undefined || seenAt === undefined) continue;
      if (!isPrivateMultiaddr(seenAt)) return { localPort, seenAt, peer: newest.remotePeer.toString() };
    }
    return undefined;
  }
}
