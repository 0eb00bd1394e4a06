// How much work and memory the calls of an address or a connection may cost. A call without the admin key takes tokens
// of its address, one and more for the size of its answer and the time that it took. Answers that a client does not read
// wait in this process: beyond a bound, or after a while, its connection is cut.
import { TokenBuckets } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';
import { gaugeWithBound, type Metrics } from '../../ports/metrics.ts';

export interface CallLimitsOptions {
  /** `p2p_grpc_rate`: tokens per second and address, with a burst of ten times as many; 0: unlimited. */
  readonly ratePerSecond: number;
}

export interface CallLimitsDependencies {
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** Closes the connection of a peer such as 192.0.2.1:54321. */
  readonly cut: (peer: string) => void;
}

const BURST_SECONDS = 10;
/** Addresses counted at once; when there are more, the one seen longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;
const BYTES_PER_TOKEN = 16 * 1024;
/** With the default rate of 500 an address gets a tenth of a core. */
const TOKENS_PER_MS = 5;
/** A single answer may be larger. */
const MAX_UNREAD_PER_CONNECTION = 16 * 1024 * 1024;
const MAX_UNREAD = 128 * 1024 * 1024;
const UNREAD_DEADLINE_MS = 30_000;

/** Of one connection. */
interface Unread {
  readonly bytes: number;
  /** Those of calls without the admin key. */
  readonly keyless: number;
}

/** Answers of one call. */
export interface UnreadAnswers {
  /** False: the connection was cut or the call has ended, and nothing is to be sent. */
  add(bytes: number): boolean;
  /** This many bytes were handed to the network. */
  sent(bytes: number): void;
  /** The call has ended. May be called twice. */
  end(): void;
}

export class CallLimits {
  private readonly deps: CallLimitsDependencies;
  private readonly tokens: TokenBuckets<string>;
  private readonly isUnlimited: boolean;
  private readonly unread = new Map<string, Unread>();
  private unreadBytes = 0;

  constructor(deps: CallLimitsDependencies, options: CallLimitsOptions) {
    this.deps = deps;
    const { ratePerSecond: perSecond } = options;
    this.isUnlimited = perSecond === 0;
    this.tokens = new TokenBuckets({ perSecond, burst: perSecond * BURST_SECONDS }, MAX_ADDRESSES);
    const gauge = {
      name: 'teranode_p2p_grpc_unread_bytes',
      help: 'Bytes of gRPC answers that clients have not read yet',
    };
    gaugeWithBound(deps.metrics, gauge, () => this.unreadBytes, MAX_UNREAD);
  }

  /** False when the address has used up its rate. */
  take(address: string): boolean {
    return this.tokens.take(address, this.deps.clock.monotonic());
  }

  /** What an answer cost: its size, and the time that it took to make. */
  charge(address: string, cost: { readonly bytes: number; readonly ms: number }): void {
    if (this.isUnlimited) return;
    const tokens = cost.bytes / BYTES_PER_TOKEN + cost.ms * TOKENS_PER_MS;
    this.tokens.get(address, this.deps.clock.monotonic()).charge(tokens);
  }

  /** For a call of this connection. `isTrusted`: it has the admin key, and counts towards the bound of all only. */
  answersOf(peer: string, isTrusted: () => boolean): UnreadAnswers {
    let pending = 0;
    let keyless = 0;
    let hasEnded = false;
    let timer: NodeJS.Timeout | undefined;
    const leave = (bytes: number) => {
      const left = { bytes: Math.min(bytes, pending), keyless: Math.min(bytes, keyless) };
      pending -= left.bytes;
      keyless -= left.keyless;
      this.change(peer, { bytes: -left.bytes, keyless: -left.keyless });
      if (pending > 0) return;
      clearTimeout(timer);
      timer = undefined;
    };
    return {
      add: (bytes) => {
        // Of a call that was given up nothing is sent, and nobody would say that it was.
        if (hasEnded) return false;
        const counted = { bytes, keyless: isTrusted() ? 0 : bytes };
        const before = this.unread.get(peer)?.keyless ?? 0;
        if (before > 0 && before + counted.keyless > MAX_UNREAD_PER_CONNECTION) {
          this.deps.cut(peer);
          return false;
        }
        pending += bytes;
        keyless += counted.keyless;
        this.change(peer, counted);
        timer ??= setTimeout(() => this.deps.cut(peer), UNREAD_DEADLINE_MS).unref();
        if (this.unreadBytes > MAX_UNREAD) this.cutLargest();
        return true;
      },
      sent: leave,
      end: () => {
        hasEnded = true;
        leave(pending);
      },
    };
  }

  private change(peer: string, { bytes, keyless }: Unread): void {
    this.unreadBytes += bytes;
    const before = this.unread.get(peer) ?? { bytes: 0, keyless: 0 };
    const now = { bytes: before.bytes + bytes, keyless: before.keyless + keyless };
    if (now.bytes > 0) this.unread.set(peer, now);
    else this.unread.delete(peer);
  }

  /** The admin's long list is not cut for what others leave unread. */
  private cutLargest(): void {
    const [largest] = [...this.unread].sort(([, a], [, b]) => b.keyless - a.keyless || b.bytes - a.bytes);
    if (largest !== undefined) this.deps.cut(largest[0]);
  }
}
