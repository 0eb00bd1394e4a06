// Run within a network namespace that has public addresses on its loopback: a server, Go peers that claim DataHub URLs,
// and the machines that they aim at. Prints what was seen as one line of JSON; judges nothing.
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import type { DataHubLabVerdict } from './datahub-namespace.ts';
import { GoPeer } from './go-peer.ts';
import { NameServer } from './name-server.ts';
import { allTopics, PSK, privateNetwork, subtreeFields, topicsOf } from './network.ts';
import { ServerProcess } from './server-process.ts';
import { waitFor } from './wait.ts';

const PORT = 8080;
const OTHER_PORT = 8081;
const CANARY_PORT = 9000;
const COUNTED = '11.22.33.44';
const REDIRECTS = '11.22.33.45';
const SILENT = '11.22.33.46';
const REDIRECTS_TO_NAME = '11.22.33.47';
const MIXED = '11.22.33.48';
const LOOPS = '11.22.33.49';
const PRIVATE_NAME = 'private.example.com';
const INNER_NAME = 'inner.example.com';
const METADATA_NAME = 'metadata.example.com';
const COUNTED_REQUESTS = 3;
const topics = topicsOf('regtest');

/** Times of requests, in ms. */
type Times = number[];

async function listen<S extends Server>(server: S, host: string, port: number): Promise<S> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}

async function machine(host: string, answer: RequestListener, ports: readonly number[] = [PORT]): Promise<Times> {
  const times: Times = [];
  for (const port of ports) {
    const server = createHttpServer((request, response) => {
      times.push(performance.now());
      answer(request, response);
    });
    await listen(server, host, port);
  }
  return times;
}

const redirectingTo =
  (location: string): RequestListener =>
  (_request, response) => {
    response.writeHead(302, { location }).end();
  };

/** What must never be reached: loopback, at the ports that URLs name. */
async function canaries(): Promise<{ connections: number }> {
  const seen = { connections: 0 };
  for (const host of ['127.0.0.1', '::1']) {
    for (const port of [PORT, CANARY_PORT]) {
      const server = createTcpServer((socket) => {
        seen.connections += 1;
        socket.destroy();
      });
      await listen(server, host, port);
    }
  }
  return seen;
}

function nodeStatus(peerId: string, baseUrl: string): string {
  return JSON.stringify({
    type: 'node_status',
    base_url: baseUrl,
    peer_id: peerId,
    version: 'v1',
    commit_hash: 'c',
    best_block_hash: '',
    best_height: 0,
    block_assembly_details: {},
    fsm_state: 'RUNNING',
    start_time: 1_795_413_545,
    uptime: 1.5,
    client_name: 'lab',
    miner_name: '',
    listen_mode: 'full',
    chain_work: '',
  });
}

/** Says a node status each half second; which URL it claims may change each time. */
class Claimer {
  readonly peer: GoPeer;
  private readonly timer: NodeJS.Timeout;
  claim: (count: number) => string;

  private constructor(peer: GoPeer, claim: Claimer['claim']) {
    this.peer = peer;
    this.claim = claim;
    let count = 0;
    this.timer = setInterval(() => {
      count += 1;
      peer.publish(topics.nodeStatus, nodeStatus(peer.peerId, this.claim(count))).catch(() => {});
    }, 500);
  }

  static async start(server: ServerProcess, claim: Claimer['claim']): Promise<Claimer> {
    const peer = await GoPeer.start({ psk: PSK, topics: allTopics('regtest'), allow: [server.peerId] });
    await peer.connect(server.address);
    return new Claimer(peer, claim);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.peer.stop();
  }
}

async function run(): Promise<DataHubLabVerdict> {
  const names = new NameServer({
    'counted.example.com': [COUNTED],
    [PRIVATE_NAME]: ['127.0.0.1'],
    [INNER_NAME]: ['127.0.0.1'],
    [METADATA_NAME]: ['169.254.169.254', '10.0.0.1'],
    'mixed.example.com': ['127.0.0.1', MIXED],
  });
  await names.start();
  const canary = await canaries();
  const ok: RequestListener = (_request, response) => {
    response.writeHead(200).end('{}');
  };
  const counted = await machine(COUNTED, ok, [PORT, OTHER_PORT]);
  const redirects = await machine(REDIRECTS, redirectingTo(`http://127.0.0.1:${CANARY_PORT}/`));
  const silent = await machine(SILENT, () => {});
  const toName = await machine(REDIRECTS_TO_NAME, redirectingTo(`http://${INNER_NAME}:${CANARY_PORT}/`));
  const mixed = await machine(MIXED, ok);
  const loops = await machine(LOOPS, redirectingTo(`http://${LOOPS}:${PORT}/again`));
  const server = await ServerProcess.start({
    settings: { ...privateNetwork('regtest'), p2p_allow_private_datahubs: 'false' },
    readyTimeoutMs: 60_000,
  });
  const claimers = await Promise.all([
    Claimer.start(server, (count) => `http://${COUNTED}:${PORT}/a/${count}`),
    Claimer.start(server, (count) => `http://${COUNTED}:${count % 2 === 0 ? PORT : OTHER_PORT}/b`),
    Claimer.start(server, () => `http://counted.example.com:${PORT}/api/v1`),
    Claimer.start(server, () => `http://${SILENT}:${PORT}/`),
  ]);
  try {
    const aiming = await Claimer.start(server, () => `http://${REDIRECTS}:${PORT}/`);
    claimers.push(aiming);
    const until = async (what: string, url: string, isSeen: () => boolean) => {
      aiming.claim = () => url;
      await waitFor(isSeen, { timeoutMs: 30_000, what });
    };
    await until('the redirect', `http://${REDIRECTS}:${PORT}/`, () => redirects.length > 0);
    await until('the redirect to a name', `http://${REDIRECTS_TO_NAME}:${PORT}/`, () => toName.length > 0);
    await until('a private name', `http://${PRIVATE_NAME}:${CANARY_PORT}/`, () => names.asked.includes(PRIVATE_NAME));
    await until('a name of metadata', `http://${METADATA_NAME}/`, () => names.asked.includes(METADATA_NAME));
    await until('a name of both kinds', `http://mixed.example.com:${PORT}/`, () => mixed.length > 0);
    await until('the loop', `http://${LOOPS}:${PORT}/`, () => loops.length > 0);
    await waitFor(() => silent.length > 0, { what: 'the silent machine to be asked' });
    const relayed = await relays(claimers[0]?.peer, claimers[1]?.peer);
    await waitFor(() => counted.length >= COUNTED_REQUESTS, { timeoutMs: 100_000, what: 'the third request' });
    const readiness = await server.get('/health/ready');
    return {
      countedGapsMs: gapsOf(counted),
      redirectGapsMs: gapsOf(redirects),
      silentGapsMs: gapsOf(silent),
      loopGapsMs: gapsOf(loops),
      canaryConnections: canary.connections,
      isGossipRelayed: relayed,
      readinessStatus: readiness.status,
      connectedPeers: await server.metric('teranode_p2p_connected_peers'),
      peers: claimers.length,
      checksRefusedAsPrivate: await server.metric('teranode_p2p_datahub_checks_total', 'reason="private"'),
      warnings: server.output.json.filter(({ level }) => level === 'warn').map(({ event }) => String(event)),
      stopCode: (await server.stop()).code,
    };
  } finally {
    await Promise.all([...claimers.map((claimer) => claimer.stop()), server.stop()]);
    names.stop();
  }
}

/** Whether what one peer says still reaches the other, whose only neighbour is the server. */
async function relays(from: GoPeer | undefined, to: GoPeer | undefined): Promise<boolean> {
  if (from === undefined || to === undefined) return false;
  const fields = { ...subtreeFields(from.peerId), DataHubURL: `http://${COUNTED}:${PORT}/` };
  await from.publish(topics.subtree, JSON.stringify(fields));
  return await waitFor(
    async () => (await to.received(topics.subtree)).some(({ data }) => data.toString().includes(fields.Hash)),
    { timeoutMs: 20_000, what: 'the subtree to be relayed' },
  );
}

function gapsOf(times: Times): number[] {
  return times.slice(1).map((time, i) => Math.round(time - (times[i] ?? 0)));
}

process.stdout.write(`${JSON.stringify(await run())}\n`);
process.exit(0);
