// One row of the feed. A row never changes, so it is rendered once.
import { Component } from 'preact';
import { peerName } from '../data/store.ts';
import type { FeedEvent } from '../model/api-types.ts';
import type { FeedRow } from '../model/feed-window.ts';
import { countText, NONE, shortHash, timeText } from '../model/format.ts';
import { PeerLink } from './facts.tsx';

const MAX_DETAIL_CHARS = 120;

export class FeedLine extends Component<{ readonly row: FeedRow }> {
  override shouldComponentUpdate(next: { readonly row: FeedRow }): boolean {
    return next.row !== this.props.row;
  }

  override render() {
    const { event } = this.props.row;
    const { type, atMs, height, bestHeight, hash, bestBlockHash, peerId, clientName, receivedFrom, isOwn } = event;
    const shownHash = hash ?? bestBlockHash;
    return (
      <tr class={type} data-hash={shownHash}>
        <th scope="row">{timeText(atMs)}</th>
        <td>
          <span class={`tag ${type}`}>{type}</span>
        </td>
        <td class="number">{countText(height ?? bestHeight)}</td>
        <td class="mono" title={shownHash}>
          {shortHash(shownHash)}
        </td>
        <td>
          {isOwn === true ? (
            'this node'
          ) : peerId === undefined ? (
            NONE
          ) : (
            <PeerLink id={peerId} text={clientName || peerName(peerId)} />
          )}
        </td>
        <td>{receivedFrom === undefined ? NONE : <PeerLink id={receivedFrom} text={peerName(receivedFrom)} />}</td>
        <td class="wrap">{detailsOf(event).slice(0, MAX_DETAIL_CHARS)}</td>
      </tr>
    );
  }
}

function detailsOf(event: FeedEvent): string {
  const { type, reason, count, version, fsmState, txCount, miner, from, to } = event;
  if (type === 'lost') {
    const events = count === undefined ? 'an unknown number of events' : `at most ${count} events`;
    return reason === 'restarted'
      ? 'the server restarted; what it saw meanwhile is not known'
      : `lost ${events}: ${reason}`;
  }
  if (type === 'reorg') return `from ${pointText(from)} to ${pointText(to)}`;
  if (type === 'node_status') return [version, fsmState].filter(Boolean).join(', ');
  if (type === 'mining_on') return `${countText(txCount)} transactions${miner ? `, miner ${miner}` : ''}`;
  return reason ?? '';
}

function pointText(point: FeedEvent['from']): string {
  return typeof point === 'object' ? countText(point.height) : NONE;
}
