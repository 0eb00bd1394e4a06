// Carries out automatic bans: always of the peer ID, and of its address only when no other peer uses that address, at
// this server or at others that share the store. Otherwise the evidence says why the address was not banned.

import type { BanEntry } from '../../domain/ban.ts';
import type { PeerId } from '../../domain/ids.ts';
import type { BanDecision, Offence } from '../../domain/offence.ts';
import { TokenBucket } from '../../lib/token-bucket.ts';
import type { BanStore } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { addressKey, type IpKey, peerKey, socketIp } from '../list/ban-key.ts';
import type { BanList } from '../list/ban-list.ts';
import { NOT_CONNECTED } from '../list/eviction.ts';
import type { Enforcement } from './enforcement.ts';
import { SEEN_KEEP_MS, type SeenAddresses } from './seen-addresses.ts';

export interface AutomaticBansDependencies {
  readonly list: BanList;
  readonly seen: SeenAddresses;
  readonly enforcement: Enforcement;
  readonly store: Pick<BanStore, 'isShared' | 'loadAddressesAt'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The address that is banned along with the peer, or why none is. */
type AddressChoice =
  | { readonly address: IpKey; readonly why?: undefined }
  | { readonly address?: undefined; readonly why: string };

const FULL_LOG_INTERVAL_MS = 60_000;
/** Lines about single bans; further ones are counted in the next line, or in one per minute. */
const BAN_LINES = { perSecond: 1 / 6, burst: 20 };

export class AutomaticBans {
  private readonly deps: AutomaticBansDependencies;
  private readonly banned: Counter;
  private fullLoggedMs: number | undefined;
  /** Number of bans for which the list had no room. */
  private notBanned = 0;
  private readonly lines: TokenBucket;
  /** Bans without a line of their own since the last line. */
  private unlogged = 0;

  constructor(deps: AutomaticBansDependencies) {
    this.deps = deps;
    const help = 'Automatic bans of peers, by the reason of the last offence';
    this.lines = new TokenBucket(BAN_LINES, deps.clock.monotonic());
    this.banned = deps.metrics.counter('teranode_p2p_ban_events_total', help, ['reason']);
  }

  /**
   * The ban of the peer is in force when this returns; that of its address after other servers were asked, if any share
   * the store.
   */
  ban({ peerId, untilMs, reason, offence, source = 'automatic' }: BanDecision): void {
    const { list, store, enforcement } = this.deps;
    const found = evidenceOf(offence);
    const choice = this.addressOf(peerId);
    const isAsked = choice.address !== undefined && store.isShared;
    const evidence = found + (isAsked ? '; other servers are asked about its address' : noteOf(choice));
    const facts = { reason, evidence, source, causedBy: undefined } as const;
    const { entry, isInForce, changes } = list.add(peerKey(peerId), untilMs, facts);
    if (!isInForce) {
      this.logFull(peerId, reason, found);
      return;
    }
    enforcement.apply(changes);
    this.banned.add(1, { reason: offence.reason });
    this.logBan({ peerId, until: new Date(untilMs).toISOString(), reason, evidence });
    if (choice.address === undefined) return;
    if (isAsked) void this.askAndBan(choice.address, peerId, entry, found);
    else this.banAddress(choice.address, peerId, entry, found);
  }

  /** Logs how many bans had no line; called every minute. */
  logUnlogged(): void {
    if (this.unlogged === 0) return;
    this.deps.log.warn({ peers: this.unlogged }, 'more peers banned');
    this.unlogged = 0;
  }

  private logBan(fields: object): void {
    if (!this.lines.take(this.deps.clock.monotonic())) {
      this.unlogged += 1;
      return;
    }
    this.deps.log.warn({ ...fields, ...(this.unlogged > 0 ? { unloggedBefore: this.unlogged } : {}) }, 'peer banned');
    this.unlogged = 0;
  }

  /** Logs at most once a minute: each further offence leads here again. */
  private logFull(peerId: PeerId, reason: string, evidence: string): void {
    const { clock, log } = this.deps;
    this.notBanned += 1;
    if (this.fullLoggedMs !== undefined && clock.monotonic() - this.fullLoggedMs < FULL_LOG_INTERVAL_MS) return;
    this.fullLoggedMs = clock.monotonic();
    const times = this.notBanned;
    log.warn({ peerId, reason, evidence, times }, 'peer not banned: ban list full of bans by operators');
  }

  private async askAndBan(address: IpKey, peerId: PeerId, entry: BanEntry, found: string): Promise<void> {
    const { list, log } = this.deps;
    const why = await this.othersElsewhere(address.key, peerId);
    const ban = list.banOfPeer(peerId);
    // Lifted or replaced in the meantime: the address is not to be banned any more.
    if (ban === undefined || ban.createdAtMs !== entry.createdAtMs) return;
    const choice = why === undefined ? this.unlessOthers(address, peerId) : { why };
    const evidence = found + noteOf(choice);
    list.note(entry, evidence);
    log.info({ peerId, address: address.key, evidence }, 'decided about the address of a banned peer');
    if (choice.address !== undefined) this.banAddress(address, peerId, entry, found);
  }

  private banAddress(address: IpKey, peerId: PeerId, entry: BanEntry, found: string): void {
    const { list, enforcement, log } = this.deps;
    const facts = { reason: `address of ${peerId}`, evidence: found, source: 'automatic', causedBy: peerId } as const;
    const { isInForce, changes } = list.add(address, entry.untilMs, facts);
    enforcement.apply(changes);
    if (isInForce) return;
    const evidence = found + noteOf({ why: 'the ban list is full' });
    list.note(entry, evidence);
    log.warn({ peerId, address: address.key, evidence }, 'address of a banned peer not banned');
  }

  /** Why an address must not be banned according to the other servers; undefined when they do not object. */
  private async othersElsewhere(address: string, peerId: PeerId): Promise<string | undefined> {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    try {
      const all = await this.deps.store.loadAddressesAt(address);
      const isShared = all.some((seen) => seen.peerId !== peerId && seen.lastSeenMs >= oldestMs);
      return isShared ? seenAt(address) : undefined;
    } catch {
      return `who was seen at ${address} by other servers is unknown, their store is unavailable`;
    }
  }

  /** The address that the peer's socket really has, unless other peers may use it. */
  private addressOf(peerId: PeerId): AddressChoice {
    const records = this.deps.enforcement.connectedPeers().filter(({ id }) => id === peerId);
    const addresses = new Map(
      records.flatMap((record) => record.addresses.map(socketKey)).map((key) => [key?.key, key]),
    );
    const [address] = addresses.values();
    if (addresses.size === 0) return { why: NOT_CONNECTED };
    if (addresses.size > 1 || address === undefined)
      return { why: 'it is connected from several addresses, or through a relay' };
    return this.unlessOthers(address, peerId);
  }

  private unlessOthers(address: IpKey, peerId: PeerId): AddressChoice {
    const { list, seen, enforcement } = this.deps;
    // Set by somebody else, maybe for longer, and not to be lifted with the peer's ban.
    if (list.banOfAddress(address.ip) !== undefined) return { why: 'it is banned already' };
    const isShared = enforcement
      .connectedPeers()
      .some(({ id, addresses }) => id !== peerId && addresses.some((at) => socketKey(at)?.key === address.key));
    const others = isShared ? 'seen' : seen.othersAt(address.key, peerId);
    if (others === 'seen') return { why: seenAt(address.key) };
    if (others === 'unknown') return { why: `who else was seen at ${address.key} within 24 h is no longer known` };
    return { address };
  }
}

function evidenceOf({ rule, topic, hash }: Offence): string {
  return `${rule}${topic && ` on ${topic}`}${hash ? ` of ${hash}` : ''}`;
}

function noteOf({ address, why }: AddressChoice): string {
  return address === undefined ? `; address not banned: ${why}` : `; address ${address.key} banned too`;
}

function seenAt(address: string): string {
  return `another peer was seen at ${address} within 24 h`;
}

function socketKey(address: string): IpKey | undefined {
  const ip = socketIp(address);
  return ip === undefined ? undefined : addressKey(ip);
}
