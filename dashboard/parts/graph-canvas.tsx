// This node, its peers and the authors behind them as a graph; dots move along the links as announcements pass.
import { useEffect, useRef } from 'preact/hooks';
import { onPulse } from '../data/store.ts';
import { isDark } from '../data/theme.ts';
import { type GraphNode, linksOf, type Pulse, SELF } from '../model/graph.ts';
import { Drawing, type DrawnLink, type DrawnNode, type DrawnPulse } from './graph-drawing.ts';

const RADIUS = { self: 13, peer: 8, author: 5 } as const;
const COLOURS = { self: 'accent', peer: 'peer', author: 'author' } as const;
const PULSES = ['block', 'subtree', 'rejected_tx'];

export function GraphCanvas({ nodes }: { readonly nodes: readonly GraphNode[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<Drawing | undefined>(undefined);
  const shown = useRef(nodes);
  shown.current = nodes;
  useEffect(() => {
    if (canvas.current === null) return;
    const isPeer = (id: string) => shown.current.some((each) => each.id === id && each.kind === 'peer');
    const open = (id: string) => {
      if (isPeer(id)) location.hash = `#/peers/${id}`;
    };
    const made = new Drawing(canvas.current, { charge: -420, onNode: open });
    drawing.current = made;
    const unsubscribe = onPulse((pulse) => made.pulse(drawnPulses(pulse, shown.current)));
    return () => {
      unsubscribe();
      made.stop();
    };
  }, []);
  useEffect(() => drawing.current?.setGraph(nodes.map(drawnNode), drawnLinks(nodes)), [nodes]);
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

function drawnNode({ id, kind, label, behind }: GraphNode): DrawnNode {
  return { id, label, radius: RADIUS[kind], colour: COLOURS[kind], isCentre: kind === 'self', near: behind ?? SELF };
}

function drawnLinks(nodes: readonly GraphNode[]): DrawnLink[] {
  return linksOf(nodes).map(({ source, target }) => {
    const isDirect = target === SELF;
    return { source, target, colour: 'link', isDashed: !isDirect, length: isDirect ? 120 : 60 };
  });
}

/** Our own announcements go to every peer. */
function drawnPulses({ type, path }: Pulse, nodes: readonly GraphNode[]): DrawnPulse[] {
  const peers = nodes.filter(({ kind }) => kind === 'peer');
  const paths = path.length > 1 ? [path] : peers.map(({ id }) => [SELF, id]);
  const colour = PULSES.includes(type) ? type : 'node_status';
  return paths.map((each) => ({ path: each, colour, radius: type === 'block' ? 6 : 4 }));
}
