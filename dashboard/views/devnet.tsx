// The page of a development network: the graph, the switches, the nodes as a table, and the last events.
import { answers, lines, result, state, stream } from '../data/devnet.ts';
import type { DevnetState, NodeState } from '../model/api-types.ts';
import { branches, connectedText, nodeStateText } from '../model/devnet.ts';
import { countText, NONE, shortHash, timeText } from '../model/format.ts';
import { Connection } from '../parts/connection.tsx';
import { DevnetGraph } from '../parts/devnet-graph.tsx';
import { Switches } from '../parts/devnet-switches.tsx';
import { type Column, Sortable } from '../parts/sortable.tsx';
import { ThemeChoice } from '../parts/theme-choice.tsx';

const STATES = {
  connecting: 'Connecting to the devnet command',
  live: 'Live',
  lost: 'Connection to the devnet command lost. Trying again.',
};

export function Devnet() {
  const now = state.value;
  const isLost = stream.value === 'live' && !answers.value;
  return (
    <>
      <header class="top">
        <p class="name">
          <strong>teranode-p2p devnet</strong>{' '}
          {now !== undefined && (
            <span class="muted">
              {now.network}, {now.wire}
            </span>
          )}
        </p>
        <Connection state={isLost ? 'lost' : stream.value} texts={STATES} />
        <ThemeChoice />
      </header>
      <main id="main">
        <h1>Development network</h1>
        {now === undefined ? <p>The state of the network is not known yet.</p> : <Known now={now} />}
      </main>
    </>
  );
}

function Known({ now }: { readonly now: DevnetState }) {
  const { miner, mineEverySeconds } = now;
  return (
    <>
      <div class="devnet">
        <section class="panel" aria-labelledby="graph">
          <h2 id="graph">Nodes and links</h2>
          <p class="hint">
            A dot moves from the node that announced a block to the node that heard of it. Click on a link to cut or to
            restore it.{' '}
            {mineEverySeconds === 0
              ? 'Nobody mines but on order.'
              : `Node ${miner} mines a block every ${mineEverySeconds} s.`}
          </p>
          <DevnetGraph state={now} />
          <Legend />
        </section>
        <section class="panel" aria-labelledby="switches">
          <h2 id="switches">Switches</h2>
          <p role="status" aria-live="polite" data-test="result">
            {result.value}
          </p>
          <Switches state={now} />
        </section>
      </div>
      <section class="panel" aria-labelledby="nodes">
        <h2 id="nodes">Nodes</h2>
        <p data-test="branches">{branchText(branches(now))}</p>
        <Sortable
          caption="Each name links to the dashboard of the node"
          columns={columnsOf(now)}
          rows={now.nodes}
          keyOf={({ node }) => String(node)}
          first={{ column: 'node', isDescending: false }}
          empty="No nodes."
        />
      </section>
      <section class="panel" aria-labelledby="events">
        <h2 id="events">Events</h2>
        <Events />
      </section>
    </>
  );
}

function branchText(count: number): string {
  if (count === 0) return 'No node has a tip yet.';
  return count === 1 ? 'All nodes have the same tip.' : `The nodes have ${count} different tips.`;
}

function columnsOf(now: DevnetState): readonly Column<NodeState>[] {
  return [
    {
      ...{ name: 'node', title: 'Node', isText: true, sortBy: ({ node }) => node },
      show: ({ node, http, peerId }) => (
        <a href={`${http}/`} target="_blank" rel="noreferrer" title={peerId}>
          node {node}
        </a>
      ),
    },
    { name: 'state', title: 'State', isText: true, sortBy: nodeStateText },
    {
      ...{ name: 'height', title: 'Height', sortBy: ({ tip }) => tip?.height },
      show: ({ tip }) => countText(tip?.height),
    },
    {
      ...{ name: 'tip', title: 'Tip', isText: true, sortBy: ({ tip }) => tip?.hash },
      show: ({ tip }) => (
        <span class="mono" title={tip?.hash}>
          {tip === null ? NONE : shortHash(tip.hash)}
        </span>
      ),
    },
    {
      ...{ name: 'peers', title: 'Connected', sortBy: ({ peers }) => peers?.length },
      show: (node) => <span title={node.peers?.join(', ')}>{connectedText(node, now)}</span>,
    },
    {
      ...{ name: 'slow', title: 'Delay', sortBy: ({ slowMs }) => slowMs },
      show: ({ slowMs }) => (slowMs === 0 ? NONE : `${slowMs} ms`),
    },
    {
      ...{ name: 'bans', title: 'Bans', isText: true, sortBy: ({ bans }) => bans?.join() },
      show: ({ bans }) => (bans === null || bans.length === 0 ? NONE : bans.join(', ')),
    },
  ];
}

const LEGEND = [
  ['accent', 'node that mines'],
  ['peer', 'node'],
  ['line', 'node that does not run'],
  ['block', 'block'],
  ['warn', 'link without a connection (dashed)'],
  ['bad', 'link that is cut (dashed), liar'],
] as const;

function Legend() {
  return (
    <ul class="legend">
      {LEGEND.map(([colour, text]) => (
        <li key={colour}>
          <span class={`swatch ${colour}`} aria-hidden="true" />
          {text}
        </li>
      ))}
    </ul>
  );
}

function Events() {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reached with the keyboard
    <section class="scroll events" tabIndex={0} aria-label="Events of the network, latest first">
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Event</th>
            <th scope="col">What happened</th>
          </tr>
        </thead>
        <tbody>
          {lines.value.map(({ atMs, event, text }) => (
            <tr key={`${atMs} ${text}`} data-event={event}>
              <th scope="row">{timeText(atMs)}</th>
              <td>
                <span class={`tag ${event}`}>{event}</span>
              </td>
              <td class="wrap">{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
