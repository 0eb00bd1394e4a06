import { expect, test } from 'vitest';
import { serializeError } from '../../../src/adapters/logging/logger.ts';
import { P2PError } from '../../../src/lib/errors.ts';
import { withoutAnyPassword, withoutPasswords, withoutPasswordsOfUrls } from '../../../src/lib/masking.ts';
import { parseKafkaUrl } from '../../../src/settings/kafka-url.ts';

test.each([
  ['postgres://u:pa#ss@h:5432/db', 'postgres://u:********@h:5432/db'],
  ['postgres://u:p@a/s?s@h/db', 'postgres://u:********@h/db'],
  // A settings file ends the value at #.
  ['postgres://u:pa', 'postgres://u:********'],
  ['postgres://h/db?user=u&password=a#b&c', 'postgres://h/db?user=u&password=********'],
  ['https://TOKEN@h/x', 'https://********@h/x'],
  ['https://TOKEN:@h/x', 'https://********@h/x'],
  ['https://ghp_0123456789012345678901234567890123456:x-oauth-basic@h/', 'https://********@h/'],
  ['https://h/blob?sv=1&sig=a%2Fb%3D&se=2', 'https://h/blob?sv=1&sig=********'],
  ['https://h/?X-Amz-Credential=a/b', 'https://h/?X-Amz-Credential=********'],
  ['https://h/?auth=a', 'https://h/?auth=********'],
  ['https://h/#access_token=a', 'https://h/#access_token=********'],
  ['host=h password=a b', 'host=h password=********'],
])('%s is shown as %s', (url, shown) => {
  expect(withoutPasswords(url)).toBe(shown);
});

test.each([
  'http://localhost:8090/api/v1',
  'http://[::1]:80/x',
  'postgres://h:5432/db?sslmode=disable',
  'kafka://h1:9092,h2:9092/blocks?partitions=1&replication=1&flush_frequency=1s&consumer_ratio=1',
  'k8s:///peer:9904',
  'sqlite:///blockchain',
  '/ip4/127.0.0.1/tcp/9905/p2p/12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu',
])('%s has no secrets and is shown unchanged', (url) => {
  expect(withoutPasswords(url)).toBe(url);
});

test('a user before @ is masked without a scheme too, where a value is refused', () => {
  expect(withoutAnyPassword('u:secret@h:9')).toBe('u:********@h:9');
  expect(withoutAnyPassword('TOKEN@h')).toBe('********@h');
  expect(withoutAnyPassword('//u:secret@h')).toBe('********@h');
  expect(withoutAnyPassword('ninety')).toBe('ninety');
});

test('in a text, every URL is masked and the rest stays', () => {
  const text = 'GET https://u:secret@h/?sig=secret failed: "https://h:80" me@h\n  at f (file:///repo/@libp2p/x.js:1:2)';
  expect(withoutPasswordsOfUrls(text)).toBe(text.replace('u:secret@', 'u:********@').replace('=secret', '=********'));
});

test('malformed texts of 64 KiB are masked in linear time', () => {
  const startedMs = performance.now();
  for (const part of ['x://', '?key', '&a=', 'key', '://a:', 'a@'])
    withoutPasswords(part.repeat(Math.ceil(65_536 / part.length)));
  expect(performance.now() - startedMs).toBeLessThan(2000);
});

test('errors are logged without the passwords of URLs in their messages, details and stacks', () => {
  const cause = new TypeError('cannot reach https://u:hidden@h/');
  const error = new P2PError('TIMEOUT', 'no answer of https://hidden@h', {
    details: { url: 'https://hidden@h/' },
    cause,
  });
  expect(JSON.stringify(serializeError(error))).not.toContain('hidden');
  expect(JSON.stringify(serializeError(cause))).not.toContain('hidden');
});

test.each([
  'kafka://u:hidden@h:9092/t',
  'kafka://hidden@h/t',
  'kafka://u:hid#hidden@h/t',
  'kafka://h/t?flush_bytes=x&auth=hidden',
])('the refusal of %s does not show its secrets', (url) => {
  try {
    parseKafkaUrl(url);
    expect.unreachable();
  } catch (error) {
    expect(error).toMatchObject({ code: 'KAFKA_URL_INVALID' });
    expect(JSON.stringify(serializeError(error))).not.toContain('hid');
  }
});
