// A broker that answers what a client needs to know its cluster, and nothing else.
import { createServer, type Socket } from 'node:net';

export interface AnsweringBroker {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Requests for metadata that were answered. */
  answered(): number;
  stop(): Promise<void>;
}

const API_VERSIONS = 18;
const METADATA = 3;

const int16 = (value: number) => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const int32 = (value: number) => Buffer.concat([int16(value >> 16), int16(value)]);
const string = (text: string) => Buffer.concat([int16(text.length), Buffer.from(text)]);

/** kafka.apache.org/protocol: ApiVersions 3, which offers Metadata 1 alone. */
function answerTo(apiKey: number, port: number): Buffer | undefined {
  const none = int32(0);
  if (apiKey === API_VERSIONS)
    return Buffer.concat([
      int16(0),
      Buffer.from([2]),
      int16(METADATA),
      int16(1),
      int16(1),
      Buffer.of(0),
      none,
      Buffer.of(0),
    ]);
  const broker = Buffer.concat([int32(1), string('127.0.0.1'), int32(port), int16(-1)]);
  return apiKey === METADATA ? Buffer.concat([int32(1), broker, int32(1), none]) : undefined;
}

export async function answeringBroker(): Promise<AnsweringBroker> {
  const sockets = new Set<Socket>();
  let answered = 0;
  let port = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    let received = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) {
        const apiKey = received.readInt16BE(4);
        const correlation = received.subarray(8, 12);
        const answer = answerTo(apiKey, port);
        if (answer !== undefined) socket.write(Buffer.concat([int32(4 + answer.length), correlation, answer]));
        if (apiKey === METADATA) answered += 1;
        received = received.subarray(4 + received.readInt32BE(0));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  port = address.port;
  return {
    address: `127.0.0.1:${port}`,
    answered: () => answered,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
