// What the tests of message-bus share: settings of our server there, and announcements as its nodes write them.
import { randomBytes } from 'node:crypto';
import { DEAD_BOOTSTRAP } from './go-bus.ts';
import { DATA_HUB, headerHash, type NetworkName } from './network.ts';

/** Settings of a node on message-bus that dials nobody; its addresses are private, and so may be those of its peers. */
export function messageBus(network: NetworkName): Record<string, string> {
  return { network, p2p_wire: 'message-bus', p2p_bootstrap_peers: DEAD_BOOTSTRAP, asset_httpPublicAddress: DATA_HUB };
}

/** A block message, in the order in which Teranode writes it. */
export function busBlock(header: Buffer, height: number, peerId: string, name = 'bus') {
  return {
    PeerID: peerId,
    ClientName: name,
    DataHubURL: DATA_HUB,
    Hash: headerHash(header),
    Height: height,
    Header: header.toString('hex'),
    Coinbase: '',
  };
}

export function busSubtree(peerId: string, name = 'bus') {
  return { PeerID: peerId, ClientName: name, DataHubURL: DATA_HUB, Hash: randomBytes(32).toString('hex') };
}
