// An internet of its own, from which nothing leaves: a network namespace with public addresses, and behind routers that
// masquerade (nftables) one namespace each with a private address. A router may run Debian's miniupnpd.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endWithTests, temporaryFolder } from './cleanup.ts';
import { requireTool } from './tools.ts';
import { waitFor } from './wait.ts';

export interface NatOptions {
  /** First three octets of its public network: `.1` is the internet's end, `.2` the router's. */
  readonly network: string;
  /**
   * `cone`: keeps the source port, so all peers see the same one. `symmetric`: a random port for each destination.
   * Default: `cone`.
   */
  readonly kind?: 'cone' | 'symmetric';
  /** Runs miniupnpd. */
  readonly upnp?: boolean;
}

/** The node's address behind each router: the same, as in many homes. */
export const INSIDE = '192.168.7.2';

/** A network namespace. It lasts as long as a process in it. */
class Namespace {
  /** The command that runs another one within. */
  readonly enter: readonly string[];
  private readonly holder: ChildProcess;

  constructor() {
    // Ends with the tests in any case: its input does.
    this.holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up && echo up && exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    endWithTests(this.holder);
    this.enter = ['nsenter', `--net=/proc/${this.holder.pid}/ns/net`, '--'];
  }

  async ready(): Promise<void> {
    await new Promise((resolve) => this.holder.stdout?.once('data', resolve));
  }

  get pid(): string {
    return String(this.holder.pid);
  }

  run(...command: readonly string[]): string {
    return this.runWith('', command);
  }

  runWith(input: string, command: readonly string[]): string {
    const [program = '', ...args] = [...this.enter, ...command];
    return execFileSync(program, args, { encoding: 'utf8', input, timeout: 20_000 });
  }

  /** `ip` commands, one per line. */
  ip(commands: string): void {
    this.runWith(commands, ['ip', '-batch', '-']);
  }

  forwards(): void {
    this.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  }

  close(): void {
    this.holder.kill('SIGKILL');
  }
}

/** What a home router does: it masquerades, drops what nobody inside asked for, and has miniupnpd's empty chains. */
function rules(kind: 'cone' | 'symmetric'): string {
  return `
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname != "wan0" accept
    ct state established,related accept
    counter
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "lan0" accept
    jump miniupnpd
  }
  chain prerouting {
    type nat hook prerouting priority -100;
    jump prerouting_miniupnpd
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    jump postrouting_miniupnpd
    oifname "wan0" masquerade ${kind === 'cone' ? '' : 'fully-random'}
  }
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`;
}

/** A port mapping. */
export interface Lease {
  readonly externalPort: number;
  /** IP and port. */
  readonly internal: string;
  /** Unix seconds. */
  readonly expiresAtS: number;
}

/** A router and the machine behind it. */
export class Nat {
  readonly publicIp: string;
  private readonly router: Namespace;
  private readonly inside: Namespace;
  private readonly folder = temporaryFolder('nat');
  private daemon: ChildProcess | undefined;

  private constructor(publicIp: string, router: Namespace, inside: Namespace) {
    this.publicIp = publicIp;
    this.router = router;
    this.inside = inside;
  }

  static async start(internet: Namespace, { network, kind = 'cone', upnp = false }: NatOptions): Promise<Nat> {
    const [router, inside] = [new Namespace(), new Namespace()];
    await Promise.all([router.ready(), inside.ready()]);
    const far = `far${network.replaceAll('.', '')}`;
    router.ip(`link add wan0 type veth peer name ${far} netns ${internet.pid}
link add lan0 type veth peer name eth0 netns ${inside.pid}
addr add ${network}.2/24 dev wan0
addr add 192.168.7.1/24 dev lan0
link set wan0 up
link set lan0 up
`);
    internet.ip(`addr add ${network}.1/24 dev ${far}\nlink set ${far} up\n`);
    inside.ip(`addr add ${INSIDE}/24 dev eth0\nlink set eth0 up\nroute add default via 192.168.7.1\n`);
    router.ip(`route add default via ${network}.1\n`);
    router.forwards();
    router.runWith(rules(kind), ['nft', '--file', '-']);
    const nat = new Nat(`${network}.2`, router, inside);
    if (upnp) await nat.startUpnp();
    return nat;
  }

  /** The command that runs another one on the machine behind the router. */
  get enter(): readonly string[] {
    return this.inside.enter;
  }

  /** miniupnpd forgets its mappings, as when the router loses power. */
  async restartUpnp(): Promise<void> {
    const { daemon } = this;
    const ended = new Promise((resolve) => daemon?.once('exit', resolve));
    daemon?.kill('SIGKILL');
    await ended;
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd'])
      this.router.run('nft', 'flush', 'chain', 'inet', 'filter', chain);
    await this.startUpnp();
  }

  private async startUpnp(): Promise<void> {
    const [config, leases] = [join(this.folder, 'miniupnpd.conf'), join(this.folder, 'leases')];
    writeFileSync(leases, '');
    writeFileSync(
      config,
      [
        'ext_ifname=wan0',
        'listening_ip=lan0',
        'http_port=5000',
        'ipv6_disable=yes',
        'secure_mode=yes',
        'uuid=6d0c1b1e-41c9-4b9c-9a62-4f3a3c6c1d10',
        `lease_file=${leases}`,
        'allow 1024-65535 192.168.7.0/24 1024-65535',
        'deny 0-65535 0.0.0.0/0 0-65535',
        '',
      ].join('\n'),
    );
    const [command = '', ...args] = [
      ...this.router.enter,
      'miniupnpd',
      '-d',
      '-f',
      config,
      '-P',
      join(this.folder, 'pid'),
    ];
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    endWithTests(child);
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    });
    const isListening = () => {
      if (child.exitCode !== null) throw new Error(`miniupnpd ended: ${output}`);
      return output.includes('HTTP listening on port');
    };
    await waitFor(isListening, { what: 'miniupnpd' });
    this.daemon = child;
  }

  /** To the machine behind the router, from the router. */
  sendDatagram(text: string, port: number): void {
    this.router.runWith(text, ['bash', '-c', `cat > /dev/udp/${INSIDE}/${port}`]);
  }

  /** Port mappings in miniupnpd's lease file. */
  leases(): Lease[] {
    return this.leaseFile().map((line) => {
      const [, externalPort, ip, port, expires] = line.split(':');
      return { externalPort: Number(externalPort), internal: `${ip}:${port}`, expiresAtS: Number(expires) };
    });
  }

  private leaseFile(): string[] {
    try {
      return readFileSync(join(this.folder, 'leases'), 'utf8').split('\n').filter(Boolean);
    } catch (error) {
      // miniupnpd removes the file while it writes a new one.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** The rules of the router that forward a port, as nftables lists them. */
  forwardedPorts(): string[] {
    const rules = this.router.run('nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd').split('\n');
    return rules.filter((rule) => rule.includes('dnat')).map((rule) => rule.trim());
  }

  /** Packets from outside that belonged to no connection. */
  droppedPackets(): number {
    const input = this.router.run('nft', 'list', 'chain', 'inet', 'filter', 'input');
    return Number(/counter packets (\d+)/.exec(input)?.[1]);
  }

  close(): void {
    this.daemon?.kill('SIGKILL');
    this.inside.close();
    this.router.close();
  }
}

export class NatLab {
  private readonly internet: Namespace;
  private readonly nats: Nat[] = [];

  private constructor(internet: Namespace) {
    this.internet = internet;
  }

  /** `addresses`: public IPs of the internet's own machine. */
  static async start(addresses: readonly string[]): Promise<NatLab> {
    requireTool('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up'], 'util-linux and iproute2, as root');
    requireTool('nsenter', ['--version'], 'util-linux');
    requireTool('nft', ['--version'], 'nftables');
    requireTool('miniupnpd', ['--version'], 'miniupnpd-nftables');
    const internet = new Namespace();
    await internet.ready();
    internet.ip(addresses.map((ip) => `addr add ${ip}/32 dev lo\n`).join(''));
    internet.forwards();
    return new NatLab(internet);
  }

  /** The command that runs another one on a machine with the public addresses. */
  get enter(): readonly string[] {
    return this.internet.enter;
  }

  async nat(options: NatOptions): Promise<Nat> {
    const nat = await Nat.start(this.internet, options);
    this.nats.push(nat);
    return nat;
  }

  close(): void {
    for (const nat of this.nats) nat.close();
    this.internet.close();
  }
}
