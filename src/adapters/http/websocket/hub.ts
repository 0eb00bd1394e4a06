// All WebSocket clients: takes what happens from the stream of notifications, serialises it once, hands it to the channels, looks after each client.
import type { Socket } from 'node:net';
import type { WebSocket } from '@fastify/websocket';
import type { Notification, NotificationStream } from '../../../domain/notification.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';
import { encodeNotificationFrame, encodePingFrame } from '../../../wire/notification-frame.ts';
import { WsChannels } from './channels.ts';
import { type CloseReason, WsClient, type WsTimes } from './client.ts';
import { textFrame } from './frame.ts';
import { WsPlaces } from './slots.ts';
import { type NodeStatus, OwnStatusFrame } from './status.ts';
import type { Wish } from './types.ts';
import { PendingUpgrades } from './upgrades.ts';

/** What WebSocket clients are told; given by the server. */
export interface WebSocketSources {
  readonly notifications: NotificationStream;
  /** This node's status as of now. */
  ownStatus(): NodeStatus | Promise<NodeStatus>;
  /** Empty texts while not known. */
  identity(): { readonly baseUrl: string; readonly peerId: string };
}

export interface WebSocketOptions {
  /** Beyond it, upgrades are refused with 503. */
  readonly maxClients: number;
  /** Of one address; beyond it, upgrades are refused with 429. Default: no bound of its own. */
  readonly maxPerAddress?: number;
  /** Frames that wait for a client that reads too slowly, of up to a KiB each; then the oldest go. */
  readonly bufferFrames: number;
  readonly times?: Partial<HubTimes>;
  /** Between pings in what a client is sent. Default 2 MiB: at 1,000 announcements a second one in six seconds. */
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
  /** With a ping every 2 MiB, who reads 70 KB a second is seen to do so. */
  stallMs: 30_000,
  behindMs: 30_000,
  pingMs: 15_000,
  statusMs: 1000,
  /** From an upgrade to its client: above all the time for our own status. */
  upgradeMs: 5000,
  /** Go's interval of PING. */
  pingFrameMs: 10_000,
  checkMs: 1000,
  /** For the closing handshake, then the connection is cut. */
  closeMs: 1000,
};
export const PING_BYTES = 2 * 1024 * 1024;
/** Batches of a quarter of the buffer, so that what is dropped at once is small beside it. */
const BATCHES_PER_BUFFER = 4;

export class WebSocketHub {
  readonly status: OwnStatusFrame;
  readonly upgrades: PendingUpgrades;
  readonly maxClients: number;
  readonly maxPerAddress: number;
  private readonly log: Logger;
  private readonly clock: Clock;
  private readonly sources: WebSocketSources;
  private readonly bufferFrames: number;
  private readonly pingBytes: number;
  readonly closeMs: number;
  private readonly times: HubTimes;
  private readonly channels: WsChannels;
  private readonly clients = new Set<WsClient>();
  /** Of connections that are clients or about to be. */
  private readonly places: WsPlaces;
  private readonly sent: Counter;
  private readonly lost: Counter;
  private readonly closed: Counter;
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
    },
    options: WebSocketOptions,
  ) {
    this.log = deps.log;
    this.clock = deps.clock;
    this.sources = deps.sources;
    this.maxClients = options.maxClients;
    this.maxPerAddress = options.maxPerAddress ?? options.maxClients;
    this.places = new WsPlaces({ max: this.maxClients, maxPerAddress: this.maxPerAddress });
    this.bufferFrames = options.bufferFrames;
    this.pingBytes = options.pingBytes ?? PING_BYTES;
    this.times = { ...TIMES, ...options.times };
    this.closeMs = this.times.closeMs;
    this.status = new OwnStatusFrame(
      { ...deps, ownStatus: () => deps.sources.ownStatus() },
      { deadlineMs: this.times.statusMs },
    );
    this.upgrades = new PendingUpgrades(deps, { deadlineMs: this.times.upgradeMs });
    this.channels = new WsChannels({ maxBatchFrames: Math.ceil(options.bufferFrames / BATCHES_PER_BUFFER) });
    const { metrics } = deps;
    this.sent = metrics.counter('teranode_p2p_ws_frames_sent_total', 'Frames handed to WebSocket clients');
    this.lost = metrics.counter('teranode_p2p_ws_frames_lost_total', 'Frames dropped for WebSocket clients too slow');
    this.closed = metrics.counter('teranode_p2p_ws_closed_total', 'WebSocket clients gone, by reason', ['reason']);
    metrics.gauge('teranode_p2p_ws_clients', 'WebSocket clients', () => this.clients.size);
    metrics.gauge('teranode_p2p_ws_clients_bound', 'WebSocket clients at most', () => this.maxClients);
    metrics.gauge('teranode_p2p_ws_buffer_frames', 'Frames that wait for WebSocket clients', () => this.buffered());
    metrics.gauge(
      'teranode_p2p_ws_buffer_frames_bound',
      'Frames that may wait for one client',
      () => this.bufferFrames,
    );
  }

  start(): void {
    this.unsubscribe = this.sources.notifications.subscribe((notification) => this.tell(notification));
    this.timers = [
      setInterval(() => this.pingAll(), this.times.pingFrameMs).unref(),
      setInterval(() => this.checkAll(), this.times.checkMs).unref(),
    ];
  }

  /** A place for a connection, for as long as its socket lives. */
  reserve(socket: Socket): ReturnType<WsPlaces['take']> {
    return this.isStopping ? 'full' : this.places.take(socket);
  }

  /** A connection that has a place and whose upgrade is done. */
  adopt(ws: WebSocket, socket: Socket, wish: Wish, first: Buffer): void {
    const { bufferFrames, pingBytes, times } = this;
    const client = new WsClient(
      {
        ws,
        socket,
        now: () => this.clock.monotonic(),
        sent: this.sent,
        lost: this.lost,
        onGone: (reason) => this.gone(client, reason),
      },
      { bufferFrames, pingBytes, wantsLost: wish.wantsLost, times },
    );
    this.clients.add(client);
    client.begin(first, (taker) => this.channels.join(wish, taker));
    this.upgrades.done(socket);
  }

  /** Everybody is told and gone, at the latest when the time for closing is over. May be called twice. */
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
    for (const client of this.clients) client.close('stop');
    if (this.clients.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whenEmpty = resolve;
    await promise;
  }

  private tell(notification: Notification): void {
    const { type, isOwn } = notification;
    const isOwnStatus = isOwn && type === 'node_status';
    if (!isOwnStatus && !this.channels.isWanted(type)) return;
    const frame = textFrame(encodeNotificationFrame(notification));
    if (isOwnStatus) this.status.remember(frame);
    this.channels.add(frame, type);
  }

  private pingAll(): void {
    if (this.clients.size === 0) return;
    const ping = encodePingFrame({ atMs: this.clock.now(), ...this.sources.identity() });
    this.channels.add(textFrame(ping), undefined);
  }

  private checkAll(): void {
    for (const client of this.clients) client.check();
  }

  private gone(client: WsClient, reason: CloseReason): void {
    this.clients.delete(client);
    this.closed.add(1, { reason });
    this.log.trace({ reason, clients: this.clients.size }, 'websocket client gone');
    if (this.clients.size === 0) this.whenEmpty?.();
  }

  private buffered(): number {
    let sum = 0;
    for (const client of this.clients) sum += client.buffered;
    return sum;
  }
}
