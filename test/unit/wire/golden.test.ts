// What we write for the recorded inputs equals the recorded bytes.
import { describe, expect, test } from 'vitest';
import { decodeBlock, encodeBlock } from '../../../src/wire/block.ts';
import type { Decoded } from '../../../src/wire/fault.ts';
import { decodeHandshake, encodeHandshake } from '../../../src/wire/handshake.ts';
import { decodeMiningOn, encodeMiningOn } from '../../../src/wire/mining-on.ts';
import { decodeNodeStatus, encodeNodeStatus } from '../../../src/wire/node-status.ts';
import { decodePeerDiscovery } from '../../../src/wire/peer-discovery.ts';
import { peerIdFromPublicKey } from '../../../src/wire/peer-id.ts';
import { decodeRejectedTx, encodeRejectedTx } from '../../../src/wire/rejected-tx.ts';
import { decodeSubtree, encodeSubtree } from '../../../src/wire/subtree.ts';
import { dataJson, recordedFile, recordedTexts } from '../../support/recorded.ts';

/** Reads and writes a text again. */
function again<T>(decode: (bytes: Uint8Array) => Decoded<T>, encode: (message: T) => Uint8Array, text: string): string {
  const decoded = decode(Buffer.from(text));
  if (!decoded.ok) throw new Error(`${decoded.fault.code}: ${decoded.fault.detail}`);
  return Buffer.from(encode(decoded.message)).toString();
}

const FILES = [
  ['teranode-block.json', (text: string) => again(decodeBlock, encodeBlock, text)],
  ['teranode-subtree.json', (text: string) => again(decodeSubtree, encodeSubtree, text)],
  ['teranode-miningon.json', (text: string) => again(decodeMiningOn, encodeMiningOn, text)],
  ['teranode-rejected_tx.json', (text: string) => again(decodeRejectedTx, encodeRejectedTx, text)],
  ['teranode-handshake.json', (text: string) => again(decodeHandshake, encodeHandshake, text)],
  ['teranode-node_status.json', (text: string) => again(decodeNodeStatus, encodeNodeStatus, text)],
] as const;

describe('messages recorded from Go nodes', () => {
  test.each(FILES)('%s decodes and encodes to the same bytes', (name, rewrite) => {
    const texts = recordedTexts(name);
    expect(texts.length).toBeGreaterThan(0);
    for (const text of texts) expect(rewrite(text)).toBe(text);
  });

  test('handshakes from the direct stream decode and encode to the same bytes', () => {
    for (const text of recordedTexts('teranode-direct-handshake.json')) {
      const isStatus = text.includes('"node_status"');
      expect(
        isStatus ? again(decodeNodeStatus, encodeNodeStatus, text) : again(decodeHandshake, encodeHandshake, text),
      ).toBe(text);
    }
  });

  test('block assembly details encode as recorded in WebSocket frames', () => {
    const { frames } = dataJson<{ frames: Record<string, { data: string }[]> }>('messages/teranode-websocket.json');
    const statuses = Object.values(frames)
      .flat()
      .map(({ data }) => data.replace(/"timestamp":"[^"]*",/, ''))
      .filter((text) => text.includes('"type":"node_status"'));
    expect(statuses.length).toBeGreaterThan(2);
    for (const text of statuses) expect(again(decodeNodeStatus, encodeNodeStatus, text)).toBe(text);
  });

  test('peer-discovery bytes carry their author’s key', () => {
    for (const { from, dataHex } of recordedFile('listener-peer-discovery.json').messages) {
      const discovery = decodePeerDiscovery(Buffer.from(dataHex ?? '', 'hex'));
      expect(peerIdFromPublicKey(discovery?.publicKey ?? new Uint8Array())).toBe(from);
      expect(discovery?.multiaddrs.length).toBeGreaterThan(0);
    }
  });
});
