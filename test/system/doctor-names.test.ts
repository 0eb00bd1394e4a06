// doctor names a bootstrap name that does not resolve. In namespaces of its own, whose name server is the test's.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import type { DoctorCheck } from '../support/doctor.ts';
import { REPO } from '../support/repo.ts';
import { requireTool } from '../support/tools.ts';

const NAMESPACES = ['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

let cases: Map<string, readonly DoctorCheck[]>;

beforeAll(async () => {
  const [unshare, ...namespaces] = NAMESPACES;
  requireTool(unshare, [...namespaces, 'ip', 'link', 'set', 'lo', 'up'], 'util-linux and iproute2, as root');
  const resolvConf = join(temporaryFolder('names'), 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.0.1\n');
  const steps = `set -e; ip link set lo up; mount --bind ${resolvConf} /etc/resolv.conf; exec "$@"`;
  const script = fileURLToPath(import.meta.resolve('../support/doctor-names.ts'));
  const args = [...namespaces, 'sh', '-c', steps, 'sh', process.execPath, script];
  const { stdout } = await promisify(execFile)(unshare, args, { cwd: REPO, timeout: 240_000 });
  const lines = stdout.trim().split('\n');
  cases = new Map(lines.map((line) => JSON.parse(line)).map(({ name, checks }) => [name, checks]));
});

function checkOf(name: string, check: string): DoctorCheck | undefined {
  return cases.get(name)?.find((each) => each.name === check);
}

function failed(name: string): readonly string[] {
  return (cases.get(name) ?? []).filter(({ ok }) => ok === false).map((each) => each.name);
}

test('names a bootstrap name that does not resolve, and reports nothing else', () => {
  expect(failed('unknown')).toEqual(['dns']);
  expect(checkOf('unknown', 'dns')).toMatchObject({
    found: expect.stringMatching(/addresses of nowhere\.example\.com: the name does not resolve/),
    advice: expect.stringContaining('/etc/resolv.conf'),
  });
});

test('names a /dnsaddr name without TXT records, and one whose records are empty', () => {
  for (const [name, host] of [
    ['withoutTxt', 'plain'],
    ['emptyTxt', 'empty'],
  ] as const) {
    expect(failed(name)).toEqual(['dns']);
    expect(checkOf(name, 'dns')).toMatchObject({
      found: expect.stringContaining(`TXT records of _dnsaddr.${host}.example.com: the name`),
      advice: expect.stringContaining(`"dnsaddr=/ip4/`),
    });
    expect(checkOf(name, 'bootstrap')).toMatchObject({ ok: null, found: expect.stringContaining('see dns') });
  }
});

test('shows what names resolve to, and blames the peer where nobody answers there', () => {
  expect(checkOf('known', 'dns')).toMatchObject({ ok: true, found: 'addresses of node.example.com: 127.0.0.1' });
  expect(checkOf('good', 'dns')).toMatchObject({
    ok: true,
    found: expect.stringContaining('/ip4/127.0.0.1/tcp/1/p2p'),
  });
  for (const name of ['known', 'good']) {
    expect(failed(name)).toEqual(['bootstrap']);
    expect(checkOf(name, 'bootstrap')?.found).toContain('connection refused');
  }
});
