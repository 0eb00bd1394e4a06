// Metrics of HTTP connections: how many are open, the limit, and how many were refused.
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { type Counter, gaugeWithBound, type Metrics } from '../../../ports/metrics.ts';

export class ConnectionMeter {
  private open = 0;
  private readonly refused: Counter;

  constructor(deps: { readonly metrics: Metrics }, options: { readonly maxConnections: number }) {
    const { metrics } = deps;
    const gauge = { name: 'teranode_p2p_http_connections', help: 'Open HTTP connections, including WebSockets' };
    gaugeWithBound(metrics, gauge, () => this.open, options.maxConnections);
    this.refused = metrics.counter(
      'teranode_p2p_http_connections_refused_total',
      'HTTP connections refused, by reason',
      ['reason'],
    );
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
