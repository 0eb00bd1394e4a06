// The envelopes and messages of message-bus against bytes recorded from a real server of November 2025.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { writeEnvelope } from '../../../src/wire/envelope.ts';
import { encodeFor, GO_P2P, MESSAGE_BUS, type TopicMessage } from '../../../src/wire/format.ts';
import { REPO } from '../../support/repo.ts';

interface Recorded {
  readonly envelope_hex: string;
  readonly payload_text: string;
  readonly author: string;
  readonly client_name: string;
}

const KINDS = ['block', 'subtree', 'rejected_tx', 'node_status'] as const;

function recorded(kind: (typeof KINDS)[number]): readonly Recorded[] {
  const text = readFileSync(join(REPO, `test/data/today/${kind}.json`), 'utf8');
  return (JSON.parse(text) as { messages: Recorded[] }).messages;
}

const decodedForm = (bytes: Uint8Array, kind: (typeof KINDS)[number]) => {
  const decoded = MESSAGE_BUS.decode[kind](bytes);
  return decoded.ok ? (decoded.form ?? 'plain') : decoded.fault.code;
};

describe.each(KINDS)('%s', (kind) => {
  const messages = recorded(kind);

  test('decodes every recorded envelope and writes it back to the same bytes', () => {
    expect(messages.length).toBeGreaterThan(0);
    for (const { envelope_hex, author, client_name } of messages) {
      const decoded = MESSAGE_BUS.decode[kind](Buffer.from(envelope_hex, 'hex'));
      expect(decoded).toMatchObject({ ok: true, form: 'envelope', message: { peerId: author } });
      if (!decoded.ok) throw new Error('not decoded');
      const written = encodeFor(MESSAGE_BUS, { kind, message: decoded.message } as TopicMessage, client_name);
      expect(Buffer.from(written).toString('hex')).toBe(envelope_hex);
    }
  });

  test('is read in either form on either wire', () => {
    for (const { envelope_hex, payload_text } of messages) {
      for (const wire of [GO_P2P, MESSAGE_BUS]) {
        const enveloped = wire.decode[kind](Buffer.from(envelope_hex, 'hex'));
        const plain = wire.decode[kind](Buffer.from(payload_text));
        expect(enveloped).toMatchObject({ ok: true, form: 'envelope' });
        expect(plain).toEqual({ ...enveloped, form: undefined });
      }
    }
  });
});

const BLOCK = recorded('block')[0]?.payload_text ?? '';
const envelope = (inner: string, name = 'x') =>
  JSON.parse(Buffer.from(writeEnvelope(name, Buffer.from(inner))).toString());

test.each([
  ['unknown fields and names in another case', { ...envelope(BLOCK), more: [1], NAME: undefined }, 'envelope'],
  ['no name', { data: envelope(BLOCK).data }, 'envelope'],
  ['data that is not base64', { name: 'x', data: 'no base64!' }, 'not_base64'],
  ['base64 without its padding', { name: 'x', data: 'eyJIYXNoIjoiIn0' }, 'not_base64'],
  ['data that holds no JSON', envelope('nothing'), 'not_json'],
  ['data that holds an array', envelope('[]'), 'not_object'],
  ['empty data', { name: 'x', data: '' }, 'not_json'],
  ['no data at all', { name: 'x' }, 'missing_field'],
])('an envelope with %s is read as %s', (_what, fields, form) => {
  expect(decodedForm(Buffer.from(JSON.stringify(fields)), 'block')).toBe(form);
});

test('the cap on a message holds for the message inside the envelope', () => {
  const padded = (bytes: number) => {
    const inner = { ...JSON.parse(BLOCK), Padding: '' };
    const length = JSON.stringify(inner).length;
    return writeEnvelope('x', Buffer.from(JSON.stringify({ ...inner, Padding: 'p'.repeat(bytes - length) })));
  };
  expect(decodedForm(padded(10 * 1024), 'block')).toBe('envelope');
  expect(decodedForm(padded(10 * 1024 + 1), 'block')).toBe('too_large');
});

test('escapes the name of the envelope as Go does', () => {
  const text = Buffer.from(writeEnvelope('B <&> é', Buffer.from('{}'))).toString();
  expect(text).toBe('{"name":"B \\u003c\\u0026\\u003e é","data":"e30="}');
});
