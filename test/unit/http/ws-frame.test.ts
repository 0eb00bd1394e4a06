// The bytes of WebSocket frames, as RFC 6455 has them for a server.
import { expect, test } from 'vitest';
import { pingFrame, textFrame } from '../../../src/adapters/http/websocket/frame.ts';

test.each([
  [0, '8100'],
  [1, '8101'],
  [125, '817d'],
  [126, '817e007e'],
  [65_535, '817effff'],
  [65_536, '817f0000000000010000'],
  [1_048_576, '817f0000000000100000'],
])('a text frame of %i bytes is final, unmasked, and has its length in the shortest form', (length, head) => {
  const payload = new Uint8Array(length).fill(0x61);
  expect(textFrame(payload).equals(Buffer.concat([Buffer.from(head, 'hex'), payload]))).toBe(true);
  expect(payload.every((byte) => byte === 0x61)).toBe(true);
});

test.each([
  [0, '890400000000'],
  [1, '890400000001'],
  [0xffff_ffff, '8904ffffffff'],
])('a ping frame carries %i', (id, bytes) => {
  expect(pingFrame(id).toString('hex')).toBe(bytes);
});
