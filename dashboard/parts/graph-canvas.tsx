// The graph on a canvas: d3-force places the nodes, and dots move along the links as announcements pass. It draws only
// while something moves.
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from 'd3-force';
import { useEffect, useRef } from 'preact/hooks';
import { onPulse } from '../data/store.ts';
import { colour, isDark } from '../data/theme.ts';
import { type GraphNode, linksOf, type Pulse, SELF } from '../model/graph.ts';

const HOP_MS = 450;
/** More at once are not seen as single dots. */
const MAX_PULSES = 80;
const MAX_LABELS = 60;
const HEIGHT = 440;
const RADIUS = { self: 13, peer: 8, author: 5 } as const;

interface Placed extends SimulationNodeDatum {
  readonly id: string;
  node: GraphNode;
}

interface Moving extends Pulse {
  readonly sinceMs: number;
}

export function GraphCanvas({ nodes }: { readonly nodes: readonly GraphNode[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<Drawing | undefined>(undefined);
  useEffect(() => {
    if (canvas.current === null) return;
    const made = new Drawing(canvas.current);
    drawing.current = made;
    return () => made.stop();
  }, []);
  useEffect(() => drawing.current?.setNodes(nodes), [nodes]);
  useEffect(() => drawing.current?.draw(), [isDark.value]);
  const peers = nodes.filter(({ kind }) => kind === 'peer').length;
  return (
    <canvas
      ref={canvas}
      class="graph"
      role="img"
      aria-label={`Graph of this node with ${peers} peers and ${nodes.length - 1 - peers} authors behind them. The table below has the same.`}
    />
  );
}

class Drawing {
  private readonly canvas: HTMLCanvasElement;
  private readonly placed = new Map<string, Placed>();
  private readonly simulation = forceSimulation<Placed>().stop();
  private readonly isStill = matchMedia('(prefers-reduced-motion: reduce)').matches;
  private readonly resized: ResizeObserver;
  private readonly unsubscribe: () => void;
  private links: { source: string; target: string }[] = [];
  private pulses: Moving[] = [];
  private passed = 0;
  private width = 0;
  private frame: number | undefined;

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
    this.simulation.force('charge', forceManyBody<Placed>().strength(-420));
    this.simulation.force('x', forceX<Placed>(0).strength(0.05));
    this.simulation.force('y', forceY<Placed>(0).strength(0.11));
    this.simulation.force('collide', forceCollide<Placed>(20));
    this.unsubscribe = onPulse((pulse) => this.pulse(pulse));
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(canvas);
    this.canvas.addEventListener('click', (event) => this.open(event));
    this.canvas.dataset.pulses = '0';
  }

  stop(): void {
    this.unsubscribe();
    this.resized.disconnect();
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
  }

  setNodes(nodes: readonly GraphNode[]): void {
    const ids = new Set(nodes.map(({ id }) => id));
    let isChanged = false;
    for (const id of this.placed.keys()) if (!ids.has(id)) isChanged = this.placed.delete(id) || isChanged;
    for (const node of nodes) {
      const known = this.placed.get(node.id);
      if (known === undefined) this.placed.set(node.id, this.place(node));
      else known.node = node;
      isChanged ||= known === undefined;
    }
    const links = linksOf(nodes);
    const isSame =
      links.length === this.links.length && links.every((link, i) => link.target === this.links[i]?.target);
    if (!isChanged && isSame) return;
    this.links = [...links];
    this.simulation.nodes([...this.placed.values()]);
    const forces = links.map((link) => ({ ...link }));
    this.simulation.force(
      'link',
      forceLink<Placed, (typeof forces)[number] & { index?: number }>(forces)
        .id(({ id }) => id)
        .distance(({ target }) => ((target as unknown as Placed).id === SELF ? 120 : 60)),
    );
    this.simulation.alpha(0.8);
    if (this.isStill) this.simulation.tick(200);
    this.draw();
  }

  /** Asks for a frame. */
  draw(): void {
    this.frame ??= requestAnimationFrame((nowMs) => this.render(nowMs));
  }

  private place(node: GraphNode): Placed {
    const near = this.placed.get(node.behind ?? SELF);
    const angle = Math.random() * 2 * Math.PI;
    const [x, y] = [(near?.x ?? 0) + 60 * Math.cos(angle), (near?.y ?? 0) + 60 * Math.sin(angle)];
    return node.id === SELF ? { id: SELF, node, x: 0, y: 0, fx: 0, fy: 0 } : { id: node.id, node, x, y };
  }

  private pulse(pulse: Pulse): void {
    this.passed += 1;
    this.canvas.dataset.pulses = String(this.passed);
    if (this.isStill || document.hidden || this.pulses.length >= MAX_PULSES) return;
    // Our own announcements go to every peer.
    const paths = pulse.path.length > 1 ? [pulse.path] : this.peerIds().map((id) => [SELF, id]);
    for (const path of paths.slice(0, MAX_PULSES - this.pulses.length))
      this.pulses.push({ type: pulse.type, path, sinceMs: performance.now() });
    this.draw();
  }

  private peerIds(): string[] {
    return [...this.placed.values()].filter(({ node }) => node.kind === 'peer').map(({ id }) => id);
  }

  private resize(): void {
    const { canvas } = this;
    this.width = canvas.clientWidth;
    canvas.width = Math.round(this.width * devicePixelRatio);
    canvas.height = Math.round(HEIGHT * devicePixelRatio);
    this.draw();
  }

  private render(nowMs: number): void {
    this.frame = undefined;
    const context = this.canvas.getContext('2d');
    if (context === null || this.width === 0) return;
    if (this.simulation.alpha() > 0.01) this.simulation.tick();
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.width, HEIGHT);
    this.drawLinks(context);
    this.drawPulses(context, nowMs);
    this.drawNodes(context);
    if (this.simulation.alpha() > 0.01 || this.pulses.length > 0) this.draw();
  }

  private at({ x = 0, y = 0 }: Placed): [number, number] {
    const inside = (value: number, size: number) => Math.max(14, Math.min(size - 14, value + size / 2));
    return [inside(x, this.width), inside(y, HEIGHT)];
  }

  private drawLinks(context: CanvasRenderingContext2D): void {
    context.strokeStyle = colour('link');
    context.lineWidth = 1.2;
    for (const { source, target } of this.links) {
      const [from, to] = [this.placed.get(source), this.placed.get(target)];
      if (from === undefined || to === undefined) continue;
      context.setLineDash(from.node.kind === 'author' ? [4, 4] : []);
      context.beginPath();
      context.moveTo(...this.at(from));
      context.lineTo(...this.at(to));
      context.stroke();
    }
    context.setLineDash([]);
  }

  private drawNodes(context: CanvasRenderingContext2D): void {
    context.font = '12px system-ui, sans-serif';
    context.textAlign = 'center';
    const hasLabels = this.placed.size <= MAX_LABELS;
    for (const placed of this.placed.values()) {
      const { kind, label } = placed.node;
      const [x, y] = this.at(placed);
      context.fillStyle = colour(kind === 'self' ? 'accent' : kind === 'peer' ? 'peer' : 'author');
      context.beginPath();
      context.arc(x, y, RADIUS[kind], 0, 2 * Math.PI);
      context.fill();
      if (!hasLabels && kind !== 'self') continue;
      context.fillStyle = colour('text');
      context.fillText(label.slice(0, 24), x, y + RADIUS[kind] + 14);
    }
  }

  private drawPulses(context: CanvasRenderingContext2D, nowMs: number): void {
    this.pulses = this.pulses.filter(({ path, sinceMs }) => nowMs - sinceMs < HOP_MS * (path.length - 1));
    for (const { type, path, sinceMs } of this.pulses) {
      const hops = Math.max(0, (nowMs - sinceMs) / HOP_MS);
      const [from, to] = [path[Math.floor(hops)], path[Math.floor(hops) + 1]].map((id) => this.placed.get(id ?? ''));
      if (from === undefined || to === undefined) continue;
      const [[x, y], [endX, endY]] = [this.at(from), this.at(to)];
      const part = hops % 1;
      context.fillStyle = colour(
        type === 'block' || type === 'subtree' || type === 'rejected_tx' ? type : 'node_status',
      );
      context.beginPath();
      context.arc(x + (endX - x) * part, y + (endY - y) * part, type === 'block' ? 6 : 4, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** For the mouse; the table has links. */
  private open({ offsetX, offsetY }: MouseEvent): void {
    for (const placed of this.placed.values()) {
      const [x, y] = this.at(placed);
      if (placed.node.kind === 'peer' && Math.hypot(x - offsetX, y - offsetY) < 14)
        location.hash = `#/peers/${placed.id}`;
    }
  }
}
