// A graph on a canvas: d3-force places the nodes, and dots move along the links. It draws only while something moves.
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from 'd3-force';
import { colour } from '../data/theme.ts';
import { nearestLink } from '../model/nearest-link.ts';

export interface DrawnNode {
  readonly id: string;
  readonly label: string;
  readonly radius: number;
  /** Name of a colour of the style sheet. */
  readonly colour: string;
  /** In the middle, and it stays there. */
  readonly isCentre?: boolean;
  /** Where it appears: at another node, by default in the middle. */
  readonly near?: string | undefined;
}

export interface DrawnLink {
  readonly source: string;
  readonly target: string;
  readonly colour: string;
  readonly isDashed: boolean;
  /** Undefined: it holds nothing together. */
  readonly length: number | undefined;
}

export interface DrawnPulse {
  readonly path: readonly string[];
  readonly colour: string;
  readonly radius: number;
  /** Default: now. */
  readonly sinceMs?: number;
}

export interface DrawingOptions {
  readonly charge: number;
  /** For the mouse; what it does must be possible without. */
  readonly onNode?: (id: string) => void;
  readonly onLink?: (link: DrawnLink) => void;
}

export const HOP_MS = 450;
/** More at once are not seen as single dots. */
const MAX_PULSES = 80;
const MAX_LABELS = 60;
const HEIGHT = 440;
const NEAR_PIXELS = 14;

interface Placed extends SimulationNodeDatum {
  readonly id: string;
  node: DrawnNode;
}

export class Drawing {
  private readonly canvas: HTMLCanvasElement;
  private readonly options: DrawingOptions;
  private readonly placed = new Map<string, Placed>();
  private readonly simulation = forceSimulation<Placed>().stop();
  private readonly isStill = matchMedia('(prefers-reduced-motion: reduce)').matches;
  private readonly resized: ResizeObserver;
  private links: readonly DrawnLink[] = [];
  private pulses: Required<DrawnPulse>[] = [];
  private passed = 0;
  private width = 0;
  private frame: number | undefined;

  constructor(canvas: HTMLCanvasElement, options: DrawingOptions) {
    this.canvas = canvas;
    this.options = options;
    this.simulation.force('charge', forceManyBody<Placed>().strength(options.charge));
    this.simulation.force('x', forceX<Placed>(0).strength(0.05));
    this.simulation.force('y', forceY<Placed>(0).strength(0.11));
    this.simulation.force('collide', forceCollide<Placed>(20));
    this.resized = new ResizeObserver(() => this.resize());
    this.resized.observe(canvas);
    canvas.addEventListener('click', (event) => this.clicked(event));
    canvas.addEventListener('mousemove', (event) => {
      canvas.style.cursor = this.under(event) === undefined ? 'default' : 'pointer';
    });
    canvas.dataset.pulses = '0';
  }

  stop(): void {
    this.resized.disconnect();
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
  }

  setGraph(nodes: readonly DrawnNode[], links: readonly DrawnLink[]): void {
    const ids = new Set(nodes.map(({ id }) => id));
    let isChanged = false;
    for (const id of this.placed.keys()) if (!ids.has(id)) isChanged = this.placed.delete(id) || isChanged;
    for (const node of nodes) {
      const known = this.placed.get(node.id);
      if (known === undefined) this.placed.set(node.id, this.place(node));
      else known.node = node;
      isChanged ||= known === undefined;
    }
    isChanged ||= shapeOf(links) !== shapeOf(this.links);
    this.links = links.filter(({ source, target }) => ids.has(source) && ids.has(target));
    if (isChanged) {
      this.simulation.nodes([...this.placed.values()]);
      const forces = this.links.filter(({ length }) => length !== undefined).map((link) => ({ ...link }));
      const force = forceLink<Placed, (typeof forces)[number] & { index?: number }>(forces).id(({ id }) => id);
      this.simulation.force(
        'link',
        force.distance(({ length }) => length ?? 0),
      );
      this.simulation.alpha(0.8);
      if (this.isStill) this.simulation.tick(200);
    }
    this.draw();
  }

  /** Counts one announcement, and draws its ways. */
  pulse(pulses: readonly DrawnPulse[]): void {
    this.passed += 1;
    this.canvas.dataset.pulses = String(this.passed);
    if (this.isStill || document.hidden) return;
    const sinceMs = performance.now();
    for (const pulse of pulses.slice(0, Math.max(0, MAX_PULSES - this.pulses.length)))
      this.pulses.push({ sinceMs, ...pulse });
    this.draw();
  }

  /** Asks for a frame. */
  draw(): void {
    this.frame ??= requestAnimationFrame((nowMs) => this.render(nowMs));
  }

  private place(node: DrawnNode): Placed {
    const near = this.placed.get(node.near ?? '');
    const angle = Math.random() * 2 * Math.PI;
    const [x, y] = [(near?.x ?? 0) + 60 * Math.cos(angle), (near?.y ?? 0) + 60 * Math.sin(angle)];
    return node.isCentre ? { id: node.id, node, x: 0, y: 0, fx: 0, fy: 0 } : { id: node.id, node, x, y };
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

  private at(id: string | undefined): [number, number] | undefined {
    const placed = this.placed.get(id ?? '');
    if (placed === undefined) return undefined;
    const { x = 0, y = 0 } = placed;
    // With room for half of a label at the sides, and for all of it below.
    const inside = (value: number, size: number, margin: number) =>
      Math.max(margin, Math.min(size - margin, value + size / 2));
    return [inside(x, this.width, 44), inside(y, HEIGHT, 28)];
  }

  private drawLinks(context: CanvasRenderingContext2D): void {
    context.lineWidth = 1.2;
    for (const { source, target, colour: name, isDashed } of this.links) {
      const [from, to] = [this.at(source), this.at(target)];
      if (from === undefined || to === undefined) continue;
      context.strokeStyle = colour(name);
      context.setLineDash(isDashed ? [4, 4] : []);
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    }
    context.setLineDash([]);
  }

  private drawNodes(context: CanvasRenderingContext2D): void {
    context.font = '12px system-ui, sans-serif';
    context.textAlign = 'center';
    const hasLabels = this.placed.size <= MAX_LABELS;
    for (const { id, node } of this.placed.values()) {
      const [x, y] = this.at(id) ?? [0, 0];
      context.fillStyle = colour(node.colour);
      context.beginPath();
      context.arc(x, y, node.radius, 0, 2 * Math.PI);
      context.fill();
      if (!hasLabels && node.isCentre !== true) continue;
      context.fillStyle = colour('text');
      context.fillText(node.label.slice(0, 24), x, y + node.radius + 14);
    }
  }

  private drawPulses(context: CanvasRenderingContext2D, nowMs: number): void {
    this.pulses = this.pulses.filter(({ path, sinceMs }) => nowMs - sinceMs < HOP_MS * (path.length - 1));
    for (const { colour: name, radius, path, sinceMs } of this.pulses) {
      if (nowMs < sinceMs) continue;
      const hops = (nowMs - sinceMs) / HOP_MS;
      const [from, to] = [this.at(path[Math.floor(hops)]), this.at(path[Math.floor(hops) + 1])];
      if (from === undefined || to === undefined) continue;
      const part = hops % 1;
      context.fillStyle = colour(name);
      context.beginPath();
      context.arc(from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }

  private clicked(event: MouseEvent): void {
    this.under(event)?.();
  }

  /** What a click there does. */
  private under({ offsetX, offsetY }: MouseEvent): (() => void) | undefined {
    const { onNode, onLink } = this.options;
    for (const id of this.placed.keys()) {
      const [x, y] = this.at(id) ?? [0, 0];
      if (Math.hypot(x - offsetX, y - offsetY) < NEAR_PIXELS) return onNode && (() => onNode(id));
    }
    const link = onLink && nearestLink(this.links, (id) => this.at(id), [offsetX, offsetY]);
    return link && (() => onLink?.(link));
  }
}

function shapeOf(links: readonly DrawnLink[]): string {
  return links.map(({ source, target, length }) => `${source}>${target}:${length ?? ''}`).join();
}
