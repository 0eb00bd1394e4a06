// The grpc-js client of one service, with settings that detect lost connections: pings while calls are open, quick
// reconnection, repeated name resolution. Where grpc-js would wait for ever, the client is replaced.
import { type ChannelCredentials, Client, connectivityState, Metadata, status } from '@grpc/grpc-js';
import { P2PError } from '../../lib/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import { KEY_HEADER } from '../../settings/admin-key.ts';
import { type ClientTlsOptions, clientCredentials, clientTlsOptions } from '../rpc/tls.ts';
import { type ServiceAddress, serviceAddress } from './service-address.ts';

export interface ConnectionOptions {
  readonly address: string;
  readonly tls: ClientTlsOptions | undefined;
  readonly apiKey: string | undefined;
  readonly keepAliveMs: number;
  readonly connectMs: number;
  readonly maxAnswerBytes: number | undefined;
}

/** Default: twice the largest answer, which is a state value of 1 MiB or 10,000 subtree roots. */
const MAX_ANSWER_BYTES = 2 * 1024 * 1024;

const CHANNEL_OPTIONS = {
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.dns_min_time_between_resolutions_ms': 1000,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  // Our own retries are counted and bounded in time.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.enable_channelz': 0,
};

export class ServiceConnection {
  /** Sent with each call. */
  readonly metadata = new Metadata();
  private readonly deps: { readonly log: Logger; readonly clock: Clock };
  private readonly options: ConnectionOptions;
  private dial: (ServiceAddress & { readonly credentials: ChannelCredentials }) | undefined;
  private current: Client | undefined;
  /** Monotonic ms at which the service last answered, or a connection attempt began. */
  private aliveAtMs = 0;
  private isClosed = false;

  constructor(deps: { readonly log: Logger; readonly clock: Clock }, options: ConnectionOptions) {
    this.deps = deps;
    this.options = options;
  }

  /** undefined before `open` and after `close`. */
  get client(): Client | undefined {
    return this.current;
  }

  get isConnected(): boolean {
    return this.current?.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /**
   * Reads certificate files; the first call connects. May be called twice. Throws ADDRESS_INVALID, SETTINGS_INVALID.
   */
  open(): void {
    if (this.current !== undefined || this.isClosed) return;
    const { address, apiKey, tls } = this.options;
    const parsed = serviceAddress(address);
    this.dial = { ...parsed, credentials: clientCredentials(tls, parsed.host) };
    try {
      if (apiKey) this.metadata.set(KEY_HEADER, apiKey);
    } catch {
      // The library's own error would show the key.
      throw new P2PError('SETTINGS_INVALID', `the API key for ${address} must be printable ASCII`);
    }
    this.current = this.newClient();
  }

  /** The connection cannot be opened again. May be called twice. */
  close(): void {
    this.isClosed = true;
    this.current?.close();
    this.current = undefined;
  }

  /**
   * Must be called when a call ends. grpc-js waits for ever for a server that accepts connections and never answers;
   * this replaces the client when nothing was received for `connectMs`.
   */
  ended(client: Client, code: status | undefined): void {
    const nowMs = this.deps.clock.monotonic();
    if (code !== status.DEADLINE_EXCEEDED && code !== status.CANCELLED) this.aliveAtMs = nowMs;
    if (client !== this.current) return;
    if (client.getChannel().getConnectivityState(false) !== connectivityState.CONNECTING) return;
    if (nowMs - this.aliveAtMs < this.options.connectMs) return;
    this.deps.log.debug({ address: this.options.address }, 'reconnecting to service');
    this.current = this.newClient();
    client.close();
  }

  private newClient(): Client {
    if (this.dial === undefined) throw new TypeError('the connection is not open');
    const { target, host, credentials } = this.dial;
    const { keepAliveMs, maxAnswerBytes = MAX_ANSWER_BYTES } = this.options;
    this.aliveAtMs = this.deps.clock.monotonic();
    return new Client(target, credentials, {
      ...clientTlsOptions(host),
      ...CHANNEL_OPTIONS,
      'grpc.max_receive_message_length': maxAnswerBytes,
      'grpc.keepalive_time_ms': keepAliveMs,
    });
  }
}
