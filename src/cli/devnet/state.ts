// What the control API shows of a development network. The page reads the same.
import type { WireName } from '../../wire/format.ts';
import type { LinkState } from './links.ts';
import type { Tip } from './node-process.ts';

export interface NodeState {
  readonly node: number;
  readonly http: string;
  readonly peerId: string;
  /** Its folder. */
  readonly data: string;
  readonly isRunning: boolean;
  readonly isReady: boolean;
  readonly slowMs: number;
  /** null, as in the next two: the node does not answer. */
  readonly tip: Tip | null;
  /** Names: `node 2`, `liar 1`. */
  readonly peers: readonly string[] | null;
  /** Whom it bans: names, or what was banned where it is neither a node nor a liar. */
  readonly bans: readonly string[] | null;
}

export interface DevnetState {
  readonly network: 'regtest';
  readonly wire: WireName;
  readonly miner: number;
  readonly mineEverySeconds: number;
  readonly nodes: readonly NodeState[];
  readonly links: readonly { readonly a: number; readonly b: number; readonly state: LinkState }[];
  readonly liars: readonly { readonly liar: number; readonly peerId: string; readonly isRunning: boolean }[];
  readonly maxLiars: number;
}
