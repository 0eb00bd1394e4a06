// The graph of this node and its peers, and the same as a table; who delivers first; versions and heights.
import { useMemo } from 'preact/hooks';
import { feedVersion, graph, network, nowMs, peerName, peers, selfName } from '../data/store.ts';
import { agoText, countText, msText, NONE, percentText } from '../model/format.ts';
import type { GraphNode } from '../model/graph.ts';
import { copiesText, headerAgeText, type SpreadRow, spreadName } from '../model/spread.ts';
import { PeerLink } from '../parts/facts.tsx';
import { GraphCanvas } from '../parts/graph-canvas.tsx';
import { type Column, Sortable } from '../parts/sortable.tsx';

const KINDS = { self: 'this node', peer: 'peer', author: 'author behind a peer' } as const;

const COLUMNS: readonly Column<GraphNode>[] = [
  {
    ...{ name: 'label', title: 'Name', isText: true, sortBy: ({ label }) => label },
    show: ({ id, kind, label }) =>
      kind === 'peer' ? <PeerLink id={id} text={label} /> : <span title={id}>{label}</span>,
  },
  { name: 'kind', title: 'Is', isText: true, sortBy: ({ kind }) => KINDS[kind] },
  {
    ...{ name: 'behind', title: 'Reached through', isText: true, sortBy: ({ behind }) => behind },
    show: ({ behind }) => (behind === undefined ? NONE : <PeerLink id={behind} text={peerName(behind)} />),
  },
  {
    ...{ name: 'last', title: 'Last announcement', isText: true, sortBy: ({ lastText }) => lastText },
    show: ({ lastText }) => lastText ?? NONE,
  },
  {
    ...{ name: 'at', title: 'When', sortBy: ({ lastAtMs }) => lastAtMs },
    show: ({ lastAtMs }) => agoText(lastAtMs, nowMs.value),
  },
];

export function Network() {
  const nodes = useMemo(() => graph.nodes(selfName.value), [feedVersion.value, peers.value, selfName.value]);
  return (
    <>
      <h1 tabIndex={-1}>Network</h1>
      <section class="panel" aria-labelledby="graph">
        <h2 id="graph">This node and its peers</h2>
        <p class="hint">
          A dot moves from the author over the peer that brought an announcement to this node. Authors that are not
          connected stand behind that peer.
        </p>
        <GraphCanvas nodes={nodes} />
        <ul class="legend">
          <li>
            <span class="swatch block" aria-hidden="true" />
            block
          </li>
          <li>
            <span class="swatch subtree" aria-hidden="true" />
            subtree
          </li>
          <li>
            <span class="swatch rejected_tx" aria-hidden="true" />
            rejected transaction
          </li>
          <li>
            <span class="swatch node_status" aria-hidden="true" />
            other
          </li>
        </ul>
      </section>
      <section class="panel">
        <h2>The graph as a table</h2>
        <Sortable
          caption="Nodes of the graph"
          columns={COLUMNS}
          rows={nodes}
          keyOf={({ id }) => id}
          first={{ column: '', isDescending: false }}
          empty="No nodes."
        />
      </section>
      <League />
      <Propagation />
      <Spread />
    </>
  );
}

type Neighbour = NonNullable<typeof network.value>['league'][number];

const LEAGUE: readonly Column<Neighbour>[] = [
  {
    ...{ name: 'peer', title: 'Neighbour', isText: true, sortBy: ({ peerId }) => peerName(peerId) },
    show: ({ peerId }) => <PeerLink id={peerId} text={peerName(peerId)} />,
  },
  {
    ...{ name: 'share', title: 'Share of first deliveries', sortBy: (row) => row.firstDeliveryShare },
    show: (row) => percentText(row.firstDeliveryShare),
  },
  { name: 'first', title: 'First', sortBy: (row) => Math.round(row.firstDeliveries) },
  { name: 'later', title: 'Later', sortBy: (row) => Math.round(row.laterDeliveries) },
  {
    ...{ name: 'delay', title: 'Mean delay', sortBy: ({ meanDelayMs }) => meanDelayMs },
    show: ({ meanDelayMs }) => msText(meanDelayMs),
  },
];

function League() {
  return (
    <section class="panel">
      <h2>Who delivers first</h2>
      <Sortable
        caption="First deliveries of blocks and subtrees by neighbour"
        columns={LEAGUE}
        rows={network.value?.league ?? []}
        keyOf={({ peerId }) => peerId}
        first={{ column: 'share', isDescending: true }}
        empty="No neighbour has delivered a block or subtree of another author yet."
      />
    </section>
  );
}

const SPREAD: readonly Column<SpreadRow>[] = [
  {
    ...{ name: 'what', title: 'Announcement', isText: true, sortBy: spreadName },
    show: (row) => <span title={row.hash}>{spreadName(row)}</span>,
  },
  { name: 'when', title: 'When', sortBy: ({ atMs }) => atMs, show: ({ atMs }) => agoText(atMs, nowMs.value) },
  {
    ...{ name: 'age', title: 'Age by its header', sortBy: ({ headerAgeMs }) => headerAgeMs },
    show: ({ headerAgeMs }) => headerAgeText(headerAgeMs),
  },
  {
    ...{ name: 'author', title: 'Author', isText: true, sortBy: ({ author }) => peerName(author) },
    show: ({ author }) => <PeerLink id={author} text={peerName(author)} />,
  },
  {
    ...{ name: 'first', title: 'Delivered first by', isText: true, sortBy: ({ deliveredBy }) => peerName(deliveredBy) },
    show: ({ deliveredBy }) => <PeerLink id={deliveredBy} text={peerName(deliveredBy)} />,
  },
  {
    ...{ name: 'copies', title: 'Later copies', isText: true, sortBy: ({ copyCount }) => copyCount },
    show: (row) => copiesText(row, peerName),
  },
];

function Propagation() {
  return (
    <section class="panel" data-test="propagation">
      <h2>How blocks and subtrees arrive</h2>
      <p class="hint">
        Messages carry no time. What is known: how much later other neighbours delivered the same message than the first
        one, and how old a block was by its header, which has whole seconds of the miner’s clock.
      </p>
      <Sortable
        caption="Latest first announcements"
        columns={SPREAD}
        rows={network.value?.spread.recent ?? []}
        keyOf={({ hash }) => hash}
        first={{ column: 'when', isDescending: true }}
        empty="No block or subtree was announced yet."
      />
    </section>
  );
}

function Spread() {
  const { versions = [], heights = [] } = network.value ?? {};
  return (
    <div class="cards">
      <section class="panel" aria-labelledby="versions">
        <h2 id="versions">Versions</h2>
        <Counts rows={versions.map(({ version, peers: count }) => [version || 'unknown', count])} name="Version" />
      </section>
      <section class="panel" aria-labelledby="heights">
        <h2 id="heights">Claimed heights</h2>
        <Counts
          rows={heights.slice(0, 12).map(({ height, peers: count }) => [countText(height), count])}
          name="Height"
        />
      </section>
    </div>
  );
}

function Counts({ rows, name }: { readonly rows: readonly (readonly [string, number])[]; readonly name: string }) {
  if (rows.length === 0) return <p>None known yet.</p>;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{name}</th>
          <th scope="col" class="number">
            Peers
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([text, count]) => (
          <tr key={text}>
            <th scope="row" class="wrap">
              {text}
            </th>
            <td class="number">{count}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
