// A name server for one test: addresses of IPv4 names and TXT records from tables, nothing else. It counts the names whose
// addresses it is asked for.
import { createSocket, type Socket } from 'node:dgram';

const TYPE_A = 1;
const TYPE_TXT = 16;
const HEADER_BYTES = 12;
const NOT_FOUND = 3;
const TTL_SECONDS = 0;

export type NameTable = Readonly<Record<string, readonly string[]>>;

export class NameServer {
  readonly asked: string[] = [];
  private readonly socket: Socket = createSocket('udp4');
  private readonly addresses: NameTable;
  private readonly texts: NameTable;

  /** `texts`: TXT records of a name, of at most 255 bytes each. */
  constructor(addresses: NameTable, texts: NameTable = {}) {
    this.addresses = addresses;
    this.texts = texts;
    this.socket.on('message', (query, { port, address }) => {
      this.socket.send(this.answer(query), port, address);
    });
  }

  /** `host:port`. Port 53 of loopback needs a network namespace of one's own; 0 is a free port. */
  async start(port = 53): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.socket.once('error', reject);
      this.socket.bind(port, '127.0.0.1', resolve);
    });
    return `127.0.0.1:${this.socket.address().port}`;
  }

  stop(): void {
    this.socket.close();
  }

  private answer(query: Buffer): Buffer {
    const { name, end } = readName(query);
    const type = query.readUInt16BE(end);
    if (type === TYPE_A) this.asked.push(name);
    const isKnown = Object.hasOwn(this.addresses, name) || Object.hasOwn(this.texts, name);
    const records = this.recordsOf(name, type);
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (isKnown ? 0 : NOT_FOUND), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, query.subarray(HEADER_BYTES, end + 4), ...records]);
  }

  private recordsOf(name: string, type: number): Buffer[] {
    if (type === TYPE_A)
      return (this.addresses[name] ?? []).map((ip) => record(type, Buffer.from(ip.split('.').map(Number))));
    if (type !== TYPE_TXT) return [];
    return (this.texts[name] ?? []).map((text) => record(type, Buffer.from([text.length, ...Buffer.from(text)])));
  }
}

/** A record of the name that was asked for. */
function record(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(value.length, 10);
  return Buffer.concat([head, value]);
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
