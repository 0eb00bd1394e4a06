// Checks the admin key for all listeners, and counts wrong ones per address over all of them. The right key is taken
// also from an address that gave too many wrong ones, so that no web page and no neighbour behind the same proxy locks
// the operator out. Every wrong key takes the same time.
import { createHash, timingSafeEqual } from 'node:crypto';
import { P2PError } from '../../lib/errors.ts';
import { TokenBucket } from '../../lib/token-bucket.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Logger } from '../../ports/log.ts';
import type { Counter, Metrics } from '../../ports/metrics.ts';
import { isPlaceholderKey } from '../../settings/admin-key.ts';
import { adminKey } from '../../settings/types.ts';
import { WrongKeys } from './wrong-keys.ts';

/** `blockedS`: seconds until the address may give a wrong key again. */
export type KeyCheck = 'right' | 'missing' | 'wrong' | { readonly blockedS: number };

export interface AdminKeysDependencies {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics | undefined;
}

/** Lines about blocked addresses: an attacker with many addresses must not fill the log. */
const LOG_RATE = { perSecond: 0.1, burst: 10 } as const;

export class AdminKeys {
  private readonly deps: AdminKeysDependencies;
  private readonly expected: Buffer;
  private readonly wrongKeys: WrongKeys;
  private readonly lines: TokenBucket;
  private readonly wrong: Counter | undefined;

  /** Throws ADMIN_KEY_REFUSED for a key that no header can carry, or that everybody knows. */
  constructor(deps: AdminKeysDependencies, options: { readonly adminKey: string }) {
    if (adminKey.parse(options.adminKey) === undefined || isPlaceholderKey(options.adminKey))
      throw new P2PError('ADMIN_KEY_REFUSED', `invalid admin key (expected ${adminKey.expects})`);
    this.deps = deps;
    this.expected = sha256(options.adminKey);
    this.wrongKeys = new WrongKeys(deps);
    this.lines = new TokenBucket(LOG_RATE, deps.clock.monotonic());
    this.wrong = deps.metrics?.counter(
      'teranode_p2p_wrong_admin_keys_total',
      'Requests with a wrong admin key, by listener',
      ['listener'],
    );
  }

  isRight(given: string): boolean {
    return timingSafeEqual(sha256(given), this.expected);
  }

  /** `address`: as `addressGroup` has it. It never awaits, so parallel requests cannot exceed the number of attempts. */
  check(given: string | undefined, address: string, listener: 'http' | 'grpc'): KeyCheck {
    if (given === undefined) return 'missing';
    if (this.isRight(given)) return 'right';
    this.wrong?.add(1, { listener });
    const blockedS = this.wrongKeys.blockedSeconds(address);
    if (blockedS !== undefined) return { blockedS };
    if (this.wrongKeys.add(address) && this.lines.take(this.deps.clock.monotonic()))
      this.deps.log.warn({ address, listener }, 'client blocked: too many wrong admin keys');
    return 'wrong';
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
