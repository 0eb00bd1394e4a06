// The one table of offences: for every rule that may stop a message or report a peer, who pays, how many points, and
// why. `docs/scoring.md` is generated from it. Only a rule whose breach cannot be an accident leads to a ban by itself.
import type { BanReason, Offence } from './offence.ts';

export interface OffenceRow {
  /** `neighbour`: the propagation source; `host`: the DataHub, where it is only recorded. */
  readonly payer: 'author' | 'neighbour' | 'host' | 'nobody';
  /** undefined when nobody pays. */
  readonly reason?: BanReason;
  /** May be fewer than the reason's own; undefined: those of the reason. */
  readonly points?: number;
  /**
   * A sloppy but honest implementation may do it: all such rules together raise a score to {@link ACCIDENT_SHARE} of
   * the threshold at most.
   */
  readonly canBeAccident?: true;
  /** On message-bus nobody pays: no receiver there ever checked it, so an honest author never learnt of its mistake. */
  readonly isFreeOnBus?: true;
  /** Rule whose name in `p2p_policy_shadow_rules` means this one too. */
  readonly shadowedAs?: string;
  readonly when: string;
  readonly why: string;
}

/** Share of the threshold up to which offences that can be accidents raise a score. */
export const ACCIDENT_SHARE = 1 / 2;

const free = (when: string, why: string) => ({ payer: 'nobody', points: 0, when, why }) as const;

/** Protocol violation of an author that may be an accident. */
const slip = (when: string, why: string) =>
  ({ payer: 'author', reason: 'protocol_violation', points: 1, canBeAccident: true, when, why }) as const;

/** Rules of gossip messages: why a message was not processed. They label a metric and name the rule in settings. */
export const GOSSIP_RULES = {
  own_message: free('Our own message came back.', 'Neighbours send it again after they have forgotten its ID.'),
  other_prefix: free('The message passed under another topic prefix.', 'Forwarded under both and processed once.'),
  other_wire: free('The announcement passed on the other wire.', 'Announced on both wires and processed once.'),
  banned_author: free('The author is banned.', 'It has paid. The neighbour does not know of our bans.'),
  author_rate: {
    payer: 'author',
    reason: 'spam',
    points: 1,
    canBeAccident: true,
    when: 'An author is above `p2p_author_rate`; once per 5 s, never on the topic of rejected transactions.',
    why: 'A burst after an outage is no attack, and nodes of 2025 announce every rejected transaction without a limit.',
  },
  author_flood: {
    payer: 'author',
    reason: 'spam',
    points: 50,
    shadowedAs: 'author_rate',
    when: 'A connected author itself sends at more than twice `p2p_author_rate` after its burst; once per 5 s, topics as before.',
    why: 'Five seconds of its whole rate were refused within five seconds. Through others it could be a recording of old messages.',
  },
  author_bytes: {
    payer: 'author',
    reason: 'spam',
    points: 1,
    canBeAccident: true,
    when: 'An author is above `p2p_author_byte_rate`; once per 5 s, never on the topic of rejected transactions.',
    why: 'Long names and fee policies make statuses large; no honest node sends megabytes of them per second for long.',
  },
  author_time: free(
    'The messages of an author took half of the time for seconds.',
    'How long a message takes depends on this machine too.',
  ),
  relay_rate: free(
    'A neighbour is above `p2p_relay_rate`, or brought too many messages that cost their authors points.',
    'Neighbours forward everything unchecked. They are slowed, and never get points.',
  ),
  relay_bytes: free(
    'A neighbour is above `p2p_relay_byte_rate`. The bytes of blocks are not counted.',
    'Neighbours forward everything unchecked. They are slowed, and never get points.',
  ),
  status_rate: free(
    'An author is above `p2p_status_rate` with its node statuses.',
    'A node that mines fast tells its status with each block.',
  ),
  size: free(
    'The message is over the size of its topic.',
    'Older receivers allow larger ones. It is not even decoded.',
  ),
  peer_discovery: free('A listener announces its addresses.', 'Wallets do so every 5 s on every topic.'),
  peer_discovery_repeated: free('A listener announces its addresses within 4 s again.', 'As above, at a bounded rate.'),
  replay: free(
    'The sequence number is old.',
    'A replay may be the work of anybody: it proves nothing about its author.',
  ),
  not_json: free('The data is not a JSON object.', 'Listeners of other kinds publish other bytes on these topics.'),
  decode: free(
    'A field is missing, out of range, of another type, or there twice.',
    'Releases differ in their fields, and their receivers are lenient.',
  ),
  hash_form: {
    ...slip(
      'A hash is not 64 hex digits: `0x` before it, too short, not hex.',
      'A sloppy encoder writes it, and gains nothing.',
    ),
    isFreeOnBus: true,
  },
  peer_id_form: {
    ...slip('The PeerID is not a valid peer ID.', 'It deceives nobody: no peer has such an ID.'),
    isFreeOnBus: true,
    shadowedAs: 'author_mismatch',
  },
  author_mismatch: {
    payer: 'author',
    reason: 'protocol_violation',
    points: 20,
    when: 'The PeerID is the valid ID of another peer than the signer.',
    why: 'Nodes know their own ID by their key. Receivers that do not check would blame the other peer.',
  },
  duplicate: free('The author announced the hash before.', 'Nodes repeat announcements after a restart.'),
  header_missing: free('No header, and `p2p_require_header` is set.', 'Older releases send none.'),
  header_mismatch: {
    ...slip(
      'The header does not hash to Hash.',
      'A wrong byte order or the header of another block does; nothing is fetched.',
    ),
    isFreeOnBus: true,
  },
  proof_of_work: {
    payer: 'author',
    reason: 'invalid_block',
    points: 10,
    when: 'The header hashes to Hash, and has no proof of work.',
    why: 'Somebody made it for this announcement. No chain has such a block.',
  },
  height_implausible: {
    ...slip(
      'The height of a block of our own chain, or of a child of one, is another.',
      'Counting from another block, or the height of the parent, is a common mistake.',
    ),
    isFreeOnBus: true,
  },
  work_implausible: free(
    'The target is far easier than that of our tip.',
    'Old blocks, and headers of a node that is far behind, have such targets.',
  ),
  datahub_url: {
    ...slip(
      'The DataHub URL is not http or https (message-bus only; any other unusable URL costs nothing).',
      'A missing scheme is a typing mistake of an operator. Nothing is fetched from it.',
    ),
  },
  low_reputation: free(
    'The author has a low reputation (message-bus).',
    'Its failures are counted in its reputation already. The message is forwarded.',
  ),
  handler_failed: free('Our own handler failed.', 'Our fault.'),
} as const satisfies Readonly<Record<string, OffenceRow>>;

export type GossipRule = keyof typeof GOSSIP_RULES;

/** Rules of everything else that is held against a peer. */
export const OTHER_RULES = {
  broken_frame: {
    payer: 'neighbour',
    reason: 'protocol_violation',
    points: 5,
    canBeAccident: true,
    when: 'An RPC is no protobuf, or has an impossible length; once per second. Not for an RPC that is too large, or has something undecodable or a wrong signature inside.',
    why: 'Only the neighbour itself can have written it; its library may be somebody’s first attempt. The rest may come from an author.',
  },
  invalid_block_report: {
    payer: 'author',
    reason: 'invalid_block',
    points: 10,
    when: 'Our own validation reports a block as invalid; once per block and author in 10 min. It costs the peer that the report names, else the only author who announced it, else the owner of the URL.',
    why: 'Our own validation has proven it.',
  },
  invalid_subtree_report: {
    payer: 'author',
    reason: 'invalid_subtree',
    points: 10,
    when: 'As above, for a subtree. With message-bus in force it costs reputation instead of points.',
    why: 'Our own validation has proven it. A failed download is an own reason, below.',
  },
  own_reason: free(
    'A report whose reason is in `p2p_report_own_reasons`: already known, operator, cancelled, storage, time-out.',
    'It tells of our own node or of the network, not of the content.',
  ),
  datahub_report: {
    payer: 'host',
    when: 'A report or a failed catch-up at the host of a DataHub, with the points of its reason.',
    why: 'Recorded for `bans explain` only: any author can name any host.',
  },
  peer_failure: {
    payer: 'author',
    reason: 'catch_up_failure',
    points: 30,
    canBeAccident: true,
    when: 'A catch-up from the peer failed (go-p2p). With message-bus in force it costs reputation instead.',
    why: 'A slow, pruned or restarting node fails too. It is tried later and later.',
  },
  operator: {
    payer: 'author',
    when: '`AddBanScore` of the operator or of another service, with the points of its reason.',
    why: 'The caller has the admin key, and decides.',
  },
} as const satisfies Readonly<Record<string, OffenceRow>>;

const ROWS: ReadonlyMap<string, OffenceRow> = new Map(Object.entries({ ...GOSSIP_RULES, ...OTHER_RULES }));

/** undefined for a rule that this program does not know, such as one that another release has stored. */
export function offenceRow(rule: string): OffenceRow | undefined {
  return ROWS.get(rule);
}

/** A row that explains recorded offences. */
export interface CitedRule extends Pick<OffenceRow, 'when' | 'why'> {
  readonly rule: string;
  /** undefined: those of the offence's reason. */
  readonly points: number | undefined;
  readonly canBeAccident: boolean;
}

/** The rows of the offences' rules, each once, in their order. */
export function citedRules(offences: readonly Pick<Offence, 'rule'>[]): readonly CitedRule[] {
  return [...new Set(offences.map(({ rule }) => rule))].flatMap((rule) => {
    const row = offenceRow(rule);
    if (row === undefined) return [];
    const { points, canBeAccident = false, when, why } = row;
    return [{ rule, points, canBeAccident, when, why }];
  });
}
