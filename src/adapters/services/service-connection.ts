// The grpc-js client of one service, and the settings that make it notice what is lost: pings while calls are open, quick reconnection, names
// resolved again. Where grpc-js would wait for ever, it is replaced.
import { type ChannelCredentials, Client, connectivityState, Metadata, status } from '@grpc/grpc-js';
import { P2PError } from '../../lib/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { KEY_HEADER } from '../rpc/call-guard.ts';
import { type ClientTlsOptions, clientCredentials, clientTlsOptions } from '../rpc/tls.ts';
import { type DialTarget, dialTarget } from './dial-target.ts';

export interface ConnectionOptions {
  readonly address: string;
  readonly tls: ClientTlsOptions | undefined;
  readonly apiKey: string | undefined;
  readonly keepAliveMs: number;
  readonly connectMs: number;
}

/** The largest answer: a state value of 1 MiB, or 10,000 subtree roots; twice. */
const MAX_ANSWER_BYTES = 2 * 1024 * 1024;

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.dns_min_time_between_resolutions_ms': 1000,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  // Ours count, and know a bound in time.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

export class ServiceConnection {
  /** Sent with each call. */
  readonly metadata = new Metadata();
  private readonly deps: { readonly log: Logger; readonly clock: Clock };
  private readonly options: ConnectionOptions;
  private dial: (DialTarget & { readonly credentials: ChannelCredentials }) | undefined;
  private current: Client | undefined;
  /** When the service answered last, or a connection was begun. */
  private aliveAtMs = 0;
  private isClosed = false;

  constructor(deps: { readonly log: Logger; readonly clock: Clock }, options: ConnectionOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** Undefined before `open` and after `close`. */
  get client(): Client | undefined {
    return this.current;
  }

  /** Reads files, connects with the first call. May be called twice. Throws ADDRESS_INVALID, SETTINGS_INVALID. */
  open(): void {
    if (this.current !== undefined || this.isClosed) return;
    const { address, apiKey, tls } = this.options;
    const found = dialTarget(address);
    this.dial = { ...found, credentials: clientCredentials(tls, found.host) };
    try {
      if (apiKey) this.metadata.set(KEY_HEADER, apiKey);
    } catch {
      // The library's own error would show the key.
      throw new P2PError('SETTINGS_INVALID', `the API key for ${address} must be printable ASCII`);
    }
    this.current = this.newClient();
  }

  /** May be called twice; it stays closed. */
  close(): void {
    this.isClosed = true;
    this.current?.close();
    this.current = undefined;
  }

  /**
   * To be told how each call ended. A server that takes connections and says nothing on them is waited for by grpc-js without end: when nothing
   * else came for `connectMs`, the connection is begun anew.
   */
  ended(client: Client, code: status | undefined): void {
    const nowMs = this.deps.clock.monotonic();
    if (code !== status.DEADLINE_EXCEEDED && code !== status.CANCELLED) this.aliveAtMs = nowMs;
    if (client !== this.current) return;
    if (client.getChannel().getConnectivityState(false) !== connectivityState.CONNECTING) return;
    if (nowMs - this.aliveAtMs < this.options.connectMs) return;
    this.deps.log.debug({ address: this.options.address }, 'connection begun anew');
    this.current = this.newClient();
    client.close();
  }

  private newClient(): Client {
    if (this.dial === undefined) throw new TypeError('the connection is not open');
    const { target, host, credentials } = this.dial;
    this.aliveAtMs = this.deps.clock.monotonic();
    return new Client(target, credentials, {
      ...clientTlsOptions(host),
      ...CHANNEL_OPTIONS,
      'grpc.keepalive_time_ms': this.options.keepAliveMs,
    });
  }
}
