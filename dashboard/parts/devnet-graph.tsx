// All nodes of a development network as a graph; dots move along the links as blocks travel.
import { useEffect, useRef } from 'preact/hooks';
import { onMovement, order } from '../data/devnet.ts';
import { isDark } from '../data/theme.ts';
import type { DevnetState } from '../model/api-types.ts';
import { devnetGraph, nodeNumber, Travels } from '../model/devnet.ts';
import { Drawing, type DrawnLink, HOP_MS } from './graph-drawing.ts';

const COLOURS = { miner: 'accent', node: 'peer', absent: 'line', liar: 'bad' } as const;
const LINK_COLOURS = { up: 'link', down: 'warn', cut: 'bad', liar: 'bad' } as const;
const LENGTH = 170;

export function DevnetGraph({ state }: { readonly state: DevnetState }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawing = useRef<Drawing | undefined>(undefined);
  const shown = useRef(state);
  shown.current = state;
  useEffect(() => {
    if (canvas.current === null) return;
    const made = new Drawing(canvas.current, { charge: -900, onLink: (link) => turn(link, shown.current) });
    drawing.current = made;
    const travels = new Travels(HOP_MS);
    const unsubscribe = onMovement((movement) =>
      made.pulse([{ ...travels.heard(movement, performance.now()), colour: 'block', radius: 6 }]),
    );
    return () => {
      unsubscribe();
      made.stop();
    };
  }, []);
  useEffect(() => {
    const { nodes, links } = devnetGraph(state);
    drawing.current?.setGraph(
      nodes.map(({ id, kind, label }) => ({ id, label, radius: kind === 'miner' ? 13 : 10, colour: COLOURS[kind] })),
      links.map(({ source, target, kind }) => ({
        ...{ source, target, colour: LINK_COLOURS[kind], isDashed: kind === 'down' || kind === 'cut' },
        // A part that is cut off drifts away.
        length: kind === 'cut' ? undefined : LENGTH,
      })),
    );
  }, [state]);
  useEffect(() => drawing.current?.draw(), [isDark.value]);
  const cut = state.links.filter((link) => link.state === 'cut').length;
  return (
    <canvas
      ref={canvas}
      class="graph"
      role="img"
      aria-label={`Graph of ${state.nodes.length} nodes with ${state.links.length} links, of which ${cut} are cut. The table and the switches below have the same.`}
    />
  );
}

/** Cuts a link, or restores it. */
function turn({ source, target }: DrawnLink, { links }: DevnetState): void {
  const [a, b] = [nodeNumber(source), nodeNumber(target)];
  const link = links.find((each) => each.a === a && each.b === b);
  if (link === undefined) return;
  const next = link.state === 'cut' ? 'restored' : 'cut';
  void order(`The link between nodes ${a} and ${b} is ${next}.`, [`links/${a}/${b}`, { state: next }]);
}
