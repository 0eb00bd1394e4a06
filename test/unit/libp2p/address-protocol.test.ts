// Requests and answers of the peer-address protocol as bytes.
import { describe, expect, test } from 'vitest';
import {
  ADDRESS_PROTOCOLS,
  encodeAnswer,
  parseAnswer,
  parseRequest,
} from '../../../src/adapters/libp2p/discovery/address-protocol.ts';
import { peer } from '../../fakes/ban-parts.ts';

const [V1_1 = '', V1_0 = ''] = ADDRESS_PROTOCOLS;
const LONG = Array.from({ length: 40 }, (_each, i) => `/dns4/${'x'.repeat(240)}${i}/tcp/9905`);

describe('a request', () => {
  test('is a peer ID, of an Ed25519 key or hashed', () => {
    for (const id of [peer(1), 'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN'])
      expect(parseRequest(Buffer.from(id))).toBe(id);
  });

  test.each(['', 'x', `${peer(1)} `, peer(1).slice(1), `/p2p/${peer(1)}`])('is not %j', (text) => {
    expect(parseRequest(Buffer.from(text))).toBeUndefined();
  });
});

describe('an answer', () => {
  test('is a JSON array', () => {
    expect(Buffer.from(encodeAnswer([], V1_1)).toString()).toBe('[]');
    expect(Buffer.from(encodeAnswer(['/ip4/1.2.3.4/tcp/1'], V1_0)).toString()).toBe('["/ip4/1.2.3.4/tcp/1"]');
  });

  test('holds at most 32 addresses and 8 KiB, and for 1.0.0 no more than its requester reads at once', () => {
    const short = Array.from({ length: 40 }, (_each, i) => `/ip4/1.2.3.4/tcp/${i + 1}`);
    expect(parseAnswer(encodeAnswer(short, V1_1))).toEqual(short.slice(0, 32));
    for (const [protocol, maxBytes] of [
      [V1_1, 8192],
      [V1_0, 4096],
    ] as const) {
      const bytes = encodeAnswer(LONG, protocol);
      expect(bytes.byteLength).toBeLessThanOrEqual(maxBytes);
      expect(bytes.byteLength).toBeGreaterThan(maxBytes - 300);
    }
  });

  test('of more than 32 addresses is cut', () => {
    expect(parseAnswer(Buffer.from(JSON.stringify(LONG)))).toEqual(LONG.slice(0, 32));
  });

  test.each(['', '{}', 'null', '[1]', '["a",null]', '["a"', '"a"'])('is not %j', (text) => {
    expect(() => parseAnswer(Buffer.from(text))).toThrow();
  });
});
