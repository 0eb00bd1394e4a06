// Who may be connected to a listener: each address has a share of its connections, and a reserve is kept for loopback,
// for health checks and for requests with the admin key, so that no single address locks out the others, the operator or
// an orchestrator. An address that has its share pays for further connections itself: its oldest connection without an
// open request is closed. Where the listener is full, the address that has the most pays.
import type { Socket } from 'node:net';
import { type Counter, gaugeWithBound, type Metrics } from '../../ports/metrics.ts';
import { type AddressRanges, addressGroup, isLoopbackAddress } from './client-address.ts';

export interface ConnectionSharesOptions {
  /** Of the metrics `teranode_p2p_<name>_connections`. */
  readonly name: 'grpc' | 'http';
  /** False for a listener beside another of its kind: refusals are counted together, open connections are not. */
  readonly isMain?: boolean;
  /** In all, besides the reserve. */
  readonly maxConnections: number;
  /** Per IPv4 address, or /64 of IPv6. */
  readonly maxPerAddress: number;
  /** Connections beyond these. */
  readonly reserve: number;
  /** Without a share of their own, such as trusted proxies. */
  readonly unlimited?: readonly AddressRanges[];
  /** A connection without a request is closed after this time; in the reserve after a quarter of it. */
  readonly firstRequestMs?: number;
}

/** Why a connection was refused or closed. A closed set, because it labels a metric. */
export type RefusalReason = 'too_many' | 'too_many_of_address' | 'quiet' | 'silent' | 'unread' | 'handshake';

interface Entry {
  readonly socket: Socket;
  readonly address: string;
  readonly place: Exclude<Place, 'refused'>;
  readonly timer: NodeJS.Timeout;
  openRequests: number;
}

type Place = 'main' | 'reserve' | 'restricted' | 'refused';

/** Longer than the HTTP server gives headers. */
const FIRST_REQUEST_MS = 8000;

/** Names a connection as long as it is open; the same for a TLS socket and the socket below it. */
export function connectionKey(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

export class ConnectionShares {
  private readonly options: ConnectionSharesOptions;
  private readonly entries = new Map<string, Entry>();
  /** In the order of their connections, as all sets here. */
  private readonly byAddress = new Map<string, Set<Entry>>();
  private readonly reserve = new Set<Entry>();
  private readonly refused: Counter | undefined;

  constructor({ metrics }: { readonly metrics?: Metrics | undefined }, options: ConnectionSharesOptions) {
    this.options = options;
    const { name, maxConnections, reserve } = options;
    const title = name === 'grpc' ? 'gRPC' : 'HTTP';
    this.refused = metrics?.counter(
      `teranode_p2p_${name}_connections_refused_total`,
      `${title} connections refused or closed to protect others, by reason`,
      ['reason'],
    );
    if (metrics === undefined || options.isMain === false) return;
    const help = name === 'grpc' ? 'Open gRPC connections' : 'Open HTTP connections, including WebSockets';
    const gauge = { name: `teranode_p2p_${name}_connections`, help };
    gaugeWithBound(metrics, gauge, () => this.entries.size, maxConnections + reserve);
  }

  /** Admits a new connection until it closes, or closes it at once and returns false. */
  admit(socket: Socket): boolean {
    const key = connectionKey(socket);
    const place = socket.remoteAddress === undefined || this.entries.has(key) ? 'refused' : this.placeFor(socket);
    if (place === 'refused') socket.destroy();
    else this.add(key, socket, place);
    return place !== 'refused';
  }

  /** A request began; `ended` is to be called once when its answer is sent or given up. */
  begin(key: string): { ended(): void } {
    const entry = this.entries.get(key);
    if (entry === undefined) return { ended: () => {} };
    clearTimeout(entry.timer);
    entry.openRequests += 1;
    return {
      ended: () => {
        entry.openRequests -= 1;
      },
    };
  }

  /**
   * Whether a connection is in the reserve and may be used for health checks and requests with the admin key alone. On
   * loopback it may be used for all, unless it is loopback that has too many.
   */
  isRestricted(key: string): boolean {
    return this.entries.get(key)?.place === 'restricted';
  }

  /** Closes a connection. */
  cut(key: string, reason: RefusalReason): void {
    const entry = this.entries.get(key);
    if (entry !== undefined) this.close(entry, reason);
  }

  closeAll(): void {
    for (const { socket } of this.entries.values()) socket.destroy();
  }

  /** Counts a refusal that the listener itself found. */
  count(reason: RefusalReason | 'no_certificate' | 'no_http2'): void {
    this.refused?.add(1, { reason });
  }

  private placeFor({ remoteAddress }: Socket): Place {
    const { maxConnections, maxPerAddress, reserve, unlimited = [] } = this.options;
    const own = this.byAddress.get(addressGroup(remoteAddress)) ?? new Set<Entry>();
    const isCrowded = own.size >= maxPerAddress && !unlimited.some((ranges) => ranges.has(remoteAddress));
    const isFull = this.entries.size - this.reserve.size >= maxConnections;
    if (!isCrowded && !isFull) return 'main';
    if (!isCrowded && this.closeQuiet(this.entries.values(), (entry) => this.heldBeyond(own.size, entry)))
      return 'main';
    if (this.closeQuiet(own)) return 'main';
    const place = isCrowded || !isLoopbackAddress(remoteAddress) ? 'restricted' : 'reserve';
    if (this.reserve.size < reserve || this.makeRoom(place)) return place;
    this.count(isCrowded ? 'too_many_of_address' : 'too_many');
    return 'refused';
  }

  /** Of an address that has more connections, besides the reserve, than another with one more, their number; else 0. */
  private heldBeyond(others: number, { place, address }: Entry): number {
    const held = place === 'main' ? (this.byAddress.get(address)?.size ?? 0) : 0;
    return held > others + 1 ? held : 0;
  }

  /** In the reserve, half of which loopback's connections yield to loopback alone. */
  private makeRoom(place: Place): boolean {
    const restricted = [...this.reserve].filter((entry) => entry.place === 'restricted');
    const held = ({ address }: Entry) => restricted.filter((other) => other.address === address).length;
    const isOpen = place === 'reserve' || restricted.length < this.options.reserve / 2;
    return this.closeQuiet(restricted, held) || (isOpen && this.closeQuiet(this.reserve));
  }

  private add(key: string, socket: Socket, place: Entry['place']): void {
    const { firstRequestMs = FIRST_REQUEST_MS } = this.options;
    const address = addressGroup(socket.remoteAddress);
    const isMain = place === 'main';
    const timer = setTimeout(() => this.close(entry, 'silent'), isMain ? firstRequestMs : firstRequestMs / 4);
    const entry: Entry = { socket, address, place, timer: timer.unref(), openRequests: 0 };
    this.entries.set(key, entry);
    if (isMain) this.byAddress.set(address, (this.byAddress.get(address) ?? new Set()).add(entry));
    else this.reserve.add(entry);
    socket.once('close', () => this.remove(key, entry));
  }

  private remove(key: string, entry: Entry): void {
    clearTimeout(entry.timer);
    if (this.entries.get(key) === entry) this.entries.delete(key);
    this.reserve.delete(entry);
    const own = this.byAddress.get(entry.address);
    own?.delete(entry);
    if (own?.size === 0) this.byAddress.delete(entry.address);
  }

  /** Closes the oldest one that has no open request, of those with the most weight; false when none has any. */
  private closeQuiet(entries: Iterable<Entry>, weight: (entry: Entry) => number = () => 1): boolean {
    let found: Entry | undefined;
    let most = 0;
    for (const entry of entries) {
      if (entry.openRequests > 0 || weight(entry) <= most) continue;
      found = entry;
      most = weight(entry);
    }
    if (found !== undefined) this.close(found, 'quiet');
    return found !== undefined;
  }

  /** The entry leaves at once, so that its place is free for the next. */
  private close(entry: Entry, reason: RefusalReason): void {
    const key = connectionKey(entry.socket);
    this.count(reason);
    entry.socket.destroy();
    this.remove(key, entry);
  }
}
