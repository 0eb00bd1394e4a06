// Which of our own URLs may be announced on message-bus.
import { expect, test } from 'vitest';
import { ownUrls } from '../../../src/announce/own-urls.ts';

const PUBLIC = 'https://hub.example/api/v1';
const PRIVATE = 'http://127.0.0.1:8090/api/v1';
const NONE = { dataHubUrl: '', propagationUrl: '' };

test.each([
  ['a public URL', PUBLIC, PUBLIC, { dataHubUrl: PUBLIC, propagationUrl: PUBLIC }, undefined],
  ['a private URL', PRIVATE, PRIVATE, NONE, 'private'],
  ['no URL', '', '', NONE, 'form'],
  ['a private propagation URL only', PUBLIC, PRIVATE, { dataHubUrl: PUBLIC, propagationUrl: '' }, undefined],
  ['a private DataHub only', PRIVATE, PUBLIC, { dataHubUrl: '', propagationUrl: PUBLIC }, 'private'],
  ['a URL that is too long', `${PUBLIC}/${'x'.repeat(2048)}`, '', NONE, 'form'],
] as const)('of a node in full mode with %s', (_what, dataHubUrl, propagationUrl, urls, fault) => {
  expect(ownUrls({ dataHubUrl, propagationUrl, isFull: true, allowsPrivate: false })).toEqual({ urls, fault });
});

test('private ones where they are allowed', () => {
  const options = { dataHubUrl: PRIVATE, propagationUrl: PRIVATE, isFull: true, allowsPrivate: true };
  expect(ownUrls(options)).toEqual({ urls: { dataHubUrl: PRIVATE, propagationUrl: PRIVATE }, fault: undefined });
});

test('none of a node that only listens, which is no fault', () => {
  for (const dataHubUrl of [PUBLIC, PRIVATE, ''])
    expect(ownUrls({ dataHubUrl, propagationUrl: PUBLIC, isFull: false, allowsPrivate: true })).toEqual({
      urls: NONE,
      fault: undefined,
    });
});
