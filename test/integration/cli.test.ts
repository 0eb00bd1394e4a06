// The command line, run as a process.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

function cli(args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [join(REPO, 'src/cli/main.ts'), ...args], {
    cwd: REPO,
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '', ...env },
  });
}

describe('teranode-p2p settings', () => {
  test('prints each effective value with its origin, secrets masked', () => {
    const { status, stdout } = cli(['settings'], { p2p_port: '19905' });
    expect(status).toBe(0);
    const line = (key: string) => stdout.split('\n').find((each) => each.startsWith(`${key} `)) ?? '';
    expect(line('p2p_port')).toMatch(/19905 {2}\[environment p2p_port\]$/);
    expect(line('p2p_listen_addresses')).toMatch(/127\.0\.0\.1 {2}\[settings\.conf:\d+ p2p_listen_addresses\.dev\]$/);
    expect(line('p2p_ban_threshold')).toMatch(/100 {2}\[default\]$/);
    expect(line('p2p_private_key')).toMatch(/- {2}\[unset\]$/);
    expect(line('p2p_shared_key')).toContain('********');
    expect(stdout).not.toContain('7465726e6f6465');
  });

  test('as JSON lines, for another folder and context; the password of a store is masked', () => {
    const folder = temporaryFolder('cli');
    writeFileSync(join(folder, 'settings.conf'), 'network.x = mainnet\n');
    const env = {
      p2p_port: '1',
      p2p_block_topic: 'b',
      p2p_subtree_topic: 's',
      p2p_handshake_topic: 'h',
      p2p_mining_on_topic: 'm',
      p2p_rejected_tx_topic: 'r',
      p2p_shared_key: 'ab'.repeat(32),
      asset_httpAddress: 'http://a',
      blockchain_store: 'postgres://user:hunter2@db:5432/teranode',
    };
    const { status, stdout } = cli(['settings', '--json', '--settings', folder, '--context', 'x.y'], env);
    expect(status).toBe(0);
    const rows = stdout
      .trim()
      .split('\n')
      .map((each) => JSON.parse(each));
    expect(rows.find(({ key }) => key === 'network')).toEqual({
      key: 'network',
      value: 'mainnet',
      origin: 'settings.conf:1 network.x',
      context: 'x.y',
    });
    expect(rows.find(({ key }) => key === 'blockchain_store').value).toBe('postgres://user:********@db:5432/teranode');
  });

  test('refuses with exit code 2 and every problem', () => {
    const { status, stderr } = cli(['settings', '--settings', temporaryFolder('empty')]);
    expect(status).toBe(2);
    for (const key of ['p2p_port', 'network', 'p2p_block_topic']) expect(stderr).toContain(key);
  });
});

describe('teranode-p2p', () => {
  test('version and help; anything else is exit code 1 with the usage', () => {
    expect(cli(['--version']).stdout).toMatch(/^v\d/);
    expect(cli(['--help']).stdout).toContain('teranode-p2p start');
    for (const args of [[], ['nonsense'], ['start', '--nonsense'], ['settings', 'x']]) {
      const { status, stderr } = cli(args);
      expect(status).toBe(1);
      expect(stderr).toContain('teranode-p2p start');
    }
  });
});
