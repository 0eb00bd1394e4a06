// The one stream of notifications from the blockchain service, reopened for as long as there are listeners.
import { status } from '@grpc/grpc-js';
import { BlockchainAPI } from '../../gen/blockchain_api_pb.js';
import { pause } from '../../lib/pause.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import type { ServiceChannel } from './service-channel.ts';

export interface StreamEvents {
  /** The service has accepted the subscription. No notification is missed until `closed`. */
  readonly opened: () => void;
  /** One undecoded message. */
  readonly message: (bytes: Buffer) => void;
  /** Notifications are missed until the next `opened`. */
  readonly closed: () => void;
}

export class SubscriptionStream {
  private readonly channel: ServiceChannel;
  private readonly log: Logger;
  private readonly events: StreamEvents;
  private readonly restarts: Counter;
  private readonly ended = new AbortController();
  private isOpen = false;
  /** Streams that ended without a message, in a row. */
  private failures = 0;
  private running: Promise<void> | undefined;
  private cancel: () => void = () => {};

  constructor(
    deps: { readonly channel: ServiceChannel; readonly log: Logger; readonly metrics: Metrics },
    events: StreamEvents,
  ) {
    this.channel = deps.channel;
    this.log = deps.log;
    this.events = events;
    this.restarts = deps.metrics.counter(
      'teranode_p2p_rpc_subscription_restarts_total',
      'Subscriptions restarted after one was lost or refused',
      ['service'],
    );
  }

  get isUp(): boolean {
    return this.isOpen;
  }

  /** `source` names the subscriber in the service's log. */
  start(source: string): void {
    this.running ??= this.run(source);
  }

  /** Replaces the current stream by a new one. */
  renew(): void {
    this.cancel();
  }

  /** Resolves when the stream has ended; no event follows the call. May be called twice. */
  async stop(): Promise<void> {
    this.ended.abort();
    await this.running;
  }

  private async run(source: string): Promise<void> {
    const signal = AbortSignal.any([this.ended.signal, this.channel.signal]);
    while (!signal.aborted) {
      const code = await this.once(source, signal);
      const wasOpen = this.isOpen;
      this.isOpen = false;
      if (signal.aborted) return;
      if (wasOpen) this.events.closed();
      // One warning per outage.
      const level = this.failures === 0 ? 'warn' : 'debug';
      this.log[level]({ code, wasOpen, failures: this.failures }, 'lost subscription to the blockchain service');
      await pause(this.channel.backoffMs(this.failures), signal);
      this.failures += 1;
      this.restarts.add(1, { service: this.channel.service });
    }
  }

  /** Runs one stream to its end, which may be months away. Resolves with the name of the status that ended it. */
  private async once(source: string, signal: AbortSignal): Promise<string> {
    const stream = this.channel.stream(BlockchainAPI.method.subscribe, { source });
    const cancel = () => stream.cancel();
    this.cancel = cancel;
    // The service sends the tip immediately, so a silent stream has failed.
    const late = setTimeout(cancel, this.channel.connectMs);
    signal.addEventListener('abort', cancel);
    const opened = () => {
      clearTimeout(late);
      if (this.isOpen || signal.aborted) return;
      this.isOpen = true;
      this.log.info({ source }, 'subscribed to the blockchain service');
      this.events.opened();
    };
    stream.on('metadata', opened);
    stream.on('data', (bytes: Buffer) => {
      opened();
      this.failures = 0;
      if (!signal.aborted) this.events.message(bytes);
    });
    try {
      return await new Promise<string>((resolve) => stream.once('status', ({ code }) => resolve(status[code])));
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', cancel);
    }
  }
}
