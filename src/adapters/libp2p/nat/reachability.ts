// Whether other peers can dial this node (AutoNAT v2). Every few seconds connected peers are asked to dial the public
// addresses that are not tested yet: those that the node listens on, those that the router mapped, and, behind a NAT,
// the address at which peers see this node with the port that it listens on, in case the operator forwards it. What
// peers of several networks cannot reach is not announced, and the node then asks a relay for a slot.
import type { Connection, IdentifyResult } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { NodeDiagnosis } from '../../../ports/diagnosis.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Metrics } from '../../../ports/metrics.ts';
import { isPrivateMultiaddr, isRelayed, socketIp } from '../addresses.ts';
import { addressGroup } from '../connections/remote-address.ts';
import type { Libp2pNodeOptions, NatOptions } from '../node-options.ts';
import { type AutonatControl, autonatControl } from '../patches/autonat.ts';
import type { PatchReport } from '../patches/report.ts';
import type { Listening } from './listening.ts';

const DIAL_REQUEST = '/libp2p/autonat/2/dial-request';
/** Go answers twelve requests of a peer per minute. */
const ROUND_MS = 10_000;
/** Peers that are asked in one round. */
const MAX_ASKED = 8;
/** Networks (js-libp2p: first octets of IPs) whose peers cannot reach an address until it counts as unreachable. */
const FAILURES = 3;
/** Addresses of peers that must see this node at the same IP. */
const OBSERVERS = 2;
/** Rounds in which the port mapper may find a router, before the listening port is tested at the router's address. */
const MAPPER_ROUNDS = 3;
/** IPs at which this node was seen, and the observers of each. */
const MAX_SEEN_IPS = 8;

const STATES = ['public', 'private', 'unknown'] as const;

export interface ReachabilityDependencies {
  readonly libp2p: {
    getConnections(): Connection[];
    addEventListener(type: 'peer:identify', listener: (event: CustomEvent<IdentifyResult>) => void): void;
  };
  readonly listening: Pick<
    Listening,
    'addressManager' | 'announce' | 'bound' | 'mapped' | 'reserveRelay' | 'unreachable'
  >;
  readonly autonat: AutonatControl;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class ReachabilityTests {
  private readonly deps: ReachabilityDependencies;
  private readonly testers = new WeakSet<Connection>();
  private readonly seen = new LRUCache<string, Set<string>>({ max: MAX_SEEN_IPS });
  private reachability: NodeDiagnosis['reachability'] = 'unknown';
  private candidate: { readonly inside: Endpoint; readonly ip: string } | undefined;
  private roundsToCandidate: number;
  private isReserving: boolean;
  private loop: Repeating | undefined;

  constructor(deps: ReachabilityDependencies, nat: Pick<NatOptions, 'portMap' | 'relayClient' | 'forceReachability'>) {
    this.deps = deps;
    this.isReserving = !nat.relayClient || nat.forceReachability !== undefined;
    for (const reachability of STATES) {
      const help = 'Wires on which AutoNAT found this node public or private, or does not know yet';
      const isFound = () => Number(this.reachability === reachability);
      deps.metrics.gauge('teranode_p2p_reachability', help, isFound, { reachability });
    }
    this.roundsToCandidate = nat.portMap ? MAPPER_ROUNDS : 0;
    deps.listening.mapped = (address) => this.mapped(address);
    deps.libp2p.addEventListener('peer:identify', ({ detail }) => this.identified(detail));
  }

  /** As peers found it so far. */
  get state(): NodeDiagnosis['reachability'] {
    return this.reachability;
  }

  start(): void {
    const failed = (error: unknown) => this.deps.log.warn({ err: error }, 'failed to test reachability');
    this.loop ??= repeating(() => this.round(), { firstMs: ROUND_MS, nextMs: () => ROUND_MS }, failed);
  }

  stop(): void {
    this.loop?.stop();
  }

  private identified({ connection, protocols, observedAddr }: IdentifyResult): void {
    if (isRelayed(connection.remoteAddr)) return;
    if (protocols.includes(DIAL_REQUEST)) this.testers.add(connection);
    const observer = addressGroup(connection);
    const ip = observedAddr === undefined ? undefined : socketIp(observedAddr);
    if (ip === undefined || observer === undefined || observedAddr === undefined || isPrivateMultiaddr(observedAddr))
      return;
    const observers = this.seen.get(ip) ?? new Set();
    if (observers.size < OBSERVERS) observers.add(observer);
    this.seen.set(ip, observers);
  }

  private async round(): Promise<void> {
    const { autonat, libp2p, log } = this.deps;
    if (this.roundsToCandidate > 0) this.roundsToCandidate -= 1;
    else this.addCandidate();
    await this.conclude();
    if (!this.publicAddresses().some(({ expires }) => expires < Date.now())) return;
    const testers = libp2p.getConnections().filter((each) => each.status === 'open' && this.testers.has(each));
    for (const connection of shuffled(testers).slice(0, MAX_ASKED)) {
      await autonat.ask(connection).catch((error: unknown) => log.debug({ err: error }, 'failed to ask for a test'));
    }
  }

  /** Behind a NAT: the IP at which this node is seen, with the port that it listens on. One at a time. */
  private addCandidate(): void {
    const { addressManager } = this.deps.listening;
    const inside = this.deps.listening
      .bound()
      .map(endpoint)
      .find((each) => each?.isPrivate === true && !each.isLocal);
    const known = this.publicAddresses();
    if (inside === undefined || known.some(({ verified }) => verified)) return;
    const ips = new Set(known.map(({ multiaddr }) => endpoint(multiaddr)?.ip));
    const [ip] = [...this.seen.entries()].find(([, observers]) => observers.size >= OBSERVERS) ?? [];
    if (ip === undefined || ips.has(ip)) return;
    this.removeCandidate();
    addressManager.addPublicAddressMapping(inside.ip, inside.port, ip, inside.port, 'tcp');
    this.candidate = { inside, ip };
  }

  private removeCandidate(): void {
    const { candidate: last } = this;
    if (last === undefined) return;
    const { ip, port } = last.inside;
    this.deps.listening.addressManager.removePublicAddressMapping(ip, port, last.ip, port, 'tcp');
    this.candidate = undefined;
  }

  private mapped(address: string): void {
    this.removeCandidate();
    this.deps.autonat.forget(address);
    this.deps.listening.unreachable.delete(address);
  }

  /** Public addresses, relayed ones aside. */
  private publicAddresses() {
    const all = this.deps.listening.addressManager.getAddressesWithMetadata();
    return all.filter(({ multiaddr }) => endpoint(multiaddr)?.isPrivate === false);
  }

  private async conclude(): Promise<void> {
    const { listening, autonat, log } = this.deps;
    const addresses = this.publicAddresses();
    const before = [...listening.unreachable].join();
    const present = new Set(addresses.map(({ multiaddr }) => multiaddr.toString()));
    for (const text of listening.unreachable) if (!present.has(text)) listening.unreachable.delete(text);
    for (const { multiaddr, verified } of addresses) {
      const text = multiaddr.toString();
      const { success = 0, failure = 0 } = autonat.results(text) ?? {};
      if (success === 0 && failure >= FAILURES) {
        listening.unreachable.add(text);
        autonat.forget(text);
        listening.addressManager.removeObservedAddr(multiaddr);
      } else if (verified) listening.unreachable.delete(text);
    }
    if ([...listening.unreachable].join() !== before) await listening.announce();
    const isPublic = addresses.some(
      ({ multiaddr, verified }) => verified && !listening.unreachable.has(multiaddr.toString()),
    );
    const found = isPublic ? 'public' : listening.unreachable.size > 0 ? 'private' : 'unknown';
    if (found === this.reachability) return;
    this.reachability = found;
    log.info({ reachability: found, addresses: [...present] }, 'reachability changed');
    if (found !== 'private' || this.isReserving) return;
    this.isReserving = true;
    await listening.reserveRelay();
  }
}

/** While the node runs. undefined without AutoNAT, nor where the settings name the addresses, which are announced as they are. */
export function testReachability(
  deps: Pick<ReachabilityDependencies, 'log' | 'metrics'> & {
    readonly libp2p: ReachabilityDependencies['libp2p'] & {
      readonly services: { readonly autonat?: unknown; readonly listening: Listening };
      addEventListener(type: 'start' | 'stop', listener: () => void): void;
    };
    readonly report: PatchReport;
  },
  { nat, advertiseAddresses }: Pick<Libp2pNodeOptions, 'nat' | 'advertiseAddresses'>,
): ReachabilityTests | undefined {
  const { autonat: service, listening } = deps.libp2p.services;
  if (service === undefined || advertiseAddresses.length > 0) return undefined;
  const autonat = autonatControl(service, deps.report);
  if (autonat === undefined) return undefined;
  const tests = new ReachabilityTests({ ...deps, listening, autonat }, nat);
  deps.libp2p.addEventListener('start', () => tests.start());
  deps.libp2p.addEventListener('stop', () => tests.stop());
  return tests;
}

interface Endpoint {
  readonly ip: string;
  readonly port: number;
  readonly isPrivate: boolean;
  /** Of this machine only. */
  readonly isLocal: boolean;
}

/** undefined for names and relayed addresses. */
function endpoint(address: Multiaddr): Endpoint | undefined {
  const ip = socketIp(address);
  const port = Number(address.getComponents().find(({ name }) => name === 'tcp')?.value);
  if (ip === undefined || !(port > 0)) return undefined;
  return { ip, port, isPrivate: isPrivateMultiaddr(address), isLocal: ip.startsWith('127.') || ip === '::1' };
}

function shuffled<T>(all: readonly T[]): T[] {
  return all.toSorted(() => Math.random() - 0.5);
}
