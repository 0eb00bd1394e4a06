// A PeerAdmin in memory: remembers what it was asked, answers from fields that a test sets, and fails or waits when
// told to.
import { parseBanKey } from '../../src/bans/list/ban-key.ts';
import type { BanEntry, Explanation } from '../../src/domain/ban.ts';
import type { PeerId } from '../../src/domain/ids.ts';
import type { BanReason } from '../../src/domain/offence.ts';
import { P2PError } from '../../src/lib/errors.ts';
import type { PeerAdmin, PeerView } from '../../src/ports/peer-admin.ts';
import { parsePeerId } from '../../src/wire/peer-id.ts';

export const DEFAULT_BAN_MS = 3_600_000;

export interface AdminCall {
  readonly method: keyof PeerAdmin;
  readonly args: readonly unknown[];
}

export class FakePeerAdmin implements PeerAdmin {
  readonly calls: AdminCall[] = [];
  connected: readonly PeerView[] = [];
  explanation: Explanation | undefined;
  /** Thrown by every call while set. */
  failure: unknown;
  /** Every asynchronous call waits for it. */
  gate: Promise<unknown> = Promise.resolve();
  private readonly entries = new Map<string, BanEntry>();

  peers(): readonly PeerView[] {
    this.note('peers');
    return this.connected;
  }

  async ban(text: string, untilMs: number | undefined): Promise<BanEntry> {
    this.note('ban', text, untilMs);
    await this.gate;
    const now = Date.now();
    const { key, kind } = keyOf(text);
    const entry: BanEntry = {
      key,
      kind,
      untilMs: untilMs ?? now + DEFAULT_BAN_MS,
      createdAtMs: now,
      reason: 'by the operator',
      evidence: '',
      source: 'operator',
      causedBy: undefined,
    };
    this.put(entry);
    return entry;
  }

  async unban(text: string): Promise<boolean> {
    this.note('unban', text);
    await this.gate;
    return this.entries.delete(keyOf(text).key);
  }

  isBanned(text: string): boolean {
    this.note('isBanned', text);
    return this.entries.has(keyOf(text).key);
  }

  bans(): readonly BanEntry[] {
    this.note('bans');
    return [...this.entries.values()];
  }

  async clearBans(): Promise<void> {
    this.note('clearBans');
    await this.gate;
    this.entries.clear();
  }

  async addScore(peerId: string, reason: BanReason): Promise<number> {
    this.note('addScore', peerId, reason);
    await this.gate;
    peerIdOf(peerId);
    return 10;
  }

  explain(text: string): Explanation {
    this.note('explain', text);
    if (this.explanation === undefined) throw new P2PError('INPUT_INVALID', `${text} is no peer id, IP or host`);
    return this.explanation;
  }

  async connect(address: string): Promise<PeerId> {
    this.note('connect', address);
    await this.gate;
    if (!address.startsWith('/')) throw new P2PError('ADDRESS_INVALID', `${address} is no multiaddr`);
    const peer = this.connected.find(({ addresses }) => addresses.includes(address));
    if (peer === undefined) throw new P2PError('PEER_UNREACHABLE', `no answer from ${address}`);
    return peer.id;
  }

  async disconnect(peerId: string): Promise<void> {
    this.note('disconnect', peerId);
    await this.gate;
    const id = peerIdOf(peerId);
    const rest = this.connected.filter((peer) => peer.id !== id);
    if (rest.length === this.connected.length) throw new P2PError('PEER_UNREACHABLE', `${id} is not connected`);
    this.connected = rest;
  }

  /** A ban as an operator did not set it. */
  put(entry: BanEntry): void {
    this.entries.set(entry.key, entry);
  }

  /** Arguments of the last call of a method. */
  lastArgs(method: keyof PeerAdmin): readonly unknown[] | undefined {
    return this.calls.findLast((call) => call.method === method)?.args;
  }

  private note(method: keyof PeerAdmin, ...args: readonly unknown[]): void {
    this.calls.push({ method, args });
    if (this.failure !== undefined) throw this.failure;
  }
}

function keyOf(text: string) {
  const key = parseBanKey(text);
  if (key === undefined) throw new P2PError('INPUT_INVALID', `${text} is no IP, subnet or peer id`);
  return key;
}

function peerIdOf(text: string): PeerId {
  const id = parsePeerId(text);
  if (id === undefined) throw new P2PError('INPUT_INVALID', `${text} is no peer id`);
  return id;
}
