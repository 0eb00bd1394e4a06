// The ban system as the rest of the server sees it: one list, one score-keeper, and their enforcement on live connections.

import type { PeerId } from '../domain/ids.ts';
import type { BanEntry, BanReason, BanStore, Offence } from '../ports/ban-store.ts';
import type { Clock } from '../ports/clock.ts';
import type { ConnectionPolicy } from '../ports/connection-policy.ts';
import type { Logger } from '../ports/log.ts';
import type { Counter, Metrics } from '../ports/metrics.ts';
import type { P2PNode } from '../ports/p2p-node.ts';
import { AutomaticBans, socketIp } from './enforcement/automatic-bans.ts';
import { SeenAddresses } from './enforcement/seen-addresses.ts';
import { ipOfMultiaddr, parseBanKey } from './list/ban-key.ts';
import { type BanEvent, BanList } from './list/ban-list.ts';
import {
  type BanEventHandler,
  type OffenceFacts,
  PeerBanManager,
  type ScoreOutcome,
} from './scores/peer-ban-manager.ts';
import { StoreLink } from './store/store-link.ts';
import { StorePurge } from './store/store-purge.ts';

export interface BanSystemOptions {
  readonly defaultDurationMs: number;
  readonly maxEntries: number;
  readonly threshold: number;
  readonly durationMs: number;
  readonly isWhitelisted: (peerId: PeerId) => boolean;
  readonly isShadow: (rule: string) => boolean;
}

export interface BanSystemDependencies {
  readonly store: BanStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The part of the node that enforcement works on. */
export type EnforcedNode = Pick<P2PNode, 'currentlyConnectedPeers' | 'disconnectPeer' | 'retryDials'>;

const PURGE_INTERVAL_MS = 60_000;
const CLOSE_DEADLINE_MS = 1000;
/** One broken frame is often followed by others of the same cause: scored once in this time. */
const BROKEN_FRAME_INTERVAL_MS = 1000;
const MAX_BROKEN_NEIGHBOURS = 1000;

export class BanSystem implements ConnectionPolicy, BanEventHandler {
  readonly list: BanList;
  readonly manager: PeerBanManager;
  readonly seen: SeenAddresses;
  private readonly deps: BanSystemDependencies;
  private readonly link: StoreLink;
  private readonly storePurge: StorePurge;
  private readonly automatic: AutomaticBans;
  private readonly refused: Counter;
  private readonly brokenAtMs = new Map<PeerId, number>();
  private node: EnforcedNode | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  private dialsDue: Promise<void> | undefined;

  constructor(deps: BanSystemDependencies, options: BanSystemOptions) {
    this.deps = deps;
    this.link = new StoreLink(deps);
    const withLink = { ...deps, link: this.link };
    this.list = new BanList({ ...withLink, whyNotHere: (entry) => this.whyNotHere(entry) }, options);
    this.seen = new SeenAddresses(withLink);
    this.storePurge = new StorePurge(withLink);
    const connected = () => this.node?.currentlyConnectedPeers() ?? [];
    this.automatic = new AutomaticBans({ ...deps, list: this.list, seen: this.seen, connected });
    this.manager = new PeerBanManager({ ...withLink, handler: this }, options);
    this.refused = deps.metrics.counter('teranode_p2p_ban_enforcements_total', 'What bans did', ['action']);
    this.list.subscribe((event) => this.enforce(event));
  }

  /** Opens the store and puts what it holds in force. Throws STORE_UNAVAILABLE, STORE_FAILED. */
  async start(signal: AbortSignal): Promise<void> {
    await this.link.open(signal);
    // First: which bans of other servers hold here depends on who was seen.
    await this.seen.init();
    await this.list.init();
    await this.manager.init();
    this.link.startReading();
    this.timer = setInterval(() => this.purge(), PURGE_INTERVAL_MS);
    this.timer.unref();
  }

  /** From now on bans cut the connections of this node. */
  attach(node: EnforcedNode): void {
    this.node = node;
  }

  /** Writes what waits, then closes the store; bounded in time; may be called twice. */
  stop(): Promise<void> {
    clearInterval(this.timer);
    void this.storePurge.stop();
    this.stopping ??= this.link.close(CLOSE_DEADLINE_MS);
    return this.stopping;
  }

  addScore(subject: string, reason: BanReason, facts: OffenceFacts): ScoreOutcome {
    return this.manager.addScore(subject, reason, facts);
  }

  /** Lifts a ban everywhere: list, scores, gate, dial back-off. Throws INPUT_INVALID. */
  async unban(text: string): Promise<readonly BanEntry[]> {
    const lifting = this.list.remove(text);
    const key = parseBanKey(text);
    // Scores go with the ban of a peer, else the next small offence would bring it back.
    const [lifted] = await Promise.all([lifting, key?.kind === 'peer' ? this.manager.reset(key.key) : undefined]);
    return lifted;
  }

  /** Lifts all bans, and the scores that led to automatic ones. */
  async clear(): Promise<void> {
    const banned = this.list.entries().filter((entry) => entry.kind === 'peer');
    await Promise.all([this.list.clear(), this.manager.resetAll(banned.map((entry) => entry.key))]);
  }

  isBanned(peerId: PeerId): boolean {
    return this.list.banOfPeer(peerId) !== undefined;
  }

  onPeerBanned(peerId: PeerId, untilMs: number, reason: string, offence: Offence): void {
    this.automatic.ban({ peerId, untilMs, reason, offence });
  }

  private whyNotHere(entry: BanEntry): string | undefined {
    const why = this.automatic.whyNotHere(entry);
    const { key, because } = entry;
    if (why !== undefined && because !== undefined)
      this.manager.note([key, because], `ban of ${key} as address of ${because} not taken over: ${why}`);
    return why;
  }

  refusesAddress(ip: string): boolean {
    if (this.list.banOfAddress(ip) === undefined) return false;
    this.refused.add(1, { action: 'address_refused' });
    return true;
  }

  refusesPeer(peerId: PeerId): boolean {
    if (this.list.banOfPeer(peerId) === undefined) return false;
    this.refused.add(1, { action: 'peer_refused' });
    return true;
  }

  connectionOpened(peerId: PeerId, ip: string | undefined): void {
    if (ip !== undefined) this.seen.saw(peerId, ip);
    // Banned between the gate and now.
    const ban = this.list.banOfPeer(peerId) ?? (ip === undefined ? undefined : this.list.banOfAddress(ip));
    if (ban !== undefined) this.disconnect(peerId, ban.key);
  }

  brokenFrame(peerId: PeerId): void {
    const now = this.deps.clock.monotonic();
    const last = this.brokenAtMs.get(peerId);
    if (last !== undefined && now - last < BROKEN_FRAME_INTERVAL_MS) return;
    this.brokenAtMs.delete(peerId);
    this.brokenAtMs.set(peerId, now);
    if (this.brokenAtMs.size > MAX_BROKEN_NEIGHBOURS) {
      const oldest = this.brokenAtMs.keys().next();
      if (!oldest.done) this.brokenAtMs.delete(oldest.value);
    }
    this.manager.addScore(peerId, 'protocol_violation', {
      role: 'relay',
      rule: 'broken_frame',
      topic: '',
      hash: undefined,
    });
  }

  private enforce(event: BanEvent): void {
    if (event.type === 'removed') {
      if (event.why !== 'full') this.retryDialsSoon();
      return;
    }
    const { entry } = event;
    for (const peer of this.node?.currentlyConnectedPeers() ?? []) {
      if (peer.id === entry.key || (entry.kind !== 'peer' && this.isAt(peer.addresses)))
        this.disconnect(peer.id, entry.key);
    }
  }

  /** Once for all bans that end in the same step. */
  private retryDialsSoon(): void {
    this.dialsDue ??= Promise.resolve()
      .then(() => {
        this.dialsDue = undefined;
        this.node?.retryDials();
      })
      .catch((error: unknown) => this.deps.log.warn({ err: error }, 'dials not looked at again'));
  }

  private isAt(addresses: readonly string[]): boolean {
    return addresses.some((address) => this.list.banOfAddress(ipOfMultiaddr(address) ?? '') !== undefined);
  }

  private disconnect(peerId: PeerId, key: string): void {
    this.refused.add(1, { action: 'disconnected' });
    this.deps.log.info({ peerId, ban: key }, 'banned peer disconnected');
    this.node?.disconnectPeer(peerId).catch((error: unknown) => {
      this.deps.log.warn({ peerId, err: error }, 'banned peer not disconnected');
    });
  }

  private purge(): void {
    this.list.purge();
    this.manager.purge();
    // Who is still connected is seen now, however long ago that began.
    for (const { id, addresses } of this.node?.currentlyConnectedPeers() ?? [])
      for (const ip of addresses.map(socketIp)) if (ip !== undefined) this.seen.saw(id, ip);
    this.seen.purge();
    this.storePurge.start();
  }
}
