// A development network as its page shows it: the graph, how blocks travel in it, and texts.
import type { DevnetMovement, DevnetState, NodeState } from './api-types.ts';
import { countText, NONE } from './format.ts';

export type DevnetNodeKind = 'miner' | 'node' | 'absent' | 'liar';

export interface DevnetGraphNode {
  readonly id: string;
  readonly kind: DevnetNodeKind;
  readonly label: string;
}

/** `down`: the link is there, but the two are not connected: one does not run, or bans the other. */
export type DevnetLinkKind = 'up' | 'down' | 'cut' | 'liar';

export interface DevnetGraphLink {
  readonly source: string;
  readonly target: string;
  readonly kind: DevnetLinkKind;
}

export function nodeName(node: number): string {
  return `node ${node}`;
}

/** Undefined for other names. */
export function nodeNumber(name: string): number | undefined {
  const [, digits] = /^node (\d+)$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

export function devnetGraph({ nodes, links, liars, miner }: DevnetState): {
  readonly nodes: DevnetGraphNode[];
  readonly links: DevnetGraphLink[];
} {
  const running = liars.filter(({ isRunning }) => isRunning).map(({ liar }) => `liar ${liar}`);
  const isConnected = (a: number, b: number) =>
    nodes.some(({ node, peers }) => node === a && peers?.includes(nodeName(b))) &&
    nodes.some(({ node, peers }) => node === b && peers?.includes(nodeName(a)));
  return {
    nodes: [
      ...nodes.map(({ node, tip, isReady, slowMs }): DevnetGraphNode => {
        const texts = [nodeName(node), tip && countText(tip.height), slowMs > 0 && `+${slowMs} ms`];
        const kind = !isReady ? 'absent' : node === miner ? 'miner' : 'node';
        return { id: nodeName(node), kind, label: texts.filter(Boolean).join(' · ') };
      }),
      ...running.map((id): DevnetGraphNode => ({ id, kind: 'liar', label: id })),
    ],
    links: [
      ...links.map(({ a, b, state }): DevnetGraphLink => {
        const kind = state === 'cut' ? 'cut' : isConnected(a, b) ? 'up' : 'down';
        return { source: nodeName(a), target: nodeName(b), kind };
      }),
      ...nodes.flatMap(({ node, peers }) =>
        running
          .filter((liar) => peers?.includes(liar))
          .map((liar): DevnetGraphLink => ({ source: liar, target: nodeName(node), kind: 'liar' })),
      ),
    ],
  };
}

export function nodeStateText({ isRunning, isReady, tip }: NodeState): string {
  if (!isRunning) return 'ended';
  if (!isReady) return 'starting';
  return tip === null ? 'does not answer' : 'running';
}

/** `3 of 4`: to how many it is linked, cut links too, and with how many of these it is connected. */
export function connectedText({ node, peers }: NodeState, { links }: DevnetState): string {
  const linked = links.filter(({ a, b }) => a === node || b === node).map(({ a, b }) => nodeName(a === node ? b : a));
  return peers === null ? NONE : `${linked.filter((name) => peers.includes(name)).length} of ${linked.length}`;
}

/** How many different tips running nodes have: more than one while a block travels, and while there are branches. */
export function branches({ nodes }: DevnetState): number {
  return new Set(nodes.flatMap(({ tip }) => (tip === null ? [] : [tip.hash]))).size;
}

export interface LinkChange {
  readonly a: number;
  readonly bs: readonly number[];
}

/** The links that are cut, by one of their ends. */
export function cutLinks({ links }: DevnetState): LinkChange[] {
  const cut = links.filter(({ state }) => state === 'cut');
  return [...new Set(cut.map(({ a }) => a))].map((a) => ({
    a,
    bs: cut.filter((link) => link.a === a).map(({ b }) => b),
  }));
}

/** Blocks whose ways are remembered. */
const MAX_BLOCKS = 50;

/**
 * When to draw each hop of a block. In truth a hop takes some milliseconds; drawn, it takes `hopMs`, and who hands a
 * block on does so when it has arrived.
 */
export class Travels {
  private readonly hopMs: number;
  /** Hash -> node -> when the block arrives there. */
  private readonly arrivals = new Map<string, Map<string, number>>();

  constructor(hopMs: number) {
    this.hopMs = hopMs;
  }

  heard({ node, from, hash }: DevnetMovement, nowMs: number): { path: [string, string]; sinceMs: number } {
    const known = this.arrivals.get(hash) ?? new Map<string, number>();
    this.arrivals.set(hash, known);
    const sinceMs = Math.max(nowMs, known.get(from) ?? nowMs);
    known.set(nodeName(node), sinceMs + this.hopMs);
    const [oldest] = this.arrivals.keys();
    if (this.arrivals.size > MAX_BLOCKS && oldest !== undefined) this.arrivals.delete(oldest);
    return { path: [from, nodeName(node)], sinceMs };
  }
}
