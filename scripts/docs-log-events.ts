// Writes docs/log-events.md: the log events found in the sources, and what those mean that an operator acts on. Throws
// when a meaning names an event that is not in the sources.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LogEvent, logEvents } from './log-events.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Events whose text a call gets as a parameter. */
const PASSED_ON: readonly LogEvent[] = [
  ...['failed to dial peer', 'connection did not last'].map((event) => ({
    event,
    level: 'warn, info or debug',
    fields: ['address', 'failures', 'outcome', 'reason', 'likelyCause', 'livedMs', 'retryInMs'],
    file: 'src/adapters/libp2p/discovery/dialer.ts',
  })),
  ...['failed to check gossip streams', 'failed to save gossip back-offs'].map((event) => ({
    event,
    level: 'warn',
    fields: ['err'],
    file: 'src/adapters/libp2p/gossipsub/gossip.ts',
  })),
];

/** Fields that a call gets from elsewhere. */
const MORE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  'peer banned': ['peerId', 'until', 'reason', 'evidence', 'unloggedBefore'],
  'node started': ['peerId', 'addresses', 'verifier'],
  'failed to follow an announced block': ['hash', 'url', 'peerId', 'err'],
};

/** By what an operator wants to know; the beginning of an event is enough. */
const GROUPS: readonly { readonly title: string; readonly events: Readonly<Record<string, string>> }[] = [
  {
    title: 'Start and stop',
    events: {
      'wire chosen': 'The wires in force, and the setting that decided.',
      'settings without effect': 'Keys that change nothing, each with the reason. Nothing to do.',
      'setting without effect': 'A restriction that you may rely on is not enforced. Remove the key, and ban instead.',
      'own chain follows no peer':
        'Nothing here reads the blocks that peers announce: name the blockchain service, or use `memory://`.',
      'unknown setting': 'A key with a spelling mistake: `nearest` is what was probably meant.',
      'wrote private key': 'The first start on message-bus, or a move: the identity is in `file` now.',
      'two key files have different keys':
        'The key of `file` is in force. Move the other one away, or set `p2p_peer_cache_dir` to the folder that counts.',
      'stored private key': 'The same on go-p2p: the identity is in the store of the chain.',
      'renamed key file': 'A Go node’s key file was taken over. See [from-go.md](from-go.md).',
      'generated admin key': 'The first start: the admin key is in `file`. Logged at any level.',
      'databases are empty': 'Somebody copied the files of a running node. Restore a [backup](backup.md).',
      'waiting for blockchain service': 'The start waits. Health checks answer meanwhile.',
      'still starting': 'A part needs long. `part` names it.',
      'node started': 'A libp2p node listens; one line for each wire.',
      ready: 'Everything runs. Peer ID and addresses. Logged at any level.',
      'failed to stop part': 'The stop went on without it.',
      stopped: 'The last line of an orderly stop.',
    },
  },
  {
    title: 'Peers',
    events: {
      'resolved listed name': 'The bootstrap name of the network gave this many peers.',
      'failed to resolve listed name': 'DNS did not answer, or the name does not exist. Tried again, later each time.',
      'listed name has no peers': 'DNS answered without peers.',
      'failed to dial peer':
        'A listed or cached peer could not be reached. Level warn when `likelyCause` says that the shared key is wrong.',
      'connection did not last':
        'A listed peer hung up after `livedMs`. It may speak the other wire, or have banned us.',
      'peer connected': 'Shown with `logLevel = DEBUG`.',
      'peer disconnected': 'The check `hang_ups` of `doctor` has the reasons of the latest.',
      'peer of another network disconnected':
        'Its topic prefix is another one. Harmless when it is the peer’s mistake.',
      'trimmed connections': 'More peers than `p2p_conn_high_water`.',
      'closed a silent connection': 'The machine of the peer vanished.',
      'reachability changed': 'What peers found by dialling this node.',
      'failed to renew a port mapping': 'The router does not answer (UPnP).',
    },
  },
  {
    title: 'Messages',
    events: {
      'feed went silent': 'Peers are connected and nothing valid comes. Run `doctor`.',
      'feed recovered': 'The next valid message came.',
      'failed to handle gossip message': 'A bug of this program. Report it with `err`.',
      'libp2p patch not applied': 'Other versions of libraries than package-lock.json names. Run `npm ci`.',
    },
  },
  {
    title: 'Bans',
    events: {
      'peer banned': 'An automatic ban, with its evidence. `bans explain <peerId>` has the details.',
      'more peers banned': 'Bans above ten per minute are counted here.',
      'banned peer disconnected': 'A ban took effect on an open connection.',
      'ban withheld in shadow mode': '`p2p_policy_mode` or `p2p_policy_shadow_rules` kept a ban from happening.',
      'ban list full': 'Raise `p2p_ban_max_entries`, or ban subnets.',
      'ban store unavailable': 'Bans stay in force in memory; writes wait. Look at the disk or at PostgreSQL.',
      'ban store available again': 'What waited is being written.',
      'imported the bans of a Go deployment': 'Once, at the first start on a database of the Go service.',
      'client blocked: too many wrong admin keys': 'Somebody guesses keys, or a client has an old one.',
    },
  },
  {
    title: 'Kafka and services',
    events: {
      'Kafka unavailable': 'The brokers of `topic` do not answer. Messages wait ([Kafka](kafka.md)).',
      'Kafka available again': 'What waited is being sent.',
      'Kafka consumer failed': 'Reading `topic` ended, and starts again.',
      'cannot configure Kafka topic': 'The broker forbids it, or it is not ours to change.',
      'dropped a message that is too large for Kafka': 'Raise `max.message.bytes` of the topic.',
      'Kafka unavailable at stop, messages lost': 'These messages are lost.',
      'lost subscription to the blockchain service': 'One line per outage; tried again.',
      'subscribed to the blockchain service': 'Notifications come.',
      'found missed blocks': 'Blocks of the time without a subscription are announced now.',
      'peer registry unavailable': 'The registry of the blockchain service does not answer: own scores decide.',
      'announcement postponed': 'The blockchain service did not answer; tried again.',
      'own DataHub does not answer': 'Peers cannot fetch from this node: see `reason`.',
      'own DataHub URL cannot be used': 'This node announces no blocks. Set `asset_httpPublicAddress`.',
    },
  },
  {
    title: 'Sync and chain',
    events: {
      'sync peer chosen': 'This node is behind and fetches from `peerId`.',
      'sync peer given up': '`reason` says why; another one follows.',
      'took headers of a peer': 'The embedded chain grew to `height`.',
      'took no headers of a peer': 'Its `outcome` says why; repeated for one peer, its DataHub is at fault.',
      'block mined': 'Regtest only.',
    },
  },
];

const HEADING = `# Log events

The server logs to standard output: one JSON object per line, or lines for people on a terminal (\`--json-logs\` and
\`--pretty\` choose). A line has \`level\`, \`time\` (Unix milliseconds), the fields of the event, and \`event\`, a
constant text. \`logLevel\` (default INFO) sets the lowest level. Texts are cut to 1,024 characters and cannot contain
line breaks; passwords in URLs are masked. \`err\` is an object with \`name\`, \`message\`, \`code\`
([errors](errors.md)) and \`cause\`.

\`\`\`sh
jq -c 'select(.level == "warn" or .level == "error")' node.log
jq -r 'select(.event == "ready").peerId' node.log
\`\`\`

Events may be worded anew in a release; alert on [metrics](metrics.md), not on texts. "warn or debug" means: the first
line of an outage is a warning, its repetitions have level debug. Made by \`npm run docs:log-events\` from the sources.
`;

export function logEventsDocument(): string {
  const found = [...logEvents(root), ...PASSED_ON.filter(isInSource)].map((each) => ({
    ...each,
    fields: MORE_FIELDS[each.event] ?? each.fields,
  }));
  const groups = GROUPS.map(({ title, events }) => {
    const rows = Object.entries(events).flatMap(([start, meaning]) => {
      const exact = found.filter(({ event }) => event === start);
      const named = exact.length > 0 ? exact : found.filter(({ event }) => event.startsWith(start));
      if (named.length === 0) throw new Error(`no log event begins with "${start}"`);
      return unique(named).map((each) => `${row(each)} ${meaning} |`);
    });
    return `\n## ${title}\n\n| event | level | fields | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  const all = unique(found).sort((a, b) => a.event.localeCompare(b.event, 'en'));
  const rows = all.map((each) => `${row(each)} \`${each.file}\` |`);
  const complete = `\n## All events\n\n| event | level | fields | source |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  return HEADING + groups.join('') + complete;
}

function row({ event, level, fields }: LogEvent): string {
  return `| ${event.replaceAll('|', '\\|')} | ${level} | ${fields.map((each) => `\`${each}\``).join(', ')} |`;
}

function unique(events: readonly LogEvent[]): LogEvent[] {
  return [...new Map(events.map((each) => [`${each.event} ${each.file}`, each])).values()];
}

function isInSource({ event, file }: LogEvent): boolean {
  if (readFileSync(join(root, file), 'utf8').includes(`'${event}'`)) return true;
  throw new Error(`${file} has no log event "${event}"`);
}

if (import.meta.main)
  writeFileSync(fileURLToPath(new URL('../docs/log-events.md', import.meta.url)), logEventsDocument());
