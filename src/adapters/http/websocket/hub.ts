// All WebSocket clients: serialises each notification once, hands it to the channels, and checks every client each
// second.
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import type { EventFeed } from '../../../domain/event-feed.ts';
import type { Notification, NotificationStream, NotificationType } from '../../../domain/notification.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';
import type { WireName } from '../../../wire/format.ts';
import { encodePingFrame } from '../../../wire/notification-frame.ts';
import { beginningOf, type Resumed } from '../events/event-id.ts';
import type { EventPump } from '../events/event-pump.ts';
import { FeedPieces } from '../events/event-reading.ts';
import { WsChannels } from './channels.ts';
import { type CloseReason, WsClient, type WsTimes } from './client.ts';
import { encodeFrame, feedFrames } from './feed-frames.ts';
import { textFrame } from './frame.ts';
import { WsSlots } from './slots.ts';
import { type NodeStatus, OwnStatusFrame } from './status.ts';
import { defaultTypes, type SubscriptionFilter } from './types.ts';
import { PendingUpgrades } from './upgrades.ts';

/** The events that are kept, and who wakes their readers. */
export interface Feed {
  readonly events: EventFeed;
  readonly pump: EventPump;
}

/** What WebSocket clients receive; given by the server. */
export interface WebSocketSources {
  readonly notifications: NotificationStream;
  /** The current status of this node. */
  ownStatus(): NodeStatus | Promise<NodeStatus>;
  /** Empty strings while not known. */
  identity(): { readonly baseUrl: string; readonly peerId: string };
}

export interface WebSocketOptions {
  /** The wires in force, which decide what the feed looks like. Default: go-p2p. */
  readonly wires?: readonly WireName[];
  /** Further upgrades are refused with 503. */
  readonly maxClients: number;
  /** Per address; further upgrades are refused with 429. Default: `maxClients`. */
  readonly maxPerAddress?: number;
  /** Address ranges such as 10.0.0.0/8, without a limit per address. Default: none. */
  readonly unlimitedRanges?: readonly string[];
  /** Frames queued for a slow client, of up to one KiB each; then the oldest are dropped. */
  readonly bufferFrames: number;
  readonly times?: Partial<HubTimes>;
  /**
   * Bytes between the pings in a client's stream. Default 2 MiB: at 1,000 announcements per second one ping in six
   * seconds.
   */
  readonly pingBytes?: number;
}

interface HubTimes extends WsTimes {
  readonly statusMs: number;
  readonly upgradeMs: number;
  readonly pingFrameMs: number;
  readonly checkMs: number;
  readonly closeMs: number;
}

export const TIMES: HubTimes = {
  /** With a ping every 2 MiB, a client that reads 70 KB per second shows progress in time. */
  noProgressMs: 30_000,
  behindMs: 30_000,
  pingMs: 15_000,
  statusMs: 1000,
  /** From an upgrade to its client; mostly the time to get this node's status. */
  upgradeMs: 5000,
  /** Interval of PING frames in the Go service. */
  pingFrameMs: 10_000,
  checkMs: 1000,
  /** Time for the closing handshake; then the connection is cut. */
  closeMs: 1000,
};
export const PING_BYTES = 2 * 1024 * 1024;
/** Batches of at most a quarter of the buffer, so that a dropped batch is small in comparison. */
const BATCHES_PER_BUFFER = 4;

export class WebSocketHub {
  readonly status: OwnStatusFrame;
  readonly upgrades: PendingUpgrades;
  readonly maxClients: number;
  readonly maxPerAddress: number;
  /** What clients without `?types=` receive. */
  readonly defaultTypes: readonly NotificationType[];
  /** Absent: no client can resume. */
  readonly feed: EventFeed | undefined;
  private readonly pump: EventPump | undefined;
  private readonly pieces: FeedPieces | undefined;
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly sources: WebSocketSources;
  private readonly bufferFrames: number;
  private readonly pingBytes: number;
  readonly closeMs: number;
  /** Whose order of fields the frames have: that of the newer wire. */
  private readonly order: WireName;
  /** Servers of message-bus send none. */
  private readonly sendsPingFrames: boolean;
  private readonly times: HubTimes;
  private readonly channels: WsChannels;
  private readonly clients = new Set<WsClient>();
  /** Those that read from the feed. */
  private readonly feedClients = new Set<WsClient>();
  /** Held by connections that are clients or about to become one. */
  readonly slots: WsSlots;
  private readonly sent: Counter;
  private readonly writes: Counter;
  private readonly lost: Counter;
  private readonly closed: Counter;
  private readonly evicted: Counter;
  private timers: NodeJS.Timeout[] = [];
  private unsubscribe: (() => void) | undefined;
  private isStopping = false;
  private stopping: Promise<void> | undefined;
  private whenEmpty: (() => void) | undefined;

  constructor(
    deps: {
      readonly log: Logger;
      readonly metrics: Metrics;
      readonly clock: Clock;
      readonly sources: WebSocketSources;
      readonly feed?: Feed | undefined;
    },
    options: WebSocketOptions,
  ) {
    this.log = deps.log;
    this.clock = deps.clock;
    this.sources = deps.sources;
    this.maxClients = options.maxClients;
    this.maxPerAddress = options.maxPerAddress ?? options.maxClients;
    const { unlimitedRanges = [], wires = ['go-p2p'] } = options;
    this.order = wires.includes('message-bus') ? 'message-bus' : 'go-p2p';
    this.sendsPingFrames = wires.includes('go-p2p');
    this.feed = deps.feed?.events;
    this.pump = deps.feed?.pump;
    this.pieces = deps.feed && new FeedPieces(deps.feed.events, feedFrames(this.order));
    this.defaultTypes = defaultTypes(wires);
    this.slots = new WsSlots({ max: this.maxClients, maxPerAddress: this.maxPerAddress, unlimitedRanges });
    this.bufferFrames = options.bufferFrames;
    this.pingBytes = options.pingBytes ?? PING_BYTES;
    this.times = { ...TIMES, ...options.times };
    this.closeMs = this.times.closeMs;
    this.status = new OwnStatusFrame(
      { ...deps, ownStatus: () => deps.sources.ownStatus() },
      { deadlineMs: this.times.statusMs, order: this.order },
    );
    this.upgrades = new PendingUpgrades(deps, { deadlineMs: this.times.upgradeMs });
    this.channels = new WsChannels(
      { now: () => this.clock.monotonic() },
      { maxPending: Math.ceil(options.bufferFrames / BATCHES_PER_BUFFER) },
    );
    const { metrics } = deps;
    this.sent = metrics.counter('teranode_p2p_ws_frames_sent_total', 'WebSocket frames sent to clients');
    this.writes = metrics.counter(
      'teranode_p2p_ws_writes_total',
      'Socket writes to WebSocket clients, each of one frame or several',
    );
    this.lost = metrics.counter(
      'teranode_p2p_ws_frames_lost_total',
      'WebSocket frames dropped because clients read too slowly',
    );
    this.closed = metrics.counter('teranode_p2p_ws_closed_total', 'WebSocket connections closed, by reason', [
      'reason',
    ]);
    this.evicted = metrics.counter(
      'teranode_p2p_websocket_clients_evicted_total',
      'WebSocket clients disconnected because they read too slowly',
    );
    const clients = { name: 'teranode_p2p_ws_clients', help: 'Connected WebSocket clients' };
    gaugeWithBound(metrics, clients, () => this.clients.size, this.maxClients);
    const buffer = { name: 'teranode_p2p_ws_buffer_frames', help: 'WebSocket frames queued for all clients' };
    gaugeWithBound(metrics, buffer, () => this.buffered(), this.bufferFrames);
  }

  start(): void {
    this.unsubscribe = this.sources.notifications.subscribe((notification) => this.publish(notification));
    this.timers = [setInterval(() => this.checkAll(), this.times.checkMs).unref()];
    if (this.sendsPingFrames) this.timers.push(setInterval(() => this.pingAll(), this.times.pingFrameMs).unref());
  }

  /** Reserves a slot for a connection of a client's address until its socket closes. */
  reserve(socket: Socket, ip: string | undefined): ReturnType<WsSlots['take']> {
    return this.isStopping ? 'full' : this.slots.take(socket, ip);
  }

  /** The first frame: our own status, with a place in the feed for a client that reads from it. */
  async first(resumed: Resumed | undefined): Promise<Buffer | undefined> {
    const id = resumed && this.feed && beginningOf(this.feed, resumed);
    return await this.status.frame(id);
  }

  /** Takes over a connection that has a slot and whose upgrade is done. `resumed`: it reads from the feed. */
  adopt(ws: WebSocket, socket: Socket, filter: SubscriptionFilter, first: Buffer, resumed?: Resumed): void {
    const { bufferFrames, pingBytes, times, pump } = this;
    const next = resumed && this.pieces?.from(resumed);
    const client = new WsClient(
      {
        ws,
        socket,
        now: () => this.clock.monotonic(),
        sent: this.sent,
        writes: this.writes,
        lost: this.lost,
        ...(next && { next }),
        onDisconnect: (reason) => this.disconnected(client, reason),
      },
      { bufferFrames, pingBytes, wantsLost: filter.wantsLost, times },
    );
    this.clients.add(client);
    if (next === undefined) client.start(first, (receiver) => this.channels.join(filter, receiver));
    else if (pump !== undefined) {
      this.feedClients.add(client);
      client.start(first, (receiver) => pump.join(receiver));
    }
    this.upgrades.done(socket);
  }

  /** Closes all clients and resolves when they have disconnected, within the time for closing. May be called twice. */
  stop(): Promise<void> {
    this.stopping ??= this.closeAll();
    return this.stopping;
  }

  private async closeAll(): Promise<void> {
    this.isStopping = true;
    this.upgrades.stop();
    this.unsubscribe?.();
    for (const timer of this.timers) clearInterval(timer);
    this.channels.flushAll();
    for (const client of this.feedClients) client.pull();
    for (const client of this.clients) client.close('stop');
    if (this.clients.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whenEmpty = resolve;
    await promise;
  }

  private publish(notification: Notification): void {
    const { type, isOwn } = notification;
    const isOwnStatus = isOwn && type === 'node_status';
    if (!isOwnStatus && !this.channels.isWanted(type)) return;
    const payload = encodeFrame(notification, this.order);
    const frame = textFrame(payload);
    if (isOwnStatus) this.status.remember(payload, frame);
    this.channels.add(frame, type);
  }

  private pingAll(): void {
    if (this.clients.size === 0) return;
    const ping = encodePingFrame({ atMs: this.clock.now(), ...this.sources.identity() }, this.order);
    const frame = textFrame(ping);
    this.channels.add(frame, undefined);
    for (const client of this.feedClients) client.receive({ frames: [frame], bytes: frame });
  }

  private checkAll(): void {
    for (const client of this.clients) client.check();
  }

  private disconnected(client: WsClient, reason: CloseReason): void {
    this.clients.delete(client);
    this.feedClients.delete(client);
    this.closed.add(1, { reason });
    if (reason === 'too_slow') this.evicted.add();
    this.log.trace({ reason, clients: this.clients.size }, 'WebSocket client disconnected');
    if (this.clients.size === 0) this.whenEmpty?.();
  }

  private buffered(): number {
    let sum = 0;
    for (const client of this.clients) sum += client.buffered;
    return sum;
  }
}
