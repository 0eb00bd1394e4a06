// What an automatic ban takes in: always the peer id, and its address only when nobody else can be hit by that, at this server or, where several
// share a store, at another. Else it says why not.

import type { PeerId } from '../../domain/ids.ts';
import { formatIp, parseIp } from '../../lib/ip.ts';
import type { BanEntry, BanStore, Offence } from '../../ports/ban-store.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { PeerRecord } from '../../ports/p2p-node.ts';
import { ipOfMultiaddr } from '../list/ban-key.ts';
import type { BanList } from '../list/ban-list.ts';
import { SEEN_KEEP_MS, type SeenAddresses } from './seen-addresses.ts';

export interface AutomaticBansDependencies {
  readonly list: BanList;
  readonly seen: SeenAddresses;
  readonly store: Pick<BanStore, 'isShared' | 'loadAddressesAt'>;
  readonly connected: () => readonly Pick<PeerRecord, 'id' | 'addresses'>[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface AutomaticBan {
  readonly peerId: PeerId;
  /** Unix ms. */
  readonly untilMs: number;
  readonly reason: string;
  readonly offence: Offence;
}

/** The address that goes with the peer id, or why none does. */
type Decision =
  | { readonly address: string; readonly why?: undefined }
  | { readonly address?: undefined; readonly why: string };

const SAY_FULL_MS = 60_000;

export class AutomaticBans {
  private readonly deps: AutomaticBansDependencies;
  private saidFullMs: number | undefined;
  /** Times that there was no room. */
  private notBanned = 0;

  constructor(deps: AutomaticBansDependencies) {
    this.deps = deps;
  }

  /** In force when this returns; the address, where other servers have to be asked, a moment later. */
  ban(ban: AutomaticBan): void {
    const { list, store, log } = this.deps;
    const { peerId, untilMs, reason } = ban;
    const found = evidenceOf(ban.offence);
    const decision = this.addressOf(peerId);
    const isAsked = decision.address !== undefined && store.isShared;
    const note = isAsked ? '; other servers are asked about its address' : noteOf(decision);
    const evidence = found + note;
    const entry = list.tryAdd(peerId, untilMs, { reason, evidence, source: 'automatic', because: undefined });
    if (entry === undefined) {
      this.sayFull(peerId, reason, found);
      return;
    }
    log.warn({ peerId, until: new Date(untilMs).toISOString(), reason, evidence }, 'peer banned');
    if (decision.address === undefined) return;
    if (isAsked) void this.askAndBan(decision.address, entry, found);
    else this.banAddress(decision.address, entry, found);
  }

  /** Why an address that another server banned with a peer is not to be banned here; undefined when it is, or for any other ban. */
  whyNotHere({ key, kind, source, because }: BanEntry): string | undefined {
    if (source !== 'automatic' || kind !== 'address' || because === undefined) return undefined;
    const other = this.deps.seen.peersAt(key).find((id) => id !== because && !this.isBanned(id));
    return other === undefined ? undefined : `${other}, which is not banned, was seen there within 24 h`;
  }

  /** Once a minute: each further offence comes here again. */
  private sayFull(peerId: PeerId, reason: string, evidence: string): void {
    const { clock, log } = this.deps;
    this.notBanned += 1;
    if (this.saidFullMs !== undefined && clock.monotonic() - this.saidFullMs < SAY_FULL_MS) return;
    this.saidFullMs = clock.monotonic();
    const times = this.notBanned;
    log.warn({ peerId, reason, evidence, times }, 'peer not banned, the ban list is full of bans of the operator');
  }

  private async askAndBan(address: string, entry: BanEntry, found: string): Promise<void> {
    const { list, log } = this.deps;
    const peerId = entry.key as PeerId;
    const why = await this.othersElsewhere(address, peerId);
    const ban = list.banOfPeer(peerId);
    // Lifted or changed in the meantime: then the address is nobody's business.
    if (ban === undefined || ban.createdAtMs !== entry.createdAtMs) return;
    const decision = why === undefined ? this.unlessOthers(address, peerId) : { why };
    const note = noteOf(decision);
    list.note(entry, found + note);
    log.info({ peerId, address, evidence: found + note }, 'address of a banned peer decided on');
    if (decision.address !== undefined) this.banAddress(address, entry, found);
  }

  private banAddress(address: string, entry: BanEntry, evidence: string): void {
    const { list, log } = this.deps;
    const because = entry.key as PeerId;
    const reason = `address of ${because}`;
    const added = list.tryAdd(address, entry.untilMs, { reason, evidence, source: 'automatic', because });
    if (added !== undefined) return;
    const note = noteOf({ why: 'the ban list is full' });
    list.note(entry, evidence + note);
    log.warn({ peerId: because, address, evidence: evidence + note }, 'address of a banned peer not banned');
  }

  /** Why the other servers speak against it; undefined when they do not. */
  private async othersElsewhere(address: string, peerId: PeerId): Promise<string | undefined> {
    const oldestMs = this.deps.clock.now() - SEEN_KEEP_MS;
    try {
      const all = await this.deps.store.loadAddressesAt(address);
      const isShared = all.some((seen) => seen.peerId !== peerId && seen.lastSeenMs >= oldestMs);
      return isShared ? seenAt(address) : undefined;
    } catch {
      return `who was seen at ${address} by other servers is not known, their store is away`;
    }
  }

  /** The address that the socket really has, unless somebody else may stand behind it. */
  private addressOf(peerId: PeerId): Decision {
    const record = this.deps.connected().find(({ id }) => id === peerId);
    const ips = new Set(record?.addresses.map(socketIp));
    const [address] = ips;
    if (ips.size === 0) return { why: 'its author is not connected directly' };
    if (ips.size > 1 || address === undefined)
      return { why: 'it is connected from several addresses, or through a relay' };
    return this.unlessOthers(address, peerId);
  }

  private unlessOthers(address: string, peerId: PeerId): Decision {
    const { list, seen, connected } = this.deps;
    // Set by somebody else, maybe for longer, and not to be lifted with the peer's.
    if (list.banOfAddress(address) !== undefined) return { why: 'it is banned already' };
    const isShared = connected().some(
      ({ id, addresses }) => id !== peerId && addresses.some((at) => socketIp(at) === address),
    );
    const others = isShared ? 'seen' : seen.othersAt(address, peerId);
    if (others === 'seen') return { why: seenAt(address) };
    if (others === 'unknown') return { why: `who else was seen at ${address} within 24 h is no longer known` };
    return { address };
  }

  private isBanned(peerId: PeerId): boolean {
    return this.deps.list.banOfPeer(peerId) !== undefined;
  }
}

function evidenceOf({ rule, topic, hash }: Offence): string {
  return `${rule}${topic && ` on ${topic}`}${hash ? ` of ${hash}` : ''}`;
}

function noteOf({ address, why }: Decision): string {
  return address === undefined ? `; address not banned: ${why}` : `; address ${address} banned too`;
}

function seenAt(address: string): string {
  return `another peer was seen at ${address} within 24 h`;
}

/** The canonical IP of a connection's own address; undefined where it is none. */
export function socketIp(address: string): string | undefined {
  const ip = parseIp(ipOfMultiaddr(address) ?? '');
  return ip === undefined ? undefined : formatIp(ip);
}
