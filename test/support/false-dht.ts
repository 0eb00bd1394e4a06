// A DHT peer that answers every request with peers that do not exist, all of them at one address, and a host that counts
// who connects to it.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Libp2p, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

const CLOSER_PEERS = 8;
const PROVIDER_PEERS = 9;
/** Fields of a request that the answer repeats: its type and its key. */
const REPEATED = [1, 2, 10];

/** Serves the DHT protocol on a peer without a DHT. */
export async function answerWithInventedPeers(
  libp2p: Libp2p,
  protocol: string,
  { peers, address }: { readonly peers: number; readonly address: (index: number) => string },
): Promise<void> {
  const invented = await Promise.all(Array.from({ length: peers }, (_each, i) => inventedPeer(address(i))));
  const answer = (stream: Stream) => {
    let unread = Buffer.alloc(0);
    stream.addEventListener('message', ({ data }) => {
      unread = Buffer.concat([unread, data.subarray()]);
      for (;;) {
        const { value: length, end } = varint(unread, 0);
        if (end === 0 || unread.length < end + length) return;
        const head = repeatedFields(unread.subarray(end, end + length));
        unread = unread.subarray(end + length);
        const body = Buffer.concat([
          head,
          ...invented.map((peer) => field(CLOSER_PEERS, peer)),
          ...invented.map((peer) => field(PROVIDER_PEERS, peer)),
        ]);
        if (stream.status === 'open') stream.send(Buffer.concat([encodeVarint(body.length), body]));
      }
    });
  };
  await libp2p.handle(protocol, answer, { maxInboundStreams: 1000 });
}

async function inventedPeer(address: string): Promise<Buffer> {
  const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
  return Buffer.concat([field(1, id.toMultihash().bytes), field(2, multiaddr(address).bytes)]);
}

export function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([encodeVarint(number * 8 + 2), encodeVarint(bytes.length), bytes]);
}

function repeatedFields(message: Buffer): Buffer {
  const kept: Buffer[] = [];
  for (let at = 0; at < message.length; ) {
    const start = at;
    const tag = varint(message, at);
    const first = varint(message, tag.end);
    at = tag.value % 8 === 0 ? first.end : first.end + first.value;
    if (REPEATED.includes(Math.floor(tag.value / 8))) kept.push(message.subarray(start, at));
  }
  return Buffer.concat(kept);
}

export function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}

/** `end` is 0 when the bytes end within it. */
export function varint(bytes: Buffer, at: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let i = at; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    value += (byte % 128) * 128 ** (i - at);
    if (byte < 128) return { value, end: i + 1 };
  }
  return { value: 0, end: 0 };
}

/** Accepts connections, counts them and closes them at once. */
export class CountingHost {
  connections = 0;
  private readonly servers: Server[] = [];

  /** The port that it listens on. */
  async listen(host: string): Promise<number> {
    const server = createServer((socket: Socket) => {
      this.connections += 1;
      socket.on('error', () => {});
      socket.destroy();
    });
    server.listen(0, host);
    await once(server, 'listening');
    this.servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  close(): void {
    for (const server of this.servers) server.close();
  }
}
