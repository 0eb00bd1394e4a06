// A real PostgreSQL server of one's own: a free port on loopback, a temporary folder, everybody trusted.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { freePort } from './kafka-broker.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

const INSTALL = 'Debian package postgresql-15';
const DEBIAN_FOLDER = '/usr/lib/postgresql';

/** PostgreSQL refuses to run as root; it then runs as this user, which its package makes. */
interface Account {
  readonly uid: number;
  readonly gid: number;
}

export class PostgresServer {
  readonly port: number;
  private readonly folder: string;
  private child: ChildProcess | undefined;

  private constructor(port: number, folder: string) {
    this.port = port;
    this.folder = folder;
  }

  /** Throws and says which when a tool is missing. */
  static async create(): Promise<PostgresServer> {
    requireTool(binary('postgres'), ['--version'], INSTALL);
    const folder = temporaryFolder('postgres');
    const account = serverAccount();
    if (account !== undefined) chownSync(folder, account.uid, account.gid);
    const initdb = ['-D', join(folder, 'data'), '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'];
    execFileSync(binary('initdb'), initdb, { ...account, cwd: folder, stdio: 'pipe', timeout: 120_000 });
    const server = new PostgresServer(await freePort(), folder);
    await server.start();
    return server;
  }

  url(database = 'postgres'): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts it again on the same port with the same data; nothing when it runs. */
  async start(): Promise<void> {
    if (this.isRunning()) return;
    const settings = {
      port: this.port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: this.folder,
      fsync: 'off',
      shared_buffers: '32MB',
      dynamic_shared_memory_type: 'mmap',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(binary('postgres'), ['-D', join(this.folder, 'data'), ...options], {
      ...serverAccount(),
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    endWithTests(child);
    this.child = child;
    let errors = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-4000);
    });
    await waitFor(() => this.answers(), { timeoutMs: 60_000, what: 'PostgreSQL' }).catch((cause: unknown) => {
      throw new Error(`PostgreSQL did not start:\n${errors}`, { cause });
    });
  }

  async createDatabase(name: string): Promise<void> {
    await this.sql(`CREATE DATABASE ${name}`);
  }

  /** Runs statements on a connection of its own. */
  async sql(text: string, database?: string): Promise<void> {
    const client = new Client({ connectionString: this.url(database) });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  /** Fast: connections are ended, nothing is lost. The data stay. */
  async stop(): Promise<void> {
    await this.end('SIGINT');
  }

  /** As a crash: nothing is written any more. The data stay, and are recovered at the next start. */
  async kill(): Promise<void> {
    await this.end('SIGQUIT');
  }

  /** Stops it and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined || !this.isRunning()) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await exited;
  }

  private isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  private async answers(): Promise<boolean> {
    await this.sql('SELECT 1');
    return true;
  }
}

/** Debian keeps the server's programs in a folder for each version, outside of the path. */
function binary(name: string): string {
  const versions = existsSync(DEBIAN_FOLDER) ? readdirSync(DEBIAN_FOLDER) : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a)).find((each) => existsSync(pathOf(each, name)));
  return newest === undefined ? name : pathOf(newest, name);
}

function pathOf(version: string, name: string): string {
  return join(DEBIAN_FOLDER, version, 'bin', name);
}

/** undefined: as the user who runs the tests. */
function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  requireTool('id', ['-u', 'postgres'], `user postgres, ${INSTALL}`);
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}
