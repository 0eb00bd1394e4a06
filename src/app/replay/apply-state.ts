// Takes over what a capture says of the node's state: chain, connected peers, and what its stores had at the start.
import type { StateKind } from '../../capture/records.ts';
import type { InputValue } from '../../capture/tap.ts';
import type { TappedHistories, TappedRegistry } from '../../capture/tapped-peers.ts';
import type { OwnTip } from '../../chain/tracker.ts';
import type { BanEntry } from '../../domain/ban.ts';
import type { BlockHash, PeerId } from '../../domain/ids.ts';
import type { Offence, ScoreRow } from '../../domain/offence.ts';
import type { BoundedMap } from '../../lib/bounded-map.ts';
import type { StoredHistory } from '../../peers/histories/history-file.ts';
import type { PeerPatch } from '../../peers/registry.ts';
import type { SeenAddress } from '../../ports/ban-store.ts';
import type { FsmState } from '../../ports/blockchain-client.ts';
import type { PeerRecord } from '../../ports/p2p-node.ts';
import type { SyncPeer } from '../../ports/sync-status.ts';
import { bigintIn, numberIn, pairsIn, peerIn, plainIn, rowsIn, textIn, textsIn, wrong } from './input-values.ts';
import type { ReplayedStore } from './replayed-store.ts';

export interface ChainState {
  tip: OwnTip | undefined;
  isSyncing: boolean;
  fsmState: FsmState | undefined;
  syncPeer: SyncPeer | undefined;
}

export interface StateOwners {
  readonly chain: ChainState;
  readonly headers: BoundedMap<BlockHash, number>;
  readonly peers: Map<PeerId, PeerRecord>;
  readonly store: ReplayedStore;
  readonly histories: TappedHistories;
  readonly registry: TappedRegistry;
}

const APPLY: { readonly [K in StateKind]: (value: InputValue, owners: StateOwners) => void } = {
  chain: (value, owners) => chain(value, owners.chain),
  headers: (value, { headers }) => {
    for (const [hash, height] of pairsIn(value, 'headers'))
      if (typeof hash === 'string' && typeof height === 'number') headers.set(hash as BlockHash, height);
  },
  peers: (value, owners) => peers(value, owners.peers),
  stored: (value, { store }) => store.add(storedRows(value)),
  histories: (value, owners) => owners.histories.restore(histories(value)),
  snapshot: (value, owners) => {
    owners.store.add(storedRows(value));
    owners.histories.restore(histories(value));
    for (const row of rowsIn(value, 'peers')) registered(row, owners.registry);
  },
  begun: () => {},
};

/** Throws TypeError for values that no node has written. */
export function applyState(kind: StateKind, value: InputValue, owners: StateOwners): void {
  APPLY[kind](value, owners);
}

function chain(value: InputValue, state: ChainState): void {
  state.isSyncing = value.isSyncing === true;
  state.fsmState = value.fsmState === undefined ? undefined : (textIn(value, 'fsmState') as FsmState);
  state.tip = value.tip === undefined ? undefined : tipOf(plainIn(value, 'tip'));
  const sync = value.syncPeer === undefined ? undefined : plainIn(value, 'syncPeer');
  state.syncPeer = sync && {
    peerId: peerIn(sync, 'peerId'),
    height: numberIn(sync, 'height'),
    hash: undefined,
    sinceMs: 0,
  };
}

function tipOf(value: InputValue): OwnTip {
  return {
    hash: textIn(value, 'hash') as BlockHash,
    height: numberIn(value, 'height'),
    target: bigintIn(value, 'target'),
    time: numberIn(value, 'time'),
  };
}

function peers(value: InputValue, known: Map<PeerId, PeerRecord>): void {
  if (value.isWhole === true) known.clear();
  for (const peerId of textsIn(value, 'closed')) known.delete(peerId as PeerId);
  for (const [peerId, addresses] of pairsIn(value, 'open')) {
    const pair = { peerId, addresses };
    const id = peerIn(pair, 'peerId');
    known.set(id, { ...UNMEASURED, id, addresses: textsIn(pair, 'addresses') });
  }
}

const UNMEASURED = {
  localAddress: undefined,
  direction: undefined,
  connectedAtMs: undefined,
  agentVersion: undefined,
  bytesSent: 0,
  bytesReceived: 0,
  lastSendMs: undefined,
  lastReceiveMs: undefined,
  pingMs: undefined,
};

function storedRows(value: InputValue): Parameters<ReplayedStore['add']>[0] {
  return {
    bans: rowsOf<BanEntry>(value, 'bans', ['key', 'kind', 'reason', 'evidence', 'source'], ['untilMs', 'createdAtMs']),
    scores: rowsOf<ScoreRow>(value, 'scores', ['subject', 'role'], ['score', 'atMs']),
    offences: rowsOf<Offence>(value, 'offences', ['subject', 'role', 'rule', 'reason', 'topic'], ['points', 'atMs']),
    addresses: rowsOf<SeenAddress>(value, 'addresses', ['address', 'peerId'], ['lastSeenMs']),
  };
}

function histories(value: InputValue): readonly StoredHistory[] {
  return rowsIn(value, 'histories').map((row) => {
    const history = plainIn(row, 'history');
    peerIn(history, 'id');
    numberIn(history, 'reputation');
    numberIn(row, 'seenMs');
    return row as unknown as StoredHistory;
  });
}

/** Rows whose named fields are texts and numbers. */
function rowsOf<T>(value: InputValue, key: string, texts: readonly string[], numbers: readonly string[]): readonly T[] {
  return rowsIn(value, key).map((row) => {
    for (const field of texts) textIn(row, field);
    for (const field of numbers) numberIn(row, field);
    return row as T;
  });
}

function registered(row: InputValue, registry: TappedRegistry): void {
  const id = peerIn(row, 'id');
  if (typeof row.isConnected !== 'boolean') throw wrong('isConnected', 'true or false');
  if (row.isConnected) registry.connected(id);
  registry.heard(id, plainIn(row, 'patch') as PeerPatch);
}
