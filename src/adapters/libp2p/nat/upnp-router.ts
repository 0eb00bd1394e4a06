// A router as UPnP shows it (InternetGatewayDevice:2, IPv4). @libp2p/upnp-nat brings a client of its own, which a single
// datagram from anybody ends the process with, which reads answers of any size, follows where they lead, and takes what
// they say for an address. Here answers are bounded, and only the router itself is asked.
import ipaddr from 'ipaddr.js';

const WAN_CONNECTION = 'urn:schemas-upnp-org:service:WANIPConnection:2';
/** A description has some 10 KB. */
const MAX_ANSWER_BYTES = 128 * 1024;
/** Per answer of the router. */
const ANSWER_DEADLINE_MS = 10_000;
/** js-libp2p asks for the same; a node that was killed leaves its mapping for so long. */
const LEASE_SECONDS = 3600;

/** A port of this machine, and the port of the router that leads there. TCP. */
export interface MappedPort {
  readonly externalPort: number;
  readonly internalHost: string;
  readonly internalPort: number;
}

type Arguments = readonly (readonly [name: string, value: string | number])[];

/** Every call rejects when the router refuses, does not answer within 10 s, or answers nonsense. */
export class UpnpRouter {
  private controlUrl: URL | undefined;
  private readonly location: URL;

  /** `location`: the URL of its description. */
  constructor(location: URL) {
    this.location = location;
  }

  /** The router's public IPv4 address. Rejects when it has none. */
  async externalIp(signal?: AbortSignal): Promise<string> {
    const ip = element(await this.run('GetExternalIPAddress', [], signal), 'NewExternalIPAddress');
    if (ip !== undefined && ipaddr.IPv4.isValidFourPartDecimal(ip) && ipaddr.parse(ip).range() === 'unicast') return ip;
    throw new Error('the router has no public IPv4 address');
  }

  /** Adds or renews a mapping. Resolves with the external port, which may be another than the one asked for. */
  async add({ externalPort, internalHost, internalPort }: MappedPort, signal?: AbortSignal): Promise<number> {
    const answer = await this.run(
      'AddAnyPortMapping',
      [
        ['NewRemoteHost', ''],
        ['NewExternalPort', externalPort],
        ['NewProtocol', 'TCP'],
        ['NewInternalPort', internalPort],
        ['NewInternalClient', internalHost],
        ['NewEnabled', 1],
        ['NewPortMappingDescription', 'teranode-p2p'],
        ['NewLeaseDuration', LEASE_SECONDS],
      ],
      signal,
    );
    const reserved = Number(element(answer, 'NewReservedPort'));
    if (Number.isInteger(reserved) && reserved > 0 && reserved < 65_536) return reserved;
    throw new Error('the router named no port');
  }

  async remove({ externalPort }: Pick<MappedPort, 'externalPort'>, signal?: AbortSignal): Promise<void> {
    const port = [
      ['NewRemoteHost', ''],
      ['NewExternalPort', externalPort],
      ['NewProtocol', 'TCP'],
    ] as const;
    await this.run('DeletePortMapping', port, signal);
  }

  private async run(action: string, args: Arguments, given?: AbortSignal): Promise<string> {
    const deadline = AbortSignal.timeout(ANSWER_DEADLINE_MS);
    const signal = given === undefined ? deadline : AbortSignal.any([given, deadline]);
    this.controlUrl ??= controlUrl(await ask(this.location, { signal }), this.location);
    const fields = args.map(([name, value]) => `<${name}>${value}</${name}>`).join('');
    return await ask(this.controlUrl, {
      method: 'POST',
      signal,
      headers: { 'content-type': 'text/xml; charset="utf-8"', soapaction: `"${WAN_CONNECTION}#${action}"` },
      body:
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
        `<u:${action} xmlns:u="${WAN_CONNECTION}">${fields}</u:${action}></s:Body></s:Envelope>`,
    });
  }
}

/** Where the description says that the router takes commands: on the machine of the description and nowhere else. */
function controlUrl(description: string, location: URL): URL {
  const services = description.split('<service>');
  const service = services.find((each) => element(each, 'serviceType') === WAN_CONNECTION) ?? '';
  const path = element(service, 'controlURL');
  if (path === undefined) throw new Error('the router maps no ports');
  const url = new URL(path.replaceAll('&amp;', '&'), location);
  if (url.protocol === 'http:' && url.hostname === location.hostname) return url;
  throw new Error('the router names another machine');
}

async function ask(url: URL, request: RequestInit): Promise<string> {
  const response = await fetch(url, { ...request, redirect: 'error' });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ANSWER_BYTES) throw new Error('the answer of the router is too long');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  if (response.ok) return text;
  const code = Number(element(text, 'errorCode'));
  throw new Error(`the router refused: HTTP status ${response.status}, UPnP error ${code}`);
}

/** The text of the first such element that holds text alone; undefined without one. */
function element(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}(?:\\s[^<>]*)?>([^<]*)</`).exec(xml)?.[1]?.trim();
}
