// Finds routers that speak UPnP on this machine's private networks (SSDP). Asks from a port of its own, so that nobody
// is listened to who was not asked, and believes a machine only about itself.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

const DEVICE = 'urn:schemas-upnp-org:device:InternetGatewayDevice:2';
const GROUP = { address: '239.255.255.250', port: 1900 };
const MAX_ANSWER_BYTES = 2048;
const MAX_ID_LENGTH = 256;
/** Machines that are believed per search; a home has one. */
const MAX_FOUND = 4;

export interface FoundRouter {
  /** Its unique service name. */
  readonly id: string;
  /** Of its description. On the machine that answered. */
  readonly location: URL;
}

export interface SearchOptions {
  readonly signal: AbortSignal;
  /** How often the question is asked. */
  readonly intervalMs: number;
  /** Own addresses to ask from; default the private ones. */
  readonly from?: readonly string[];
  /** Whom to ask; default the multicast group of UPnP. */
  readonly target?: { readonly address: string; readonly port: number };
}

/** Each router that answers, once, until the signal aborts. Never throws. */
export async function* searchRouters(options: SearchOptions): AsyncGenerator<FoundRouter> {
  const { signal, intervalMs, from = privateAddresses(), target = GROUP } = options;
  const hosts = new Set<string>();
  const found: FoundRouter[] = [];
  let wake = () => {};
  const heard = (message: Buffer, { address }: RemoteInfo) => {
    const router = hosts.size < MAX_FOUND && !hosts.has(address) ? routerIn(message, address) : undefined;
    if (router === undefined) return;
    hosts.add(address);
    found.push(router);
    wake();
  };
  const sockets = from.map((address) => asking(address, target, heard));
  const timer = setInterval(() => {
    for (const { ask } of sockets) ask();
  }, intervalMs).unref();
  const aborted = () => wake();
  signal.addEventListener('abort', aborted);
  try {
    while (!signal.aborted) {
      const router = found.shift();
      if (router === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else yield router;
    }
  } finally {
    signal.removeEventListener('abort', aborted);
    clearInterval(timer);
    for (const { close } of sockets) close();
  }
}

/** Without these nothing is to be mapped, and nobody is asked. */
function privateAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const own = all.filter(({ family, internal, address }) => family === 'IPv4' && !internal && isPrivate(address));
  return own.map(({ address }) => address);
}

function isPrivate(ip: string): boolean {
  return ['private', 'carrierGradeNat'].includes(ipaddr.parse(ip).range());
}

function asking(
  address: string,
  target: { readonly address: string; readonly port: number },
  heard: (message: Buffer, from: RemoteInfo) => void,
) {
  const socket: Socket = createSocket({ type: 'udp4' }, heard);
  let state: 'opening' | 'open' | 'closed' = 'opening';
  const close = () => {
    if (state !== 'closed') socket.close();
    state = 'closed';
  };
  const question = `M-SEARCH * HTTP/1.1\r\nHOST: ${GROUP.address}:${GROUP.port}\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ${DEVICE}\r\n\r\n`;
  // A network that is gone: the next question may find it again.
  const ask = () => {
    if (state === 'open') socket.send(question, target.port, target.address, () => {});
  };
  socket.on('error', close);
  socket.bind({ address, port: 0 }, () => {
    if (state === 'closed') return;
    state = 'open';
    try {
      socket.setMulticastInterface(address);
      socket.setMulticastTTL(2);
    } catch {
      return close();
    }
    ask();
  });
  socket.unref();
  return { ask, close };
}

/** undefined for anything but the answer of a router about itself. */
function routerIn(message: Buffer, sender: string): FoundRouter | undefined {
  if (message.byteLength > MAX_ANSWER_BYTES || (!isPrivate(sender) && !isLoopback(sender))) return undefined;
  const [status = '', ...lines] = message.toString('utf8').split(/\r?\n/);
  if (!/^HTTP\/1\.[01] 200(\s|$)/.test(status)) return undefined;
  const header = (name: string) => {
    const line = lines.find((each) => each.toLowerCase().startsWith(`${name}:`));
    return line?.slice(name.length + 1).trim() ?? '';
  };
  const [id, location] = [header('usn'), header('location')];
  if (header('st') !== DEVICE || id === '' || id.length > MAX_ID_LENGTH || !URL.canParse(location)) return undefined;
  const url = new URL(location);
  return url.protocol === 'http:' && url.hostname === sender ? { id, location: url } : undefined;
}

function isLoopback(ip: string): boolean {
  return ipaddr.parse(ip).range() === 'loopback';
}
