// All connected peers in a table that can be sorted.
import { network, peers, sync } from '../data/store.ts';
import type { Peer } from '../model/api-types.ts';
import { bytesText, countText, msText, NONE, percentText, shortId, shortVersion } from '../model/format.ts';
import { lagOf, lagText } from '../model/lag.ts';
import { PeerLink } from '../parts/facts.tsx';
import { type Column, Sortable } from '../parts/sortable.tsx';

const lag = ({ height }: Peer) => lagOf(height, network.value?.tip?.height);

/** What the last choice of the sync peer says of the peer. */
function syncText({ id }: Peer): string | undefined {
  if (sync.value?.syncPeer?.peerId === id) return 'sync peer';
  const compared = sync.value?.choice?.considered.find(({ peerId }) => peerId === id);
  return compared?.isChosen === true ? undefined : compared?.explanation;
}

const COLUMNS: readonly Column<Peer>[] = [
  {
    ...{ name: 'name', title: 'Name', isText: true, sortBy: ({ clientName, id }) => clientName ?? shortId(id) },
    show: ({ clientName, id }) => <PeerLink id={id} text={clientName ?? shortId(id)} />,
  },
  { name: 'direction', title: 'Direction', isText: true, sortBy: ({ direction }) => direction },
  {
    ...{ name: 'height', title: 'Claims', sortBy: ({ height }) => height },
    show: ({ height }) => countText(height),
  },
  {
    ...{ name: 'proven', title: 'Proven', sortBy: ({ provenHeight }) => provenHeight },
    show: ({ provenHeight }) => countText(provenHeight),
  },
  { name: 'lag', title: 'Lag', sortBy: lag, show: (peer) => (lag(peer) === undefined ? NONE : lagText(lag(peer))) },
  {
    ...{ name: 'version', title: 'Version', isText: true, sortBy: ({ agentVersion }) => agentVersion },
    show: ({ agentVersion = NONE }) => <span title={agentVersion}>{shortVersion(agentVersion)}</span>,
  },
  { name: 'storage', title: 'Storage', isText: true, sortBy: ({ storage }) => storage },
  { name: 'score', title: 'Ban score', sortBy: ({ banScore }) => Math.round(banScore * 10) / 10 },
  { name: 'ping', title: 'Latency', sortBy: ({ pingMs }) => pingMs, show: ({ pingMs }) => msText(pingMs) },
  {
    ...{ name: 'received', title: 'Received', sortBy: ({ bytesReceived }) => bytesReceived },
    show: ({ bytesReceived }) => bytesText(bytesReceived),
  },
  {
    ...{ name: 'sent', title: 'Sent', sortBy: ({ bytesSent }) => bytesSent },
    show: ({ bytesSent }) => bytesText(bytesSent),
  },
  {
    ...{ name: 'sync', title: 'Sync', isText: true, sortBy: syncText },
    show: (peer) =>
      sync.value?.syncPeer?.peerId === peer.id ? <span class="mark ok">sync peer</span> : (syncText(peer) ?? NONE),
  },
  {
    ...{ name: 'share', title: 'First deliveries', sortBy: ({ firstDeliveryShare }) => firstDeliveryShare },
    show: ({ firstDeliveryShare }) => percentText(firstDeliveryShare),
  },
];

export function Peers() {
  const count = peers.value.length;
  return (
    <>
      <h1 tabIndex={-1}>Peers</h1>
      <section class="panel">
        <p data-test="peer-count">
          {count === 1 ? 'One peer is connected.' : `${count} peers are connected.`} A height that is claimed is what
          the peer says; a height that is proven has a valid header. The column Sync says why a peer is the sync peer or
          was passed over when one was last chosen.
        </p>
        <Sortable
          caption="Connected peers"
          columns={COLUMNS}
          rows={peers.value}
          keyOf={({ id }) => id}
          first={{ column: 'name', isDescending: false }}
          empty="No peer is connected. The command line’s doctor says why: npm run -s cli -- doctor"
        />
      </section>
    </>
  );
}
