// Bytes of a connection each way, and when they last went: counted at the socket, from the moment the connection is
// open.
import type { Connection } from '@libp2p/interface';
import type { Clock } from '../../../ports/clock.ts';
import { countSocketBytes } from '../patches/connection-socket.ts';
import type { PatchReport } from '../patches/report.ts';

export interface ConnectionMeter {
  /** False when the socket could not be found: nothing is counted then. */
  readonly isCounting: boolean;
  sentBytes: number;
  receivedBytes: number;
  /** Unix ms. */
  lastSendMs: number | undefined;
  lastReceiveMs: number | undefined;
}

export function meterConnection(connection: Connection, clock: Clock, report: PatchReport): ConnectionMeter {
  const counts = { sentBytes: 0, receivedBytes: 0, lastSendMs: undefined, lastReceiveMs: undefined };
  const meter: ConnectionMeter & { isCounting: boolean } = { isCounting: false, ...counts };
  const count = {
    sent: (bytes: number) => {
      meter.sentBytes += bytes;
      meter.lastSendMs = clock.now();
    },
    received: (bytes: number) => {
      meter.receivedBytes += bytes;
      meter.lastReceiveMs = clock.now();
    },
  };
  meter.isCounting = countSocketBytes(connection, count, report);
  return meter;
}
