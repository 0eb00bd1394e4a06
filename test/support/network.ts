// What the system tests share: names of topics, announcements as a Go node writes them, Kafka records read by hand.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REPO } from './repo.ts';

export const PSK = '9ce675c11a3cf8fc964fcfb6eb12748221b0622f98e248c8473324d5ffb3ee2e';
export const DATA_HUB = 'http://127.0.0.1:8090/api/v1';

export type NetworkName = 'mainnet' | 'regtest';

/** Full topic names of a network. */
export function topicsOf(network: NetworkName) {
  const prefix = `bitcoin/${network}`;
  return {
    block: `${prefix}-block`,
    subtree: `${prefix}-subtree`,
    miningOn: `${prefix}-miningon`,
    handshake: `${prefix}-handshake`,
    rejectedTx: `${prefix}-rejected_tx`,
    nodeStatus: `${prefix}-node_status`,
  };
}

/** Topics that a Go node joins. */
export function allTopics(network: NetworkName): string[] {
  return Object.values(topicsOf(network));
}

/** Display-order hash of a header. */
export function headerHash(header: Uint8Array): string {
  const once = createHash('sha256').update(header).digest();
  return Buffer.from(createHash('sha256').update(once).digest()).reverse().toString('hex');
}

/** The first 5,000 headers of mainnet. */
export function mainnetHeaders(): Buffer[] {
  const bytes = readFileSync(join(REPO, 'test/data/headers/mainnet-0-4999.bin'));
  return Array.from({ length: bytes.length / 80 }, (_each, i) => bytes.subarray(i * 80, i * 80 + 80));
}

export interface BlockFields {
  readonly Hash: string;
  readonly Height: number;
  readonly DataHubURL: string;
  readonly PeerID: string;
  readonly Header: string;
}

export function blockFields(header: Buffer, height: number, peerId: string): BlockFields {
  return {
    Hash: headerHash(header),
    Height: height,
    DataHubURL: DATA_HUB,
    PeerID: peerId,
    Header: header.toString('hex'),
  };
}

export function subtreeFields(peerId: string) {
  return { Hash: randomBytes(32).toString('hex'), DataHubURL: DATA_HUB, PeerID: peerId };
}

/** Fields of a protobuf message that holds nothing but strings: number -> text. */
export function protobufStrings(bytes: Buffer): Record<number, string> {
  const fields: Record<number, string> = {};
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at] ?? 0;
      at += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if ((tag & 7) !== 2) throw new Error(`field ${tag >> 3} is no string`);
    const length = varint();
    fields[tag >> 3] = bytes.toString('utf8', at, at + length);
    at += length;
  }
  return fields;
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** The protobuf message that holds these strings. */
export function protobufOf(fields: Readonly<Record<number, string>>): Buffer {
  const parts = Object.entries(fields).map(([number, text]) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.from([(Number(number) << 3) | 2, ...varint(bytes.length)]), bytes]);
  });
  return Buffer.concat(parts);
}

/** Settings of a node in the private network of the tests. */
export function privateNetwork(network: NetworkName): Record<string, string> {
  return { network, p2p_shared_key: PSK, p2p_dht_use_private: 'true' };
}

/** Settings of a node without a private network, and with nobody to dial. */
export function publicNetwork(network: NetworkName): Record<string, string> {
  return { network, p2p_shared_key: PSK, p2p_dht_use_private: 'false', p2p_dht_public_bootstrap: '' };
}

/**
 * Mainnet in its three dresses, with our settings and a Go peer's: with a shared key, and without one over either
 * security protocol alone.
 */
export const DRESSES = [
  ['in a private network', privateNetwork('mainnet'), { psk: PSK }],
  ['without a shared key, over Noise only', publicNetwork('mainnet'), { security: 'noise' }],
  ['without a shared key, over TLS only', publicNetwork('mainnet'), { security: 'tls' }],
] as const;

/** Settings of a node whose three services stand at one address. */
export function servicesAt(address: string): Record<string, string> {
  return {
    ...privateNetwork('regtest'),
    asset_httpPublicAddress: DATA_HUB,
    blockchain_grpcAddress: address,
    blockvalidation_grpcAddress: address,
    blockassembly_grpcAddress: address,
  };
}

/** Settings that send blocks and subtrees to a broker. */
export function kafkaSettings(broker: string): Record<string, string> {
  const parameters = 'partitions=1&replication=1&retention=600000&segment_bytes=33554432';
  return {
    kafka_blocksConfig: `kafka://${broker}/blocks?${parameters}`,
    kafka_subtreesConfig: `kafka://${broker}/subtrees?${parameters}`,
    kafka_invalidBlocksConfig: `kafka://${broker}/invalid-blocks?${parameters}`,
    kafka_invalidSubtreesConfig: `kafka://${broker}/invalid-subtrees?${parameters}`,
    kafka_rejectedTxConfig: `kafka://${broker}/rejectedtx?${parameters}`,
  };
}
