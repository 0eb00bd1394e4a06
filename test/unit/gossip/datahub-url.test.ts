// Which DataHub URLs may be passed to services that fetch from them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dataHubUrlCheck } from '../../../src/peers/datahub/datahub-url.ts';

const check = dataHubUrlCheck({ allowsPrivate: false, blacklist: [] });
const lenient = dataHubUrlCheck({ allowsPrivate: true, blacklist: [] });

describe('form of a DataHub URL', () => {
  test.each([
    'http://hub.example.com',
    'https://hub.example.com/api/v1',
    'http://hub.example.com:8090/api/v1/',
    'HTTP://HUB.EXAMPLE.COM/',
    'http://hub.example.com./api',
    'http://8.8.8.8/api',
    'http://[2606:4700::1111]:8090/api',
    'https://bücher.example.com/ä',
    'http://xn--bcher-kva.example.com',
    'http://hub_1.example.com',
    'http://hub.example.com/a%20b/..c/.d',
    'http://hub.example.com/api..v1/%2eapi',
  ])('accepts %s', (url) => {
    expect(check(url)).toBeUndefined();
  });

  test.each([
    '',
    ' ',
    'hub.example.com',
    '/api/v1',
    '//hub.example.com',
    'ftp://hub.example.com',
    'file:///etc/passwd',
    'gopher://hub.example.com',
    'javascript:alert(1)',
    'data:text/plain,x',
    'ws://hub.example.com',
    'httpx://hub.example.com',
    'http://',
    'http:///',
    'https://:80',
    'http://hub.example.com/api?',
    'http://hub.example.com?x=1',
    'http://hub.example.com/api/v1#x',
    'http://hub.example.com/..',
    'http://hub.example.com/api/../../v1',
    'http://hub.example.com/api/%2e%2E/v1',
    'http://hub.example.com/api/.%2e',
    'http://hub.example.com/api/./v1',
    'http://hub.example.com/api%2f..%2fv1',
    'http://hub.example.com/api%5c..',
    'http://hub.example.com/\u202ecod',
    'http://hub.example.com/\u200b',
    'http://?x',
    'http://#x',
    'http://user@hub.example.com',
    'http://user:pass@hub.example.com',
    'http://:pass@hub.example.com',
    'http://@hub.example.com',
    'http://hub.example.com:65536',
    'http://hub.example.com:port',
    'http://[::1',
    'http://[fe80::1%25eth0]/',
    'http://[::1%eth0]/',
    'http://1.2.3.256',
    'http://1.2.3.4.5',
    'http://hub example.com',
    'http://hub..example.com',
    'http://hub.example.com..',
    'http://.example.com',
    'http://.',
    'http://..',
  ])('rejects %j', (url) => {
    expect(check(url)).toBe('form');
    expect(lenient(url)).toBe('form');
  });

  test.each([
    ['a leading space', ' http://hub.example.com'],
    ['a newline behind', 'http://hub.example.com\n'],
    ['a tab in the host', 'http://hub.exa\tmple.com'],
    ['a newline in the path', 'http://hub.example.com/\r\nHost: x'],
    ['NUL', 'http://hub.example.com/\0'],
    ['a space in the path', 'http://hub.example.com/a b'],
    ['backslashes for slashes', 'http:\\\\hub.example.com\\api'],
    ['a backslash before what others take for the host', 'http://hub.example.com\\@127.0.0.1/'],
    ['no slashes', 'http:hub.example.com'],
    ['one slash', 'http:/hub.example.com'],
    ['three slashes', 'http:///hub.example.com'],
  ])('rejects %s, which other parsers read differently', (_what, url) => {
    expect(check(url)).toBe('form');
    expect(lenient(url)).toBe('form');
  });

  test('rejects a URL of more than 2048 characters', () => {
    const long = (chars: number) => `http://hub.example.com/${'a'.repeat(chars - 23)}`;
    expect([2048, 2049, 100_000].map((chars) => check(long(chars)))).toEqual([undefined, 'form', 'form']);
  });

  test('never throws, and an accepted URL parses to the same URL again', () => {
    const text = fc.oneof(
      fc.webUrl(),
      fc.string({ unit: 'binary' }),
      fc.string().map((rest) => `http://${rest}`),
    );
    fc.assert(
      fc.property(text, (url) => {
        const fault = check(url);
        expect(check(url)).toBe(fault);
        if (fault !== undefined) return;
        expect(['http:', 'https:']).toContain(new URL(url).protocol);
        expect(check(new URL(url).href)).toBeUndefined();
      }),
    );
  });
});

describe('DataHub URLs that lead to private networks', () => {
  test.each([
    ['loopback', ['http://127.0.0.1', 'http://127.255.255.254', 'http://[::1]:80']],
    [
      'every way to write loopback',
      [
        'http://2130706433',
        'http://0x7f000001',
        'http://0x7f.1',
        'http://0177.0.0.1',
        'http://127.1',
        'http://127.0.1',
        'http://017700000001',
        'http://0x7F.0x0.0x0.0x1',
        'http://127.0.0.1.',
        'http://１２７.０.０.１',
        'http://127。0。0。1',
        'http://%31%32%37.0.0.1',
        'http://0',
        'http://00000.0',
      ],
    ],
    [
      'networks at home',
      [
        'http://10.0.0.1',
        'http://172.16.0.1',
        'http://172.31.255.255',
        'http://192.168.1.1',
        'http://100.64.0.1',
        'http://169.254.169.254',
      ],
    ],
    [
      'what is no host',
      [
        'http://0.0.0.0',
        'http://0.1.2.3',
        'http://255.255.255.255',
        'http://224.0.0.1',
        'http://240.0.0.1',
        'http://[::]',
        'http://[ff02::1]',
      ],
    ],
    [
      'documentation and tests',
      [
        'http://192.0.2.1',
        'http://198.51.100.1',
        'http://203.0.113.1',
        'http://198.18.0.1',
        'http://[2001:db8::1]',
        'http://[3fff::1]',
      ],
    ],
    [
      'IPv6 of one’s own',
      [
        'http://[fc00::1]',
        'http://[fd12:3456::1]',
        'http://[fe80::1]',
        'http://[fec0::1]',
        'http://[100::1]',
        'http://[5f00::1]',
        'http://[4000::1]',
      ],
    ],
    [
      'IPv4 inside IPv6',
      [
        'http://[::ffff:127.0.0.1]',
        'http://[::ffff:10.0.0.1]',
        'http://[::ffff:a00:1]',
        'http://[::127.0.0.1]',
        'http://[::ffff:0:127.0.0.1]',
        'http://[2002:7f00:1::]',
        'http://[2002:a00:1::1]',
        'http://[64:ff9b::7f00:1]',
        'http://[64:ff9b::10.0.0.1]',
        'http://[64:ff9b:1::1]',
        'http://[2001::1]',
      ],
    ],
    [
      'names that lead nowhere else',
      [
        'http://localhost',
        'http://LOCALHOST:8090',
        'http://localhost.',
        'http://hub.localhost',
        'http://printer.local',
        'http://db.internal',
        'http://metadata.google.internal',
        'http://x.home.arpa',
        'http://nas.lan',
        'http://a.test',
        'http://a.invalid',
        'http://a.LOCAL.',
      ],
    ],
    ['single labels', ['http://postgres', 'http://teranode1:8090', 'http://asset/', 'http://com']],
  ])('%s', (_what, urls) => {
    for (const url of urls) {
      expect({ url, fault: check(url) }).toEqual({ url, fault: 'private' });
      expect({ url, fault: lenient(url) }).toEqual({ url, fault: undefined });
    }
  });

  test.each([
    'http://172.32.0.1',
    'http://172.15.0.1',
    'http://100.128.0.1',
    'http://100.63.0.1',
    'http://11.0.0.1',
    'http://126.0.0.1',
    'http://128.0.0.1',
    'http://193.168.1.1',
    'http://1.1.1.1',
    'http://0x08.8.8.8',
    'http://[::ffff:8.8.8.8]',
    'http://[2a00:1450::1]',
    'http://mylocalhost.com',
    'http://local.example.com',
    'http://notlocal',
    'http://internal.example.com',
  ])('%s is public, or a single label', (url) => {
    expect(check(url)).toBe(url.includes('notlocal') ? 'private' : undefined);
  });

  test('treats the mapped and the numeric form of any IPv4 address like the address itself', () => {
    fc.assert(
      fc.property(fc.ipV4(), (ip) => {
        const [a = 0, b = 0, c = 0, d = 0] = ip.split('.').map(Number);
        const hex = (high: number, low: number) => (high * 256 + low).toString(16);
        const forms = [
          `[::ffff:${ip}]`,
          `[::FFFF:${hex(a, b)}:${hex(c, d)}]`,
          String(((a * 256 + b) * 256 + c) * 256 + d),
          `${ip}.`,
        ];
        for (const form of forms) expect(check(`http://${form}/`), form).toBe(check(`http://${ip}/`));
      }),
      { numRuns: 500 },
    );
  });
});

describe('blacklist of DataHub hosts', () => {
  const BLACKLIST = [
    'bad.example.com',
    'http://evil.example.com:8090/api/v1',
    'https://UPPER.Example.COM/',
    'dotted.example.com.',
    'ported.example.com:9000',
    '198.41.0.4',
    'http://[2606:4700::1]:80/x',
    '2606:4700::2',
    '[2606:4700::3]:80',
    '::ffff:193.0.14.129',
    'bücher.example.com',
    ' spaced.example.com ',
    '',
    'http://',
    'not a host',
  ];
  const listed = dataHubUrlCheck({ allowsPrivate: false, blacklist: BLACKLIST });

  test.each([
    'http://bad.example.com',
    'https://BAD.example.com:1234/any?x#y',
    'http://bad.example.com./',
    'http://evil.example.com',
    'https://evil.example.com:1/other',
    'http://upper.example.com',
    'http://dotted.example.com',
    'http://dotted.example.com.',
    'http://ported.example.com:9001',
    'http://198.41.0.4/',
    'http://0xc6.41.0.4',
    'http://3324575748',
    'http://[::ffff:198.41.0.4]/',
    'http://[2606:4700:0:0::1]',
    'http://[2606:4700::2]:90',
    'http://[2606:4700::3]/',
    'http://193.0.14.129',
    'http://xn--bcher-kva.example.com',
    'http://bücher.example.com',
    'http://b%C3%BCcher.example.com',
    'http://spaced.example.com',
  ])('blocks %s', (url) => {
    expect(listed(url)).toBe('blacklisted');
    expect(dataHubUrlCheck({ allowsPrivate: true, blacklist: BLACKLIST })(url)).toBe('blacklisted');
  });

  test.each([
    'http://example.com',
    'http://notbad.example.com',
    'http://bad.example.com.evil.org',
    'http://bad.example.org',
    'http://198.41.0.5',
    'http://hub.example.com/bad.example.com',
  ])('does not block %s', (url) => {
    expect(listed(url)).toBeUndefined();
  });

  test('blocks a blacklisted private host even where private hosts are allowed', () => {
    const local = dataHubUrlCheck({ allowsPrivate: true, blacklist: ['localhost', 'http://10.0.0.1:8090'] });
    expect(['http://localhost:1', 'http://10.0.0.1', 'http://10.0.0.2'].map(local)).toEqual([
      'blacklisted',
      'blacklisted',
      undefined,
    ]);
  });
});
