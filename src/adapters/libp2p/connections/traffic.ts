// Application bytes in each direction, and when the last were sent and received (spec: LastSend, LastRecv, BytesSent,
// BytesReceived).
import type { Clock } from '../../../ports/clock.ts';
import type { Counter, Metrics } from '../../../ports/metrics.ts';

export class Traffic {
  private readonly clock: Clock;
  private readonly sentTotal: Counter;
  private readonly receivedTotal: Counter;
  private sentBytes = 0;
  private receivedBytes = 0;
  private sentAtMs: number | undefined;
  private receivedAtMs: number | undefined;

  constructor(clock: Clock, metrics: Metrics) {
    this.clock = clock;
    this.sentTotal = metrics.counter('teranode_p2p_sent_bytes_total', 'Application bytes sent');
    this.receivedTotal = metrics.counter('teranode_p2p_received_bytes_total', 'Application bytes received');
  }

  sent(bytes: number): void {
    this.sentBytes += bytes;
    this.sentTotal.add(bytes);
    this.sentAtMs = this.clock.now();
  }

  received(bytes: number): void {
    this.receivedBytes += bytes;
    this.receivedTotal.add(bytes);
    this.receivedAtMs = this.clock.now();
  }

  lastSend(): Date | undefined {
    return this.sentAtMs === undefined ? undefined : new Date(this.sentAtMs);
  }

  lastRecv(): Date | undefined {
    return this.receivedAtMs === undefined ? undefined : new Date(this.receivedAtMs);
  }

  bytesSent(): bigint {
    return BigInt(this.sentBytes);
  }

  bytesReceived(): bigint {
    return BigInt(this.receivedBytes);
  }
}
