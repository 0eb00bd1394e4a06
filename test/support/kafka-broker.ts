// A real Apache Kafka broker: KRaft, one node, a free port, a temporary folder, from Maven artefacts that are fetched
// once.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Admin } from '@platformatic/kafka';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { REPO } from './repo.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

const POM = join(REPO, 'test/support/kafka/pom.xml');
const CACHE = join(REPO, '.cache/kafka');

export interface KafkaBrokerOptions {
  readonly port?: number;
  /** Where it sends clients, a relay in front of it for example; default its own port. */
  readonly advertisedPort?: number;
  /** PEM files: the broker's key and certificate in one, the authority that signed its clients. */
  readonly tls?: { readonly keyStoreFile: string; readonly trustStoreFile: string; readonly requiresClient: boolean };
}

/** Folder of jars; fetches them when the pom changed. Throws when a tool is missing. */
export function kafkaJars(): string {
  const folder = join(CACHE, createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 16));
  if (existsSync(folder)) return folder;
  requireTool('java', ['-version'], 'Java 17 or newer');
  requireTool('mvn', ['--version'], 'Maven');
  mkdirSync(CACHE, { recursive: true });
  const fresh = `${folder}.${process.pid}`;
  execFileSync('mvn', ['-q', '-B', '-f', POM, 'dependency:copy-dependencies', `-DoutputDirectory=${fresh}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 600_000,
  });
  renameSync(fresh, folder);
  return folder;
}

/** Formatted storage that each broker copies; formats it when the jars are new, which takes two starts of Java. */
function formattedStorage(jars: string): string {
  const folder = `${jars}.storage`;
  if (existsSync(folder)) return folder;
  const fresh = temporaryFolder('kafka-storage');
  const config = join(fresh, 'server.properties');
  writeFileSync(config, properties(fresh, 1, 2, {}));
  const tool = (...args: string[]) =>
    execFileSync('java', [...javaOptions(jars), 'kafka.tools.StorageTool', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 60_000,
    });
  tool('format', '-t', tool('random-uuid').trim(), '-c', config);
  const copy = `${folder}.${process.pid}`;
  cpSync(join(fresh, 'logs'), copy, { recursive: true });
  try {
    renameSync(copy, folder);
  } catch (error) {
    // Another process was faster.
    rmSync(copy, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** Started often and for a short time: code is compiled quickly, not well. */
function javaOptions(jars: string): string[] {
  const speed = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
  return ['-Xmx512m', '-Xms256m', ...speed, '-cp', `${jars}/*`, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'];
}

/** Fetches and makes what every broker needs. Throws when a tool is missing. */
export function prepareKafka(): void {
  formattedStorage(kafkaJars());
}

export class KafkaBroker {
  /** `127.0.0.1:port`. */
  readonly address: string;
  private readonly folder: string;
  private readonly jars: string;
  private child: ChildProcess | undefined;
  private readonly isTls: boolean;

  private constructor(address: string, folder: string, jars: string, isTls: boolean) {
    this.address = address;
    this.folder = folder;
    this.jars = jars;
    this.isTls = isTls;
  }

  static async start(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
    const jars = kafkaJars();
    const folder = temporaryFolder('kafka');
    const port = options.port ?? (await freePort());
    writeFileSync(join(folder, 'server.properties'), properties(folder, port, await freePort(), options));
    const broker = new KafkaBroker(`127.0.0.1:${port}`, folder, jars, options.tls !== undefined);
    cpSync(formattedStorage(jars), join(folder, 'logs'), { recursive: true });
    await broker.up();
    return broker;
  }

  /** Starts it again on the same port with the same data. */
  async up(): Promise<void> {
    this.child = spawn('java', [...javaOptions(this.jars), 'kafka.Kafka', join(this.folder, 'server.properties')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: this.folder,
    });
    endWithTests(this.child);
    let errors = '';
    this.child.stderr?.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-4000);
    });
    const answersOrEnded = () => this.hasEnded() || this.answers();
    await waitFor(answersOrEnded, { timeoutMs: 60_000, what: 'the Kafka broker' }).catch((cause: unknown) => {
      throw new Error(`Kafka did not start:\n${errors}`, { cause });
    });
    if (this.hasEnded()) throw new Error(`Kafka ended while it started:\n${errors}`);
  }

  /** Resolves when the broker's process has ended, with how: an exit code or a signal. */
  async ended(): Promise<string> {
    const { child } = this;
    if (child !== undefined && !this.hasEnded()) await new Promise((resolve) => child.once('exit', resolve));
    return child?.signalCode ?? `exit code ${child?.exitCode}`;
  }

  private hasEnded(): boolean {
    return this.child === undefined || this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** As a crash: SIGKILL. */
  async kill(): Promise<void> {
    if (this.hasEnded()) return;
    this.child?.kill('SIGKILL');
    await this.ended();
  }

  /** Stays connected and answers nothing any more: SIGSTOP. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async answers(): Promise<boolean> {
    if (this.isTls) {
      return await new Promise((resolve) => {
        const probe = spawn('openssl', ['s_client', '-connect', this.address], { stdio: ['pipe', 'pipe', 'ignore'] });
        let seen = '';
        probe.stdout.on('data', (chunk: Buffer) => {
          seen += chunk.toString();
        });
        probe.stdin.end();
        probe.once('exit', () => resolve(seen.includes('BEGIN CERTIFICATE')));
      });
    }
    const admin = new Admin({ clientId: 'probe', bootstrapBrokers: [this.address], retries: 0, connectTimeout: 1000 });
    try {
      await admin.listTopics();
      return true;
    } finally {
      await admin.close();
    }
  }
}

function properties(folder: string, port: number, controllerPort: number, options: KafkaBrokerOptions): string {
  const protocol = options.tls === undefined ? 'PLAINTEXT' : 'SSL';
  const lines = [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=${protocol}://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    `advertised.listeners=${protocol}://127.0.0.1:${options.advertisedPort ?? port}`,
    `listener.security.protocol.map=CONTROLLER:PLAINTEXT,${protocol}:${protocol}`,
    'controller.listener.names=CONTROLLER',
    `inter.broker.listener.name=${protocol}`,
    `log.dirs=${join(folder, 'logs')}`,
    'offsets.topic.replication.factor=1',
    'transaction.state.log.replication.factor=1',
    'transaction.state.log.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    'auto.create.topics.enable=false',
    'num.partitions=1',
    'offsets.topic.num.partitions=3',
  ];
  if (options.tls !== undefined) {
    lines.push(
      'ssl.keystore.type=PEM',
      `ssl.keystore.location=${options.tls.keyStoreFile}`,
      'ssl.truststore.type=PEM',
      `ssl.truststore.location=${options.tls.trustStoreFile}`,
      `ssl.client.auth=${options.tls.requiresClient ? 'required' : 'none'}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Below the kernel's range of ephemeral ports, so that no other process gets the port before it is used. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (given.has(port) || !(await isFreePort(port))) continue;
    given.add(port);
    return port;
  }
}

/** By this process: a port is free until its user listens. */
const given = new Set<number>();

export async function isFreePort(port: number): Promise<boolean> {
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (isFree) await new Promise((resolve) => server.close(resolve));
  return isFree;
}
