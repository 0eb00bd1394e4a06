// How many connections HTTP has, how many it may have, and those it turned away.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export class ConnectionMeter {
  private open = 0;
  private readonly refused: Counter;

  constructor(deps: { readonly metrics: Metrics }, options: { readonly maxConnections: number }) {
    const { metrics } = deps;
    metrics.gauge('teranode_p2p_http_connections', 'Open HTTP connections, WebSockets included', () => this.open);
    metrics.gauge(
      'teranode_p2p_http_connections_bound',
      'Bound of open HTTP connections',
      () => options.maxConnections,
    );
    this.refused = metrics.counter('teranode_p2p_http_connections_refused_total', 'HTTP connections refused', [
      'reason',
    ]);
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.open += 1;
      socket.once('close', () => {
        this.open -= 1;
      });
    });
    server.on('drop', () => this.refused.add(1, { reason: 'too_many' }));
    server.on('tlsClientError', () => this.refused.add(1, { reason: 'handshake' }));
  }
}
