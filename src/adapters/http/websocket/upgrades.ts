// Connections between their upgrade and the moment they become a client. Node's own deadlines end with the upgrade, and
// its server no longer tracks the socket: if anything goes wrong in between, the connection is cut here.
import type { Duplex } from 'node:stream';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export class PendingUpgrades {
  private readonly deadlineMs: number;
  private readonly failed: Counter;
  private readonly pending = new Map<Duplex, NodeJS.Timeout>();
  private isStopped = false;

  constructor(deps: { readonly metrics: Metrics }, options: { readonly deadlineMs: number }) {
    this.deadlineMs = options.deadlineMs;
    this.failed = deps.metrics.counter(
      'teranode_p2p_ws_upgrades_failed_total',
      'WebSocket upgrades that did not become a client, by reason',
      ['reason'],
    );
  }

  add(socket: Duplex): void {
    if (this.isStopped) {
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => this.fail(socket, 'timeout'), this.deadlineMs).unref();
    this.pending.set(socket, timer);
    socket.once('close', () => this.done(socket));
  }

  has(socket: Duplex): boolean {
    return this.pending.has(socket);
  }

  /** The connection has become a client, or is closed. */
  done(socket: Duplex): void {
    clearTimeout(this.pending.get(socket));
    this.pending.delete(socket);
  }

  fail(socket: Duplex, reason: 'timeout' | 'error'): void {
    this.done(socket);
    this.failed.add(1, { reason });
    socket.destroy();
  }

  /** Cuts pending connections and all later ones. */
  stop(): void {
    this.isStopped = true;
    for (const socket of this.pending.keys()) socket.destroy();
  }
}
