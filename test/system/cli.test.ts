// The command line, run as a process.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/cleanup.ts';
import { REPO } from '../support/repo.ts';

const ENV = { PATH: process.env.PATH ?? '' };

function cli(args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [join(REPO, 'src/cli/main.ts'), ...args], {
    cwd: REPO,
    encoding: 'utf8',
    env: { ...ENV, ...env },
  });
}

describe('teranode-p2p settings', () => {
  test('prints each effective value with its origin, secrets masked', () => {
    const { status, stdout } = cli(['settings'], { p2p_port: '19905' });
    expect(status).toBe(0);
    const line = (key: string) => stdout.split('\n').find((each) => each.startsWith(`${key} `)) ?? '';
    expect(line('p2p_port')).toMatch(/19905 +\[environment p2p_port\]$/);
    expect(line('p2p_listen_addresses')).toMatch(/127\.0\.0\.1 +\[settings\.conf:\d+ p2p_listen_addresses\.dev\]$/);
    expect(line('p2p_ban_threshold')).toMatch(/100 +\[default\]$/);
    expect(line('p2p_private_key')).toMatch(/- +\[unset\]$/);
    expect(line('p2p_shared_key')).toContain('********');
    expect(stdout).not.toContain('7465726e6f6465');
    expect(stdout).toMatch(/\nwire: go-p2p \(p2p_wire, p2p_bootstrap_peers and p2p_dht_mode are unset\)\n$/);
    const both = cli(['settings'], { p2p_wire: 'both' });
    expect(both.stdout).toMatch(/\nwire: message-bus and go-p2p \(p2p_wire = both\)\n$/);
  });

  test('prints JSON lines for another folder and context; masks the password of a store', () => {
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

  test('shows passwords and tokens of URLs neither in force nor refused', () => {
    const inForce = cli(['settings'], {
      p2p_ban_store: 'postgres://user:hid#den@db:5432/teranode?sslmode=disable',
      asset_httpPublicAddress: 'https://hidden@node.example/?sig=hidden',
    });
    expect(inForce.status).toBe(0);
    expect(inForce.stdout).toContain('postgres://user:********@db:5432/teranode?sslmode=disable');
    expect(inForce.stdout).toContain('https://********@node.example/?sig=********');
    expect(inForce.stdout).not.toMatch(/hid|den@/);
    const refused = cli(['settings'], {
      p2p_ban_store: 'mysql://user:hidden@db/teranode',
      asset_httpAddress: 'ftp://hidden@node.example/',
      kafka_blocksConfig: 'kafka://user:hid#den@broker:9092/blocks',
      blockchain_grpcAddress: 'user:hidden@service:8087',
    });
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain('kafka://user:********@broker:9092/blocks');
    expect(refused.stderr).not.toMatch(/hid|den@/);
  });

  test('exits with code 2 and lists every problem', () => {
    const { status, stderr } = cli(['settings', '--settings', temporaryFolder('empty')]);
    expect(status).toBe(2);
    for (const key of ['p2p_port', 'network', 'p2p_block_topic']) expect(stderr).toContain(key);
  });
});

describe('teranode-p2p', () => {
  test('prints the version', () => {
    for (const flag of ['--version', '-V'])
      expect(cli([flag])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^v\d/) });
  });

  test.each([
    [[], ['start', 'status', 'settings', 'bans', 'peers', '--version']],
    [['status'], ['--address', '--json', 'peer ID']],
    [
      ['peers', 'list'],
      ['--address', '--json'],
    ],
    [['peers'], ['list', 'connect', 'disconnect', '--address']],
    [['start'], ['--settings', '--json-logs', '--pretty']],
    [['settings'], ['--settings', '--context', '--json']],
    [['bans'], ['list', 'add', 'remove', 'clear', 'explain', '--address', '--key', '--json', 'admin.key']],
    [['peers'], ['--key', 'environment variable grpc_admin_api_key']],
    [
      ['bans', 'add'],
      ['<ip | cidr | peer id>', '--for', '--until', '--address'],
    ],
    [
      ['peers', 'connect'],
      ['<multiaddr>', '--address'],
    ],
  ])('help for %j names its arguments and options and gives examples', (command, parts) => {
    const { status, stdout, stderr } = cli([...command, '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Usage: ${['teranode-p2p', ...command].join(' ')}`);
    expect(stdout).toContain(`Examples:\n  ${['teranode-p2p', ...command].join(' ')}`);
    for (const part of parts) expect(stdout).toContain(part);
  });

  test.each([[['help', 'peers']], [['peers', 'help']], [['peers', '-h']], [['peer', '--help']], [['peers']]])(
    'shows the commands for peers on %j',
    (args) => {
      const { stdout, stderr } = cli(args);
      expect(stdout + stderr).toContain('Usage: teranode-p2p peers');
      expect(stdout + stderr).toContain('disconnect');
    },
  );

  test.each(['settings', 'settings --json', '--help', 'bans list --help', 'bans --help'])(
    'a reader that has seen enough ends `%s` quietly',
    (args) => {
      const program = `${process.execPath} ${join(REPO, 'src/cli/main.ts')} ${args}`;
      // The reader is gone before the first line.
      const script = `(sleep 0.1; ${program}; echo "code $?" >&2) | exec true`;
      const { stderr } = spawnSync('sh', ['-c', script], { cwd: REPO, encoding: 'utf8', env: ENV });
      expect(stderr).toBe('code 0\n');
    },
  );

  test('says that standard output cannot be written', () => {
    const program = `${process.execPath} ${join(REPO, 'src/cli/main.ts')} settings > /dev/full`;
    const { status, stderr } = spawnSync('sh', ['-c', program], { cwd: REPO, encoding: 'utf8', env: ENV });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^cannot write to standard output: ENOSPC.*\n$/)]);
  });
});
