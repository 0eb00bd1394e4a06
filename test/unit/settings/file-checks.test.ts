// Files that settings name: all problems are reported before a node starts, each with its setting.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../support/cleanup.ts';
import { REPO } from '../../support/repo.ts';
import { loadText, MINIMAL_SETTINGS, problemsOf } from '../../support/settings.ts';

const folder = temporaryFolder('files');
const data = (name: string) => join(REPO, 'test/data', name);
const CERT = data('tls/first.pem');
const KEY = data('tls/first.key');

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const garbage = file('garbage', 'garbage');
mkdirSync(join(folder, 'a-folder'));
const HTTPS = { securityLevelHTTP: '1', server_certFile: CERT, server_keyFile: KEY };
const KAFKA = { KAFKA_ENABLE_TLS: 'true', kafka_blocksConfig: 'kafka://h:1/blocks' };

function refused(env: Record<string, string>) {
  return problemsOf(() => loadText(MINIMAL_SETTINGS, env, { checksFiles: true }));
}

describe('files that settings name', () => {
  test.each<[Record<string, string>, readonly string[]]>([
    [{ ...HTTPS, server_certFile: '/nonexistent' }, ['server_certFile']],
    [{ ...HTTPS, server_certFile: garbage }, ['server_certFile']],
    [{ ...HTTPS, server_keyFile: join(folder, 'a-folder') }, ['server_keyFile']],
    [{ ...HTTPS, server_keyFile: data('tls/second.key') }, ['server_keyFile']],
    [{ ...HTTPS, server_certFile: garbage, server_keyFile: garbage }, ['server_certFile', 'server_keyFile']],
    [{ ...HTTPS, security_level_grpc: '3', server_caFile: garbage }, ['server_caFile']],
    [{ ...KAFKA, KAFKA_TLS_CA_FILE: '/nonexistent' }, ['KAFKA_TLS_CA_FILE']],
    [{ ...KAFKA, KAFKA_TLS_CERT_FILE: CERT, KAFKA_TLS_KEY_FILE: CERT }, ['KAFKA_TLS_KEY_FILE']],
    [{ embedded_chain_headers: '/nonexistent' }, ['embedded_chain_headers']],
    [{ embedded_chain_headers: garbage }, ['embedded_chain_headers']],
    [{ embedded_chain_headers: data('headers/mainnet-0-4999.bin') }, ['embedded_chain_headers']],
    [
      { ...HTTPS, p2p_port: 'x', server_keyFile: garbage, embedded_chain_headers: folder },
      ['p2p_port', 'server_keyFile', 'embedded_chain_headers'],
    ],
  ])('%j: reported with key, value, origin and what is expected', (env, keys) => {
    const problems = refused(env);
    expect(problems.map(({ key }) => key)).toEqual(keys);
    for (const { key, value, origin, expected } of problems) {
      expect(value).toBe(env[key]);
      expect(origin).toBe(`environment ${key}`);
      expect(expected.length).toBeGreaterThan(20);
    }
  });

  test.each([
    ['right ones', { ...HTTPS, ...KAFKA, KAFKA_TLS_CA_FILE: CERT, KAFKA_TLS_CERT_FILE: CERT, KAFKA_TLS_KEY_FILE: KEY }],
    ['headers of the network', { network: 'mainnet', embedded_chain_headers: data('headers/mainnet-0-4999.bin') }],
    [
      'those that nothing uses',
      { server_certFile: garbage, KAFKA_TLS_CA_FILE: garbage, server_caFile: '/nonexistent' },
    ],
    ['those of a broker within the process', { KAFKA_ENABLE_TLS: 'true', KAFKA_TLS_CA_FILE: garbage }],
  ])('accepts %s', (_what, env) => {
    expect(() => loadText(MINIMAL_SETTINGS, env, { checksFiles: true })).not.toThrow();
  });

  test('settings can be printed on a machine without the files', () => {
    expect(() => loadText(MINIMAL_SETTINGS, { ...HTTPS, server_certFile: '/nonexistent' })).not.toThrow();
  });
});
