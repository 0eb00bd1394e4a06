// A name server for one test: addresses of IPv4 names from a table, nothing else. It counts what it is asked.
import { createSocket, type Socket } from 'node:dgram';

const TYPE_A = 1;
const HEADER_BYTES = 12;
const NOT_FOUND = 3;
const TTL_SECONDS = 0;

export class NameServer {
  readonly asked: string[] = [];
  private readonly socket: Socket = createSocket('udp4');
  private readonly table: Readonly<Record<string, readonly string[]>>;

  constructor(table: Readonly<Record<string, readonly string[]>>) {
    this.table = table;
    this.socket.on('message', (query, { port, address }) => {
      this.socket.send(this.answer(query), port, address);
    });
  }

  /** On port 53 of loopback: in a network namespace of one's own. */
  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.once('error', reject);
      this.socket.bind(53, '127.0.0.1', resolve);
    });
  }

  stop(): void {
    this.socket.close();
  }

  private answer(query: Buffer): Buffer {
    const { name, end } = readName(query);
    const type = query.readUInt16BE(end);
    if (type === TYPE_A) this.asked.push(name);
    const known = this.table[name];
    const addresses = type === TYPE_A ? (known ?? []) : [];
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (known === undefined ? NOT_FOUND : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(addresses.length, 6);
    return Buffer.concat([header, query.subarray(HEADER_BYTES, end + 4), ...addresses.map(record)]);
  }
}

/** An address of the name that was asked for. */
function record(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  bytes.writeUInt16BE(TYPE_A, 2);
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt32BE(TTL_SECONDS, 6);
  bytes.writeUInt16BE(4, 10);
  address.split('.').forEach((part, i) => {
    bytes.writeUInt8(Number(part), 12 + i);
  });
  return bytes;
}

function readName(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  return { name: labels.join('.'), end: at + 1 };
}
