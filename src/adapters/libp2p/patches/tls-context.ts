// The key and certificate of TLS, shared by connections as in Go. @libp2p/tls makes them anew for each: 39 KB of OpenSSL
// per open connection, and the CPU of a key pair and two signatures per handshake.
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { PrivateKey } from '@libp2p/interface';
import { generateCertificate } from '@libp2p/tls/utils';

/**
 * A certificate is valid from an hour before it was made. Beyond this age, or when the clock was set back, there is a
 * new one; open connections keep theirs.
 */
const MAX_AGE_MS = 3_600_000;

export const TLS_VERSION = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

export class SharedContext {
  private readonly privateKey: PrivateKey;
  private readonly nowMs: () => number;
  private latest: { readonly madeAtMs: number; readonly context: Promise<SecureContext> } | undefined;

  /** `nowMs`: Unix ms, as certificates have it. */
  constructor(privateKey: PrivateKey, nowMs: () => number = Date.now) {
    this.privateKey = privateKey;
    this.nowMs = nowMs;
  }

  get(): Promise<SecureContext> {
    const nowMs = this.nowMs();
    const ageMs = this.latest === undefined ? Number.NaN : nowMs - this.latest.madeAtMs;
    if (this.latest !== undefined && ageMs >= 0 && ageMs <= MAX_AGE_MS) return this.latest.context;
    const latest = { madeAtMs: nowMs, context: this.make() };
    this.latest = latest;
    latest.context.catch(() => {
      if (this.latest === latest) this.latest = undefined;
    });
    return latest.context;
  }

  private async make(): Promise<SecureContext> {
    const certificate = await generateCertificate(this.privateKey);
    // A peer that offers the session of an earlier connection gets a new handshake, in which it proves who it is. With
    // tickets OpenSSL would end the connection, as it does not know whose session it is.
    return createSecureContext({ ...certificate, ...TLS_VERSION, secureOptions: constants.SSL_OP_NO_TICKET });
  }
}
