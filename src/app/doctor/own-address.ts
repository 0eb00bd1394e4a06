// Whether the advertised addresses lead back to this node. The best answer is that of peers that dialled back (AutoNAT
// v2). Else the addresses are dialled from here, which proves less: that they lead to this node from this machine.
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';
import { advertiseMultiaddr, isPrivateMultiaddr, parseMultiaddr } from '../../adapters/libp2p/addresses.ts';
import { trialKey } from '../../adapters/libp2p/identity.ts';
import { Libp2pNode } from '../../adapters/libp2p/libp2p-node.ts';
import { orAfter } from '../../lib/deadline.ts';
import { systemClock } from '../../ports/clock.ts';
import type { Settings } from '../../settings/load.ts';
import { speaks } from '../../settings/wire.ts';
import { type Finding, fine, notAskedFor, unknown, wrong } from './finding.ts';
import { QUIET_LOG, QUIET_METRICS } from './quiet.ts';
import { bareOptions } from './second-look.ts';
import type { NetworkView } from './view.ts';

const DIAL_MS = 4000;
const MAX_ADDRESSES = 8;
const ADVICE =
  'forward the port to this machine on the router and open it in the firewall, or correct p2p_advertise_addresses; if only this machine cannot use the address (no hairpin NAT), test it from outside';
const FROM_HERE = 'dialled from this machine, which does not prove that others reach it';

/** Beside a running node, which listens. */
export async function checkOwnAddresses(view: NetworkView, settings: Settings, signal: AbortSignal): Promise<Finding> {
  const name = 'nat';
  if (view.reachability === 'public') return fine(name, `peers dialled this node back: ${view.announced.join(', ')}`);
  if (view.reachability === 'private') return wrong(name, 'peers of several networks dialled back in vain', ADVICE);
  const announced = view.announced.map(parseMultiaddr);
  const isSet = settings.p2p_advertise_addresses.length > 0;
  const own = announced.filter((address) => isSet || !isPrivateMultiaddr(address)).slice(0, MAX_ADDRESSES);
  if (own.length === 0) return notAskedFor(name, 'p2p_advertise_addresses is unset, and no public address is known');
  const key = speaks(settings, 'go-p2p') && settings.p2p_dht_use_private ? settings.p2p_shared_key : undefined;
  const { key: privateKey } = await trialKey(undefined);
  const deps = { log: QUIET_LOG, metrics: QUIET_METRICS, clock: systemClock, random: Math.random };
  const node = new Libp2pNode(deps, bareOptions(privateKey, key));
  try {
    await node.start(signal, undefined, []);
    const dials = own.map(async (address) => {
      const text = address.toString();
      const full = text.includes('/p2p/') ? text : `${text}/p2p/${view.peerId}`;
      return { text: full, fault: await node.connectPeer(full, DIAL_MS).then(() => undefined, messageOf) };
    });
    return judged(await Promise.all(dials));
  } finally {
    await node.stop();
  }
}

/** Where no node runs: the port is bound for a moment, and the addresses are dialled. */
export async function checkAddressesWithoutNode(settings: Settings): Promise<Finding> {
  const name = 'nat';
  const { p2p_advertise_addresses: set, p2p_port: port, p2p_listen_addresses: listen } = settings;
  if (set.length === 0)
    return notAskedFor(name, 'p2p_advertise_addresses is unset, and no node runs that peers could dial');
  const token = randomBytes(16);
  const servers = await Promise.all(listen.map((host) => listening(host, port, token)));
  const [bound] = servers.flatMap((server) => (typeof server?.address() === 'object' ? (server.address() ?? []) : []));
  if (bound === undefined || typeof bound !== 'object') return unknown(name, 'the port cannot be bound; see ports');
  try {
    const dials = set.slice(0, MAX_ADDRESSES).map(async (address) => {
      const text = advertiseMultiaddr(address, bound.port);
      const [, , host = '', , at = ''] = text.split('/');
      return { text, fault: await tokenFault(host, Number(at), token) };
    });
    return judged(await Promise.all(dials));
  } finally {
    for (const server of servers) server?.close();
  }
}

function judged(dials: readonly { readonly text: string; readonly fault: string | undefined }[]): Finding {
  const failed = dials.filter(({ fault }) => fault !== undefined);
  if (failed.length === 0)
    return fine('nat', `${dials.map(({ text }) => text).join(', ')} lead to this node, ${FROM_HERE}`);
  const found = failed.map(({ text, fault }) => `${text}: ${fault}`).join('; ');
  return wrong('nat', `${found} (${FROM_HERE})`, ADVICE);
}

function listening(host: string, port: number, token: Buffer): Promise<Server | undefined> {
  return new Promise((done) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(token);
    });
    server.maxConnections = 32;
    server.once('error', () => done(undefined));
    server.listen({ host: host.replace(/^\[(.*)\]$/, '$1'), port, exclusive: true, ipv6Only: host.includes(':') }, () =>
      done(server),
    );
  });
}

/** undefined when the token comes back: the address leads to this process. */
async function tokenFault(host: string, port: number, token: Buffer): Promise<string | undefined> {
  const socket = connect({ host, port });
  const answer = new Promise<string | undefined>((done) => {
    let got = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]).subarray(0, token.length);
      if (got.length === token.length) done(got.equals(token) ? undefined : 'another program answers there');
    });
    socket.once('error', (error) => done(messageOf(error)));
    socket.once('close', () => done('closed without an answer: another program answers there'));
  });
  try {
    return await orAfter(answer, DIAL_MS, 'no answer in time');
  } finally {
    socket.destroy();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'failed';
}
