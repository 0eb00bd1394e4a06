// The commands that administer a running node: what they are called, what they need, how they are used.
import { MAX_HEADERS } from '../ports/admin-api.ts';
import type { Action } from './commands/connection.ts';

export interface AdminCommand {
  readonly name: string;
  /** What people also call it. */
  readonly alias?: string;
  readonly summary: string;
  /** As the usage shows it, in angle brackets. */
  readonly argument?: string;
  readonly argumentHelp?: string;
  readonly options?: readonly (readonly [flags: string, description: string])[];
  /** False: works without the admin key, for users who cannot read it. */
  readonly needsKey: boolean;
  readonly examples: readonly string[];
  load(): Promise<Action>;
}

const bans = () => import('./commands/bans.ts');
const chain = () => import('./commands/chain.ts');
const peers = () => import('./commands/peers.ts');

const SUBJECT = {
  argument: '<ip | cidr | peer id>',
  argumentHelp: 'an IP address, a subnet such as 192.0.2.0/24, or a peer ID',
} as const;

export const STATUS_COMMAND: AdminCommand = {
  name: 'status',
  alias: 'info',
  summary: 'Show a running node: peer ID, addresses, peers, tip and health',
  needsKey: false,
  examples: ['status', 'status --json | jq .connectedPeers'],
  load: async () => (await import('./commands/status.ts')).showStatus,
};

export const BAN_COMMANDS: readonly AdminCommand[] = [
  {
    name: 'list',
    alias: 'ls',
    summary: 'List the bans in force',
    needsKey: false,
    examples: ['bans list', 'bans list --json --address 10.0.0.7:9904'],
    load: async () => (await bans()).listBans,
  },
  {
    name: 'add',
    summary: 'Ban an address, a subnet or a peer; by default for p2p_ban_default_duration of the node',
    ...SUBJECT,
    options: [
      ['--for <duration>', 'length of the ban, such as 30m, 24h or 720h'],
      ['--until <time>', 'end of the ban, with its time zone, such as 2030-01-01T00:00:00Z; at most ten years ahead'],
      ['--reason <text>', 'why, at most 200 characters; lists show it'],
    ],
    needsKey: true,
    examples: [
      'bans add 203.0.113.7',
      'bans add 203.0.113.0/24 --for 24h --reason "port scans"',
      'bans add 12D3Koo… --until 2030-01-01',
    ],
    load: async () => (await bans()).addBan,
  },
  {
    name: 'remove',
    alias: 'rm',
    summary: 'Lift the ban of one address, subnet or peer',
    ...SUBJECT,
    needsKey: true,
    examples: ['bans remove 203.0.113.7'],
    load: async () => (await bans()).removeBan,
  },
  {
    name: 'clear',
    summary: 'Lift all bans, after a question',
    options: [['--yes', 'do not ask']],
    needsKey: true,
    examples: ['bans clear', 'bans clear --yes'],
    load: async () => (await bans()).clearBans,
  },
  {
    name: 'explain',
    summary: 'Show the scores, offences and bans of a peer, an address or a DataHub host',
    argument: '<peer id | ip | DataHub host>',
    argumentHelp: 'a peer ID, an IP address, or the host name of a DataHub',
    needsKey: false,
    examples: ['bans explain 12D3Koo…', 'bans explain 203.0.113.7 --json'],
    load: async () => (await bans()).explainBan,
  },
];

export const CHAIN_COMMANDS: readonly AdminCommand[] = [
  {
    name: 'tip',
    summary: 'Show the tip of the own chain beside what peers claim and what they proved, and how far behind it is',
    needsKey: false,
    examples: ['chain tip', 'chain tip --json | jq .blocksBehind'],
    load: async () => (await chain()).showTip,
  },
  {
    name: 'headers',
    summary: 'List the latest headers of the own chain, newest first',
    options: [['--count <n>', `number of headers, 1 to ${MAX_HEADERS} (default: 10)`]],
    needsKey: false,
    examples: ['chain headers', 'chain headers --count 3 --json'],
    load: async () => (await chain()).listHeaders,
  },
  {
    name: 'header',
    summary: 'Show one header: any block by its hash, or a recent one by its height',
    argument: '<hash | height>',
    argumentHelp: `64 hex digits, or the height of one of the latest ${MAX_HEADERS} blocks of the own chain`,
    needsKey: false,
    examples: ['chain header 0', 'chain header 000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f'],
    load: async () => (await chain()).showHeader,
  },
];

export const PEER_COMMANDS: readonly AdminCommand[] = [
  {
    name: 'list',
    alias: 'ls',
    summary: 'List the connected peers',
    needsKey: false,
    examples: ['peers list', 'peers list --json'],
    load: async () => (await peers()).listPeers,
  },
  {
    name: 'connect',
    summary: 'Connect to a peer',
    argument: '<multiaddr>',
    argumentHelp: 'address with the peer ID, such as /ip4/192.0.2.7/tcp/9905/p2p/12D3Koo…',
    needsKey: true,
    examples: ['peers connect /ip4/192.0.2.7/tcp/9905/p2p/12D3Koo…'],
    load: async () => (await peers()).connectPeer,
  },
  {
    name: 'disconnect',
    summary: 'Close the connections to a peer',
    argument: '<peer id>',
    argumentHelp: 'peer ID, such as 12D3Koo…',
    needsKey: true,
    examples: ['peers disconnect 12D3Koo…'],
    load: async () => (await peers()).disconnectPeer,
  },
];
