// Dials to names. The names are resolved here, and the transport is given IP addresses only: refused addresses are left
// out, and the connection has the IP that it really goes to as its address, which bans need. Several addresses are
// tried as RFC 8305 (Happy Eyeballs) has it. Names that the operator gave are resolved as the system does; names that
// peers claim are resolved in a way that can be cancelled, a few at a time.
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Connection, DialTransportOptions, MultiaddrConnection, Transport, Upgrader } from '@libp2p/interface';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import { dnsResolver } from '../../../lib/dns-resolver.ts';
import { gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import { isRelayed, withoutZone } from '../addresses.ts';
import type { Dial, DialBudget } from './dial-budget.ts';
import type { OperatorAddresses } from './operator-addresses.ts';

/** Protocols of a multiaddr that hold a name -> the IP family that they ask for; 0 is both. */
const NAME_FAMILIES: Readonly<Record<string, 0 | 4 | 6>> = { dns: 0, dns4: 4, dns6: 6 };
/** How long one address may take to connect before the next is tried beside it. */
const STAGGER_MS = 250;
const MAX_ADDRESSES = 16;

/** Claimed names that are resolved at the same time; further dials to claimed names fail. */
export const MAX_CLAIMED_LOOKUPS = 16;
const CLAIMED_DEADLINE_MS = 4000;
/** Two attempts, the second twice as long. */
const CLAIMED_TIMES = { timeout: 1200, tries: 2 } as const;

/** Resolves a name to IP addresses that may be dialled. */
export type ResolveName = (name: string, family: 0 | 4 | 6, signal: AbortSignal) => Promise<readonly string[]>;

/** A transport that never sees a name. */
export function dialingNames<C>(
  create: (components: C) => Transport,
  resolve: ResolveName,
  budget: Pick<DialBudget, 'isExempt' | 'limited'>,
): (components: C) => Transport {
  return (components) => {
    const transport = create(components);
    const dial: Dial = transport.dial.bind(transport);
    const limited = budget.limited(dial);
    const byName = dialingName(dial, resolve);
    // A claimed name has a budget, as each address that it resolves to: lookups cost too.
    const limitedByName = budget.limited(dialingName(limited, resolve));
    transport.dial = (address: Multiaddr, options: DialTransportOptions) => {
      const isExempt = budget.isExempt(address);
      if (nameIn(address) === undefined) return (isExempt ? dial : limited)(address, options);
      return (isExempt ? byName : limitedByName)(address, options);
    };
    return transport;
  };
}

function nameIn(address: Multiaddr): { readonly name: string; readonly family: 0 | 4 | 6 } | undefined {
  const [host] = address.getComponents();
  const family = host === undefined || isRelayed(address) ? undefined : NAME_FAMILIES[host.name];
  return family === undefined || host?.value === undefined ? undefined : { name: host.value, family };
}

/** Dials a name at the addresses that it resolves to. */
function dialingName(dial: Dial, resolve: ResolveName): Dial {
  return async (address, options) => {
    const host = nameIn(address);
    if (host === undefined) return dial(address, options);
    const [, ...rest] = address.getComponents();
    const tail = rest.map(({ name, value }) => (value === undefined ? `/${name}` : `/${name}/${value}`)).join('');
    const ips = await abortable(resolve(host.name, host.family, options.signal), options.signal);
    return dialFirst(
      dial,
      ips.slice(0, MAX_ADDRESSES).map((ip) => multiaddr(`${hostOf(ip)}${tail}`)),
      options,
    );
  };
}

/** As the system does, the hosts file included. */
export const resolveBySystem: ResolveName = async (name, family) =>
  (await lookup(name, { all: true, family })).map(({ address }) => address);

/** Resolves the operator's names as the system does, and claimed names by DNS only. */
export function resolveNames(operators: OperatorAddresses, metrics: Metrics): ResolveName {
  let running = 0;
  const gauge = { name: 'teranode_p2p_claimed_name_lookups', help: 'Names claimed by peers that are being resolved' };
  gaugeWithBound(metrics, gauge, () => running, MAX_CLAIMED_LOOKUPS);
  const resolveClaimed = dnsResolver(CLAIMED_TIMES);
  return async (name, family, signal) => {
    if (operators.hasName(name)) return await resolveBySystem(name, family, signal);
    if (running >= MAX_CLAIMED_LOOKUPS) throw new Error(`too many lookups of names that peers claim (${running})`);
    running += 1;
    try {
      const timed = AbortSignal.any([signal, AbortSignal.timeout(CLAIMED_DEADLINE_MS)]);
      return await resolveClaimed(name, timed, family);
    } finally {
      running -= 1;
    }
  };
}

/** Without the addresses that are refused. Throws an error with code EADDRREFUSED when nothing is left. */
export function allowedAddresses(
  isRefused: (ip: string, name: string) => boolean,
  resolve: ResolveName = resolveBySystem,
): ResolveName {
  return async (name, family, signal) => {
    const found = await resolve(name, family, signal);
    const allowed = found.filter((address) => !isRefused(withoutZone(address), name));
    if (allowed.length > 0) return allowed;
    throw Object.assign(new Error(`every address of ${name} is refused`), { code: 'EADDRREFUSED' });
  };
}

function hostOf(ip: string): string {
  if (!isIPv6(ip)) return `/ip4/${ip}`;
  const zoneAt = ip.indexOf('%');
  return zoneAt < 0 ? `/ip6/${ip}` : `/ip6zone/${ip.slice(zoneAt + 1)}/ip6/${ip.slice(0, zoneAt)}`;
}

/**
 * The first address whose socket connects is the one that is used, even when its handshake fails; the other attempts
 * are aborted.
 */
function dialFirst(dial: Dial, addresses: readonly Multiaddr[], options: DialTransportOptions): Promise<Connection> {
  const { promise, resolve, reject } = Promise.withResolvers<Connection>();
  const attempts: AbortController[] = [];
  const errors: unknown[] = [];
  let timer: NodeJS.Timeout | undefined;
  let connected: AbortController | undefined;
  const next = (): void => {
    clearTimeout(timer);
    const address = addresses[attempts.length];
    if (address === undefined || connected !== undefined || options.signal.aborted) return;
    const attempt = new AbortController();
    attempts.push(attempt);
    timer = setTimeout(next, STAGGER_MS);
    const onSocket = () => {
      if (connected !== undefined) throw new Error('another address of the name connected first');
      connected = attempt;
      clearTimeout(timer);
      for (const other of attempts) if (other !== attempt) other.abort();
    };
    const upgrader = notifying(options.upgrader, onSocket);
    dial(address, { ...options, upgrader, signal: AbortSignal.any([options.signal, attempt.signal]) }).then(
      resolve,
      (error: unknown) => {
        if (connected === attempt) return reject(error);
        errors.push(error);
        if (errors.length < attempts.length) return;
        if (connected === undefined && attempts.length < addresses.length && !options.signal.aborted) next();
        else if (connected === undefined) reject(oneError(errors));
      },
    );
  };
  options.signal.throwIfAborted();
  if (addresses.length === 0) throw new Error('the name has no address');
  next();
  return promise.finally(() => clearTimeout(timer));
}

function oneError(errors: readonly unknown[]): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, 'no address of the name could be dialled');
}

/** The upgrader, telling when it is given a connected socket. */
export function notifying(upgrader: Upgrader, onSocket: (socket: MultiaddrConnection) => void): Upgrader {
  const upgradeOutbound = async (socket: MultiaddrConnection, options: Parameters<Upgrader['upgradeOutbound']>[1]) => {
    onSocket(socket);
    return await upgrader.upgradeOutbound(socket, options);
  };
  return {
    upgradeOutbound,
    upgradeInbound: upgrader.upgradeInbound.bind(upgrader),
    createInboundAbortSignal: upgrader.createInboundAbortSignal.bind(upgrader),
    getStreamMuxers: upgrader.getStreamMuxers.bind(upgrader),
    getConnectionEncrypters: upgrader.getConnectionEncrypters.bind(upgrader),
  };
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
