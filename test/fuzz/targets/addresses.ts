// Names and addresses that peers, operators and DNS give: peer IDs, IPs, multiaddrs, URLs of DataHubs, ban subjects.
import { isIP } from 'node:net';
import { peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import ipaddr from 'ipaddr.js';
import { urlBelow } from '../../../src/adapters/datahub/checked-requests.ts';
import {
  advertiseMultiaddr,
  dialledIp,
  dialMultiaddr,
  isPrivateMultiaddr,
  peerIdOf,
  withoutPeerId,
  withPeerId,
} from '../../../src/adapters/libp2p/addresses.ts';
import { encodeAnswer, parseAnswer, parseRequest } from '../../../src/adapters/libp2p/discovery/address-protocol.ts';
import { entriesOf, peerOf } from '../../../src/adapters/libp2p/discovery/peer-cache-form.ts';
import { AddressRanges, addressGroup, clientIp } from '../../../src/adapters/listeners/client-address.ts';
import { checkedBanKey, covers, ipOfMultiaddr, parseBanKey, socketIp } from '../../../src/bans/list/ban-key.ts';
import { legacyBans } from '../../../src/bans/list/legacy-bans.ts';
import { formatIp, parseIp } from '../../../src/lib/ip.ts';
import { dataHubUrlCheck, isHttpUrl } from '../../../src/peers/datahub/datahub-url.ts';
import { parsePeerId } from '../../../src/wire/peer-id.ts';
import { isPrivateHost, isPrivateIp, isPublicAddress, machineOf, plainHost } from '../../../src/wire/public-address.ts';
import { type DecoderTarget, must, mustEqual, textOf, texts, unlessRefused } from '../engine/target.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
const SHA_PEER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const IPS = [
  ...['192.0.2.1', '10.0.0.1', '127.0.0.1', '0.0.0.0', '255.255.255.255', '01.2.3.4', '::', '::1', '2001:db8::7'],
  ...['fe80::1%eth0', '::ffff:192.0.2.1', '64:ff9b::1.2.3.4', '2002:c000:201::1', '1:2:3:4:5:6:7:8', '1::8', 'fec0::1'],
  ...['[2001:db8::1]:9905', '192.0.2.1:9905', '192.0.2.0/24', '2001:db8::/32', '::ffff:192.0.2.0/120', '[::1]/128'],
];
const ADDRESSES = [
  `/ip4/192.0.2.7/tcp/9905/p2p/${PEER}`,
  '/ip6/2001:db8::7/tcp/9905',
  '/dns4/node.example/tcp/9905',
  `/dnsaddr/bootstrap.example/p2p/${SHA_PEER}`,
  `/ip4/192.0.2.7/tcp/9905/p2p/${SHA_PEER}/p2p-circuit/p2p/${PEER}`,
  '/ip6zone/eth0/ip6/fe80::1/tcp/1',
  '/ip4/192.0.2.7/udp/9905/quic-v1',
  '/ip4/192.0.2.7/tcp/443/tls/ws',
];
const COMPONENTS = ['/ip4/', '/ip6/', '/tcp/', '/udp/', '/p2p/', '/dns/', '/p2p-circuit', '/ip6zone/', '/unix/', PEER];
const URLS = [
  ...['https://hub.example/api/v1', 'http://192.0.2.1:8090/api/v1', 'http://[2001:db8::1]:8090/', 'http://user:pw@h/'],
  ...['HTTPS://hub.example.:443/a/../b', 'http://127.1/', 'http://0x7f000001/', 'http://hub.example/%2e%2e/x?q#f'],
];

const peerId: DecoderTarget = {
  name: 'peer-id',
  seeds: texts(PEER, SHA_PEER, '16Uiu2HAm9AqpFxbqqYL4sLzRvpGSzqqj5mh5eRV9yXNgyNYM9tQ2'),
  maxBytes: 80,
  run: (input) => {
    const text = textOf(input);
    const parsed = parsePeerId(text);
    if (parsed === undefined) return;
    mustEqual(parsed, text, 'the text itself');
    // libp2p also checks points of curves, and refuses RSA keys that are part of the ID.
    try {
      mustEqual(peerIdFromString(parsed).toString(), text, 'as libp2p writes it');
    } catch (error) {
      must(error instanceof Error && !/^as libp2p/.test(error.message), String(error));
    }
  },
};

const ip: DecoderTarget = {
  name: 'ip-address',
  seeds: texts(...IPS),
  maxBytes: 60,
  run: (input) => {
    const text = textOf(input);
    const parsed = parseIp(text);
    mustEqual(
      parsed !== undefined,
      isIP(text) !== 0 && !text.includes('%'),
      `whether ${JSON.stringify(text)} is an IP`,
    );
    isPrivateHost(text);
    must(isPublicAddress(text) === false || !isPrivateIp(text), 'public and private');
    if (parsed === undefined) return;
    const written = formatIp(parsed);
    mustEqual(parseIp(written), parsed, 'written and parsed again');
    // ipaddr.js takes the IPv4-compatible ::1.2.3.4 (RFC 4291, deprecated) for 1.2.3.4.
    if (!/^[0:]+:\d+\./.test(text))
      mustEqual(ipaddr.process(text).toString(), ipaddr.process(written).toString(), 'as ipaddr.js reads it');
    addressGroup(text);
    machineOf(text);
  },
};

const banSubject: DecoderTarget = {
  name: 'ban-subject',
  seeds: texts(...IPS, PEER),
  maxBytes: 140,
  run: (input) => {
    const text = textOf(input);
    const key = parseBanKey(text);
    const checked = unlessRefused(['INPUT_INVALID'], () => checkedBanKey(text));
    mustEqual(checked, key, 'parsed and checked');
    if (key === undefined) return;
    mustEqual(parseBanKey(key.key), key, 'the key is its own spelling');
    if (key.kind === 'peer') return;
    must(covers(key, key.ip), 'it covers its own address');
    const most = key.ip.family === 4 ? 32 : 128;
    must(key.prefix >= 0 && key.prefix <= most && (key.kind === 'address') === (key.prefix === most), 'prefix');
  },
};

/** Rows of a Go deployment, as lines of three texts. */
const legacy: DecoderTarget = {
  name: 'legacy-bans',
  seeds: texts(
    '192.0.2.1\n192.0.2.0/24\n2026-11-29T10:46:29.123456789+01:00',
    '[2001:db8::1]:9905\n\n2026-11-29 10:46:29.5 +0000 UTC m=+86400.1',
    `${PEER}\n\n2030-01-01T00:00:00Z`,
  ),
  maxBytes: 400,
  run: (input) => {
    const [key = '', subnet = '', expiration = ''] = textOf(input).split('\n');
    const nowMs = 1_700_000_000_000;
    const { bans, unreadable } = legacyBans([{ key, subnet, expiration }], nowMs);
    must(bans.length + unreadable <= 1, 'more bans than rows');
    for (const { untilMs } of bans) must(Number.isSafeInteger(untilMs) && untilMs > nowMs, `an end at ${untilMs}`);
  },
};

const dialled: DecoderTarget = {
  name: 'multiaddr',
  seeds: texts(...ADDRESSES),
  words: COMPONENTS,
  maxBytes: 600,
  run: (input) => {
    const text = textOf(input);
    ipOfMultiaddr(text);
    const socket = socketIp(text);
    const whole = withPeerId(text, PEER);
    if (whole !== undefined) mustEqual(peerIdOf(multiaddr(whole)), PEER, 'the peer at its end');
    const parsed = unlessRefused(['ADDRESS_INVALID'], () => dialMultiaddr(text));
    if (parsed === undefined) return;
    // Written, in bytes, and parsed again.
    const again = dialMultiaddr(multiaddr(parsed.bytes).toString());
    mustEqual(Buffer.from(again.bytes), Buffer.from(parsed.bytes), 'bytes');
    isPrivateMultiaddr(parsed);
    const found = dialledIp(parsed);
    if (found !== undefined) must(isIP(found) !== 0, `dials ${found}`);
    if (socket !== undefined) must(found !== undefined, 'an IP that is not dialled');
    if (peerIdOf(parsed) !== undefined) must(!withoutPeerId(parsed).endsWith(`/p2p/${peerIdOf(parsed)}`), 'a peer ID');
  },
};

const advertised: DecoderTarget = {
  name: 'advertised-address',
  seeds: texts('192.0.2.1', '[2001:db8::1]:9905', '2001:db8::1', 'node.example:8001', ...ADDRESSES.slice(0, 3)),
  words: COMPONENTS,
  maxBytes: 300,
  run: (input) => {
    const text = unlessRefused(['ADDRESS_INVALID'], () => advertiseMultiaddr(textOf(input), 9905));
    if (text !== undefined) must(text.startsWith('/') && !/\/p2p\/[^/]*$/.test(text), `it advertises ${text}`);
  },
};

const urlChecks = [true, false].map((allowsPrivate) =>
  dataHubUrlCheck({ allowsPrivate, blacklist: ['bad.example', 'http://[2001:db8::bad]:80/', '192.0.2.66'] }),
);

const dataHubUrl: DecoderTarget = {
  name: 'datahub-url',
  seeds: texts(...URLS),
  words: ['bad.example', 'http://', 'https://', '192.0.2.66', '%2f', '%5c', '/./', 'localhost', '.home.arpa', '\u3002'],
  maxBytes: 2200,
  run: (input) => {
    const text = textOf(input);
    const [anywhere, onlyPublic] = urlChecks.map((check) => check(text));
    isHttpUrl(text);
    if (onlyPublic === undefined) mustEqual(anywhere, undefined, 'public, and not allowed where private is');
    if (anywhere !== undefined) return;
    const url = new URL(text);
    must(url.username === '' && url.password === '' && url.search === '' && url.hash === '', 'parts that may not be');
    const host = plainHost(url.hostname);
    must(host !== 'bad.example' && host !== '192.0.2.66' && host !== '2001:db8::bad', 'a host that is blacklisted');
    if (onlyPublic === undefined) must(!isPrivateHost(host) && host !== 'localhost', `private host ${host}`);
    const below = urlBelow(text, 'block/00', { n: '1' });
    must(below !== undefined && below.host === url.host && below.pathname.endsWith('/block/00'), 'a path below it');
    must(below?.pathname.startsWith(url.pathname.replace(/\/+$/, '')) === true, 'a path elsewhere');
  },
};

const forwardedFor: DecoderTarget = {
  name: 'x-forwarded-for',
  seeds: texts('192.0.2.1', '192.0.2.1, 10.0.0.7', '[2001:db8::1]:99, 127.0.0.1', ' , ,', '10.0.0.1:80'),
  maxBytes: 400,
  run: (input) => {
    const header = textOf(input);
    const found = clientIp({ socket: { remoteAddress: '127.0.0.1' }, headers: { 'x-forwarded-for': header } }, PROXIES);
    must(found !== undefined && parseIp(found) !== undefined, `the client is ${found}`);
    const untrusted = { socket: { remoteAddress: '192.0.2.9' }, headers: { 'x-forwarded-for': header } };
    mustEqual(clientIp(untrusted, PROXIES), '192.0.2.9', 'no proxy');
  },
};
const PROXIES = new AddressRanges(['127.0.0.0/8', '10.0.0.0/8', '::1/128']);

const addressRequest: DecoderTarget = {
  name: 'address-request',
  seeds: texts(PEER, SHA_PEER),
  maxBytes: 140,
  run: (input) => {
    const wanted = parseRequest(input);
    if (wanted !== undefined) mustEqual(Buffer.from(wanted), Buffer.from(input), 'the request');
  },
};

const addressAnswer: DecoderTarget = {
  name: 'address-answer',
  seeds: texts(JSON.stringify(ADDRESSES), '[]', '[""]'),
  words: COMPONENTS,
  maxBytes: 9000,
  run: (input) => {
    let answer: readonly string[];
    try {
      answer = parseAnswer(input);
    } catch (error) {
      return must(error instanceof SyntaxError, String(error));
    }
    must(answer.length <= 32 && answer.every((each) => typeof each === 'string'), 'an answer');
    for (const each of answer) withPeerId(each, PEER);
    const written = encodeAnswer(answer, '/p2p-msg-bus/peer-addr-request/1.0.0');
    must(written.byteLength <= 4096, `${written.byteLength} bytes`);
    const again = parseAnswer(written);
    mustEqual(again, answer.slice(0, again.length), 'written and parsed again');
  },
};

const peerCache: DecoderTarget = {
  name: 'peer-cache',
  seeds: texts(
    JSON.stringify({ version: 1, peers: [{ id: PEER, addresses: ADDRESSES, lastSeenMs: 1_700_000_000_000 }] }),
    JSON.stringify([
      { id: PEER, name: 'a', addrs: ADDRESSES, last_seen: '2026-11-29T10:46:29.1Z' },
      { id: PEER, addrs: [] },
    ]),
  ),
  words: ['version', 'peers', 'addresses', 'lastSeenMs', 'addrs', 'last_seen', '0001-01-01T00:00:00Z'],
  maxBytes: 4096,
  run: (input) => {
    let file: unknown;
    try {
      file = JSON.parse(textOf(input));
    } catch {
      return;
    }
    let entries: readonly unknown[];
    try {
      entries = entriesOf(file);
    } catch {
      return;
    }
    for (const peer of entries.map(peerOf)) {
      if (peer === undefined) continue;
      must(Number.isFinite(peer.lastSeenMs) && peer.lastSeenMs >= 0, `seen at ${peer.lastSeenMs}`);
      // As the cache does: an ID has 64 characters at most.
      if (parsePeerId(peer.id) === undefined) continue;
      for (const address of peer.addresses) if (typeof address === 'string') withPeerId(address, peer.id);
    }
  },
};

export const ADDRESS_TARGETS: readonly DecoderTarget[] = [
  peerId,
  ip,
  banSubject,
  legacy,
  dialled,
  advertised,
  dataHubUrl,
  forwardedFor,
  addressRequest,
  addressAnswer,
  peerCache,
];
