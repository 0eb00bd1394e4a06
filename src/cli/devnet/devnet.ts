// A private network of nodes on this machine: it starts them, connects them through relays, tells what happens and
// carries out orders. Ends what it started, and everything ends with its process.
import { randomBytes } from 'node:crypto';
import { P2PError } from '../../lib/errors.ts';
import { pause } from '../../lib/pause.ts';
import type { WireName } from '../../wire/format.ts';
import { MinedBlocks } from './blocks.ts';
import type { FolderFate } from './child.ts';
import type { DevnetEvent } from './events.ts';
import type { Movement } from './feed.ts';
import { Liars } from './liars.ts';
import { isLinked, type LinkState, Links, liarNumber, linkedPairs, MAX_LIARS, seenIp } from './links.ts';
import { openNodeFolder, writeNodeSettings } from './node-folder.ts';
import { type NodeObserver, NodeProcess, type Tip } from './node-process.ts';
import type { DevnetState, NodeState } from './state.ts';
import type { BanOrder, NodeOrder, Order } from './switches.ts';

export interface DevnetOptions {
  readonly nodes: number;
  /** Of node 1. 0: nobody mines but on order. */
  readonly mineEverySeconds: number;
  readonly wire: WireName;
  readonly root: string;
  readonly folderFate: FolderFate;
  /** Of each node. */
  readonly httpPorts: readonly number[];
  readonly p2pPorts: readonly number[];
}

const READY_DEADLINE_MS = 180_000;
const PROGRESS_MS = 500;
const STARTING_AT_ONCE = 4;
const MINER = 1;
const SHARED_KEY_BYTES = 32;
const SHOWN_BANS = 100;

export interface DevnetObserver {
  readonly tell: (event: DevnetEvent) => void;
  readonly move: (movement: Movement) => void;
}

export class Devnet {
  private readonly options: DevnetOptions;
  private readonly tell: DevnetObserver['tell'];
  private readonly move: DevnetObserver['move'];
  private readonly sharedKey = randomBytes(SHARED_KEY_BYTES).toString('hex');
  private readonly nodes: NodeProcess[] = [];
  private readonly liars: Liars;
  private readonly links: Links;
  private readonly blocks: MinedBlocks;
  private miner: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isStopping = false;

  constructor(options: DevnetOptions, { tell, move }: DevnetObserver) {
    this.options = options;
    this.tell = tell;
    this.move = move;
    this.liars = new Liars((liar, peerId, state) => tell({ event: 'liar', liar, peerId, state }));
    this.links = new Links((peer) => options.p2pPorts[peer - 1]);
    this.blocks = new MinedBlocks({ nodes: () => this.running().length, tell });
  }

  /** Makes the folders and the links. Throws LISTEN_FAILED, and errors of the system. */
  async prepare(): Promise<readonly { readonly node: number; readonly http: string; readonly peerId: string }[]> {
    const { nodes: count, root, httpPorts } = this.options;
    for (let number = 1; number <= count; number += 1) {
      const folder = await openNodeFolder(root, number);
      this.nodes.push(new NodeProcess(number, folder, httpPorts[number - 1] ?? 0, this.observerOf(number)));
    }
    for (const [a, b] of this.pairs()) await this.links.open(a, b);
    for (const { number, folder } of this.nodes) await writeNodeSettings(folder, this.settingsOf(number));
    return this.nodes.map(({ number, http, folder }) => ({ node: number, http, peerId: folder.peerId }));
  }

  /** Starts the nodes; resolves when each is connected to all that it is linked to. Throws TIMEOUT, NOT_DONE when a node dies. */
  async start(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    // Ctrl-C reaches the nodes too, which then end without being asked to.
    signal.addEventListener('abort', () => this.beginStop(), { once: true });
    const sinceMs = performance.now();
    // A node dials those with greater numbers, which run by then.
    const waiting = [...this.nodes];
    let shown = '';
    for (let joined = false; !signal.aborted; await pause(PROGRESS_MS, signal)) {
      const dead = this.nodes.find((node) => !node.isRunning && !waiting.includes(node));
      if (dead !== undefined) throw new P2PError('NOT_DONE', `node ${dead.number} ended before the network was ready`);
      const ready = this.nodes.filter(({ isReady }) => isReady).length;
      while (this.nodes.length - waiting.length - ready < STARTING_AT_ONCE && waiting.length > 0)
        waiting.pop()?.start(this.options.folderFate);
      if (ready === this.nodes.length && !joined) {
        joined = true;
        void this.connect(this.pairs());
      }
      const connected = await this.fullyConnected();
      const progress = `${ready} ${connected}`;
      if (progress !== shown) this.tell({ event: 'progress', ready, connected, of: this.nodes.length });
      shown = progress;
      if (connected === this.nodes.length) break;
      if (performance.now() - sinceMs > READY_DEADLINE_MS)
        throw new P2PError('TIMEOUT', `the nodes were not ready within ${READY_DEADLINE_MS} ms`);
    }
    if (signal.aborted) return;
    this.isStarted = true;
    this.tell({ event: 'ready', nodes: this.nodes.length, tookMs: Math.round(performance.now() - sinceMs) });
    const { mineEverySeconds } = this.options;
    if (mineEverySeconds > 0) this.miner = setInterval(() => this.mineInTurn(), mineEverySeconds * 1000);
  }

  /** May be called twice. */
  async stop(): Promise<void> {
    this.beginStop();
    await Promise.all([...this.nodes.map((node) => node.stop()), this.liars.stop()]);
    this.links.stop();
  }

  /** Throws INPUT_INVALID for a node that does not exist, NOT_DONE for what a node refuses. */
  async run(order: Order): Promise<object> {
    switch (order.do) {
      case 'link':
        return await this.setLinks(order.a, order.b, order.state);
      case 'slow': {
        const { number } = this.node(order.node);
        this.links.slow(number, order.slowMs);
        this.tell({ event: 'slow', node: number, slowMs: order.slowMs });
        return { node: number, slowMs: order.slowMs };
      }
      case 'mine':
        this.node(order.node).mine(order.blocks);
        return { node: order.node, blocks: order.blocks };
      case 'liar':
        return await this.addLiar();
      case 'ban':
        return await this.ban(order.node, order.subject, order.state);
      case 'node':
        return await this.setNode(order.node, order.state);
      default:
        return order satisfies never;
    }
  }

  /** What is there now, asked of the nodes themselves. */
  async state(): Promise<DevnetState> {
    const { wire, mineEverySeconds } = this.options;
    const nodes = await Promise.all(this.nodes.map(async (node) => await this.stateOf(node)));
    const links = this.pairs().map(([a, b]) => {
      return { a, b, state: this.links.isCut(a, b) ? ('cut' as const) : ('restored' as const) };
    });
    const liars = this.liars.state();
    return { network: 'regtest', wire, miner: MINER, mineEverySeconds, nodes, links, liars, maxLiars: MAX_LIARS };
  }

  private async stateOf(node: NodeProcess): Promise<NodeState> {
    const { number, http, folder, isRunning, isReady } = node;
    const { peerId, path: data } = folder;
    const slowMs = this.links.slowMsOf(number);
    return { node: number, http, peerId, data, isRunning, isReady, slowMs, ...(await this.seenBy(node)) };
  }

  private beginStop(): void {
    this.isStopping = true;
    clearInterval(this.miner);
    this.blocks.stop();
  }

  private observerOf(number: number): NodeObserver {
    return {
      ready: () => {
        // At the start of the network all are connected once all are ready.
        if (!this.isStarted) return;
        this.tell({ event: 'node', node: number, state: 'ready' });
        void this.connect(this.pairsOf(number));
      },
      mined: ({ height, hash }) => this.blocks.mined(number, height, hash),
      tip: ({ hash }) => this.blocks.tip(number, hash),
      heard: ({ hash, receivedFrom }) =>
        this.move({ event: 'heard', node: number, from: this.nameOf(receivedFrom), hash }),
      reorg: ({ from, to, fork }) =>
        this.tell({ event: 'reorg', node: number, from: tipOf(from), to: tipOf(to), fork: tipOf(fork) }),
      banned: ({ peerId, evidence }) =>
        this.tell({ event: 'ban', node: number, subject: this.nameOf(peerId), reason: evidence }),
      died: (how) => {
        if (!this.isStopping) this.tell({ event: 'died', node: number, how });
      },
    };
  }

  private settingsOf(number: number) {
    const { wire, httpPorts, p2pPorts } = this.options;
    const neighbours = this.nodes.filter((each) => isLinked(number, each.number, this.nodes.length));
    const peers = neighbours.map(({ number: other, folder }) => {
      // The one with the lower number dials; the other only must not refuse it.
      const address = number < other ? this.links.address(number, other) : nowhere(number, other);
      return `${address}/p2p/${folder.peerId}`;
    });
    return {
      ...{ number, wire, sharedKey: this.sharedKey },
      httpPort: httpPorts[number - 1] ?? 0,
      p2pPort: p2pPorts[number - 1] ?? 0,
      peers: [...peers, ...this.liarPlaces(number)],
    };
  }

  /**
   * Addresses at which nobody listens: without them the node would refuse the liars, which dial from there. They name a
   * peer that is connected anyway, so that nobody is dialled there.
   */
  private liarPlaces(number: number): readonly string[] {
    const named = this.nodes[number === 1 ? this.nodes.length - 1 : 0]?.folder.peerId;
    return Array.from({ length: MAX_LIARS }, (_, i) => `${nowhere(number, liarNumber(i + 1))}/p2p/${named}`);
  }

  /** Until the miner dies. */
  private mineInTurn(): void {
    const miner = this.node(MINER);
    if (miner.isReady) miner.mine(1);
  }

  private async setLinks(as: readonly number[], bs: readonly number[], state: LinkState): Promise<object> {
    for (const each of [...as, ...bs]) this.node(each);
    const both = as.find((each) => bs.includes(each));
    if (both !== undefined) throw new P2PError('INPUT_INVALID', `node ${both} is on both sides of the link`);
    const pairs = this.pairs().filter(
      ([a, b]) => (as.includes(a) && bs.includes(b)) || (as.includes(b) && bs.includes(a)),
    );
    if (pairs.length === 0) throw new P2PError('INPUT_INVALID', 'there is no link between these nodes');
    for (const [a, b] of pairs) {
      this.links.set(a, b, state);
      this.tell({ event: 'link', a, b, state });
    }
    // Left alone, the nodes would dial again within half a minute.
    if (state === 'restored') await this.connect(pairs);
    return { links: pairs.map(([a, b]) => ({ a, b, state })) };
  }

  /** Each node dials one after the other. Never rejects: a node that refuses now dials again by itself. */
  private async connect(pairs: readonly (readonly [number, number])[]): Promise<void> {
    const dial = async (a: NodeProcess) => {
      for (const [, b] of pairs.filter(([each]) => each === a.number)) {
        const address = `${this.links.address(a.number, b)}/p2p/${this.node(b).folder.peerId}`;
        await a.api('POST', '/api/v1/peers/connect', { address }).catch(() => {});
      }
    };
    await Promise.all(this.running().map(dial));
  }

  private async addLiar(): Promise<object> {
    return await this.liars.add(async (nth) => {
      const number = liarNumber(nth);
      for (const node of this.nodes) await this.links.open(number, node.number);
      return {
        wire: this.options.wire,
        sharedKey: this.sharedKey,
        peers: this.nodes.map((node) => `${this.links.address(number, node.number)}/p2p/${node.folder.peerId}`),
        dataHubUrl: `${this.node(MINER).http}/api/v1`,
      };
    });
  }

  private async ban(number: number, subject: string, state: BanOrder): Promise<object> {
    const node = this.node(number);
    const other = /^\d{1,2}$/.test(subject) ? this.node(Number(subject)) : undefined;
    const key = other?.folder.peerId ?? subject;
    if (key === node.folder.peerId) throw new P2PError('INPUT_INVALID', `node ${number} cannot ban itself`);
    if (state === 'banned') {
      await node.api('POST', '/api/v1/bans', { subject: key, reason: 'by the operator of the devnet' });
      this.tell({ event: 'ban', node: number, subject: this.nameOf(key), reason: 'on order' });
    } else {
      // A node may be banned by its peer ID and by its address.
      for (const each of other === undefined ? [key] : [key, seenIp(number, other.number)])
        await node.api('DELETE', `/api/v1/bans?subject=${encodeURIComponent(each)}`);
      this.tell({ event: 'unban', node: number, subject: this.nameOf(key) });
      await this.connect(this.pairsOf(number));
    }
    return { node: number, subject: key, state };
  }

  private async setNode(number: number, state: NodeOrder): Promise<object> {
    const node = this.node(number);
    if (!this.isStarted) throw new P2PError('NOT_DONE', 'the network is still starting');
    if (state === 'stopped' && node.isRunning) {
      await node.stop();
      this.tell({ event: 'node', node: number, state: 'stopped' });
    } else if (state === 'running' && !node.isRunning && !this.isStopping) {
      node.start(this.options.folderFate);
      this.tell({ event: 'node', node: number, state: 'started' });
    }
    return { node: number, state };
  }

  /** `node 2`, `liar 1`, or the text itself. Node `viewer` sees each of them at an address of its own. */
  private nameOf(subject: string, viewer?: number): string {
    const isIt = (number: number, peerId: string) =>
      subject === peerId || (viewer !== undefined && subject === seenIp(viewer, number));
    const node = this.nodes.find(({ number, folder }) => isIt(number, folder.peerId));
    if (node !== undefined) return `node ${node.number}`;
    const liar = this.liars.state().find((each) => isIt(liarNumber(each.liar), each.peerId));
    return liar === undefined ? subject : `liar ${liar.liar}`;
  }

  private node(number: number): NodeProcess {
    const node = this.nodes[number - 1];
    if (node === undefined)
      throw new P2PError('INPUT_INVALID', `there is no node ${number} (expected 1 to ${this.nodes.length})`);
    return node;
  }

  private running(): readonly NodeProcess[] {
    return this.nodes.filter(({ isRunning }) => isRunning);
  }

  private pairs(): readonly (readonly [number, number])[] {
    return linkedPairs(this.nodes.length);
  }

  private pairsOf(number: number): readonly (readonly [number, number])[] {
    return this.pairs().filter((pair) => pair.includes(number));
  }

  /** How many nodes are connected to all that they are linked to. */
  private async fullyConnected(): Promise<number> {
    const seen = await Promise.all(this.nodes.map((node) => this.seenBy(node)));
    return seen.filter(({ peers }, i) => peers !== null && peers.length >= this.pairsOf(i + 1).length).length;
  }

  private async seenBy(node: NodeProcess): Promise<Pick<NodeState, 'tip' | 'peers' | 'bans'>> {
    const unknown = { tip: null, peers: null, bans: null };
    if (!node.isReady) return unknown;
    try {
      const [tip, { peers }, { bans }] = (await Promise.all([
        node.api('GET', '/api/v1/bestblockheader/json'),
        node.api('GET', '/api/v1/peers'),
        node.api('GET', `/api/v1/bans?limit=${SHOWN_BANS}`),
      ])) as [Tip, { peers: readonly { id: string }[] }, { bans: readonly { key: string }[] }];
      return {
        tip: tipOf(tip),
        peers: peers.map(({ id }) => this.nameOf(id)),
        bans: [...new Set(bans.map(({ key }) => this.nameOf(key, node.number)))],
      };
    } catch {
      return unknown;
    }
  }
}

/** An address of the peer at which nobody listens. */
function nowhere(viewer: number, peer: number): string {
  return `/ip4/${seenIp(viewer, peer)}/tcp/1`;
}

/** Without what else a frame has. */
function tipOf({ height, hash }: Tip): Tip {
  return { height, hash };
}
