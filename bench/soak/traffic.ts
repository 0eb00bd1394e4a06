// What goes on while faults are injected: announcements with known hashes at a steady rate, clients that follow the
// feeds, an operator who bans and lifts. All of it is noted, so that afterwards each message and each ban is accounted
// for.
import { createHash } from 'node:crypto';
import { Client } from 'pg';
import { EventClient } from '../../test/support/event-source.ts';
import { headerHash, mainnetHeaders } from '../../test/support/network.ts';
import type { Lab } from './lab.ts';
import type { Ledger } from './ledger.ts';
import type { Announcement, SoakPeer } from './peers.ts';

/** Told to a peer and not answered; beyond that it is given nothing more. A frozen one answers later. */
const MAX_OUTSTANDING = 500;
const LEAST_BLOCK_GAP_MS = 1000;
const READ_EVENTS_MS = 100;
const RECONNECT_MS = 1000;
/** At most, of the operator. */
const BANS_IN_FORCE = 20;
const VISIT_GAP_MS = 10_000;
const ADD_ATTEMPTS = 5;
const MAX_ERRORS = 20;

export interface TrafficOptions {
  readonly seed: string;
  readonly ratePerSecond: number;
  readonly runMs: number;
}

interface BanAnswer {
  readonly key: string;
  readonly isStored: boolean;
}

export class Traffic {
  /** What nobody should have met: clients cut off, events lost, requests refused. 20 at most. */
  readonly errors: string[] = [];
  readonly bans = { ordered: 0, lifted: 0, answeredUnstored: 0 };
  accepted = 0;
  published = 0;
  private readonly lab: Lab;
  private readonly ledger: Ledger;
  private readonly options: TrafficOptions;
  private readonly inForce: string[] = [];
  private readonly loops: Promise<void>[] = [];
  private readonly stopped = new AbortController();
  private readonly outstanding = new Map<SoakPeer, number>();
  private readonly unadded: Buffer[] = [];
  private number = 0;
  private feed: EventClient | undefined;
  private socket: WebSocket | undefined;
  private areFeedsOpen = true;

  constructor(lab: Lab, ledger: Ledger, options: TrafficOptions) {
    this.lab = lab;
    this.ledger = ledger;
    this.options = options;
  }

  async start(): Promise<void> {
    const { publishers, server } = this.lab;
    this.feed = await EventClient.open(server.ready.httpAddress, '?types=block,subtree');
    this.loops.push(this.followEvents());
    await this.followSocket();
    const gapMs = (1000 * publishers.length) / this.options.ratePerSecond;
    for (const peer of publishers) this.every(gapMs, () => this.announceSubtree(peer));
    const headers = mainnetHeaders().slice(1);
    const blockGapMs = Math.max(LEAST_BLOCK_GAP_MS, this.options.runMs / headers.length);
    let height = 0;
    this.every(blockGapMs, () => {
      const header = headers[height];
      height += 1;
      if (header !== undefined) this.announceBlock(publishers[height % publishers.length], header, height);
    });
    this.every(LEAST_BLOCK_GAP_MS / 10, () => this.addBlock());
    this.every(Math.max(1000, this.options.runMs / 360), () => this.ban());
    this.every(Math.min(VISIT_GAP_MS, this.options.runMs / 20), () => this.visit());
  }

  /** Publishes nothing more; the feeds are followed on. */
  async stopPublishing(): Promise<void> {
    this.stopped.abort();
    await Promise.all(this.loops.slice(1));
  }

  async stop(): Promise<void> {
    await this.stopPublishing();
    this.areFeedsOpen = false;
    this.feed?.close();
    this.socket?.close();
    await Promise.all(this.loops);
  }

  /** Bans that are in force and not in the database, or the other way round. */
  async wrongBans(): Promise<string[]> {
    const client = new Client({ connectionString: this.lab.database.url() });
    await client.connect();
    const { rows } = await client.query<{ key: string }>('SELECT key FROM teranode_p2p_bans');
    await client.end();
    const stored = new Set(rows.map(({ key }) => key));
    const wanted = new Set(this.inForce);
    return [
      ...[...wanted].filter((key) => !stored.has(key)).map((key) => `${key} is not stored`),
      ...[...stored].filter((key) => !wanted.has(key)).map((key) => `${key} is stored and not in force`),
    ];
  }

  /** Bans that the operator did not order. */
  async otherBans(): Promise<string[]> {
    const { bans } = await this.lab.api<{ bans: { key: string }[] }>('GET', 'bans?limit=1000');
    return bans.map(({ key }) => key).filter((key) => !this.inForce.includes(key));
  }

  private every(gapMs: number, work: () => Promise<void> | void): void {
    const { signal } = this.stopped;
    const loop = async () => {
      for (let dueMs = performance.now() + gapMs; !signal.aborted; dueMs += gapMs) {
        // What is late is not made up for: a machine that was busy gets no burst.
        dueMs = Math.max(dueMs, performance.now() - gapMs);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())));
        if (!signal.aborted) await work();
      }
    };
    this.loops.push(loop().catch((error: unknown) => this.wrong(String(error))));
  }

  private announceSubtree(peer: SoakPeer): void {
    this.number += 1;
    const hash = createHash('sha256').update(`${this.options.seed}/subtree/${this.number}`).digest('hex');
    this.announce(peer, { kind: 'subtree', hash });
  }

  private announceBlock(peer: SoakPeer | undefined, header: Buffer, height: number): void {
    const hash = headerHash(header);
    if (peer !== undefined)
      this.announce(peer, { kind: 'block', hash, header: { hex: header.toString('hex'), height } });
    this.unadded.push(header);
  }

  private announce(peer: SoakPeer, announcement: Announcement): void {
    const open = this.outstanding.get(peer) ?? 0;
    if (open >= MAX_OUTSTANDING) return;
    this.outstanding.set(peer, open + 1);
    this.published += 1;
    this.ledger.publish(announcement.hash, { kind: announcement.kind, publisher: peer.peerId, atMs: Date.now() });
    peer
      .announce(announcement)
      .catch((error: unknown) => this.wrong(`publish: ${error}`))
      .finally(() => this.outstanding.set(peer, (this.outstanding.get(peer) ?? 1) - 1));
  }

  /** Validated: the node's own services store the next block that was announced. */
  private async addBlock(): Promise<void> {
    const [header] = this.unadded;
    if (header === undefined) return;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.lab.services.addHeader(header);
        this.unadded.shift();
        return;
      } catch (error) {
        if (this.stopped.signal.aborted) return;
        if (attempt === ADD_ATTEMPTS) throw error;
      }
    }
  }

  private async ban(): Promise<void> {
    const number = this.bans.ordered;
    const subject = `198.51.${100 + (number >> 8)}.${number & 255}`;
    const { key, isStored } = await this.lab.api<BanAnswer>('POST', 'bans', { subject });
    this.bans.ordered += 1;
    this.inForce.push(key);
    if (!isStored) this.bans.answeredUnstored += 1;
    const [oldest = ''] = this.inForce;
    if (this.inForce.length <= BANS_IN_FORCE) return;
    await this.lab.api('DELETE', `bans?subject=${encodeURIComponent(oldest)}`);
    this.inForce.shift();
    this.bans.lifted += 1;
  }

  /** A client that comes, gets its first frame and leaves. */
  private async visit(): Promise<void> {
    const socket = new WebSocket(`ws://${this.lab.server.ready.httpAddress}/p2p-ws`);
    await new Promise((resolve) => {
      socket.addEventListener('message', resolve, { once: true });
      socket.addEventListener('close', resolve, { once: true });
      this.stopped.signal.addEventListener('abort', resolve, { once: true });
    });
    socket.close();
  }

  /** Resolves with its first frame: what is accepted from then on has to come over it. */
  private async followSocket(): Promise<void> {
    const socket = new WebSocket(`ws://${this.lab.server.ready.httpAddress}/p2p-ws`);
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { hash } = JSON.parse(String(data)) as { hash?: string };
      if (hash !== undefined) this.ledger.onWebSocket(hash);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      if (!this.areFeedsOpen) return;
      this.wrong(`the WebSocket was closed: ${code} ${reason}`);
      setTimeout(() => void this.followSocket(), RECONNECT_MS).unref();
    });
    await new Promise((resolve) => {
      socket.addEventListener('message', resolve, { once: true });
      socket.addEventListener('close', resolve, { once: true });
    });
  }

  private async followEvents(): Promise<void> {
    while (this.areFeedsOpen && this.feed !== undefined) {
      for (const { event, data } of this.feed.events.splice(0)) {
        if (event === 'lost') this.wrong(`events were lost: ${JSON.stringify(data)}`);
        else if (data.isOwn !== true && this.ledger.accept(String(data.hash), Date.now())) this.accepted += 1;
      }
      if (this.feed.isEnded) {
        this.wrong('the event stream was ended');
        this.feed = await EventClient.open(this.lab.server.ready.httpAddress, `?since=${this.feed.lastId}`);
      }
      await new Promise((resolve) => setTimeout(resolve, READ_EVENTS_MS));
    }
  }

  private wrong(text: string): void {
    if (this.errors.length < MAX_ERRORS) this.errors.push(`${new Date().toISOString()} ${text}`);
  }
}
