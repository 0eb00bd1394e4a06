// What must hold after each step of a story, whatever happened.
import type { PeerId } from '../../src/domain/ids.ts';
import type { Member } from './member.ts';
import type { Machine, World } from './world.ts';

/** As long as a repeated announcement counts as repeated: `p2p_seen_hash_ttl`. */
const SEEN_HASH_MS = 120_000;
/** Windows of this length may each have `p2p_seen_hash_max_publishers` authors; any span of it touches two of them. */
const SEEN_HASH_WINDOW_MS = 15_000;
/** A report is handled at once; one around a change of the state machine may count for either state. */
const SHARED_WITHIN_MS = 2000;

type Running = Machine & { readonly member: Member };

/** What is wrong now, as text; empty when all is well. */
export function violations(world: World): string[] {
  return [
    ...world.errors,
    ...world.up.flatMap((machine) => [
      ...honestBans(machine, world),
      ...newOffences(machine, world),
      ...bannedConnections(machine),
      ...wrongRecords(machine, world),
      ...machine.member.metrics.exceeded().map((text) => `${machine.identity.name}: ${text}`),
      ...(machine.member.metrics.failures() === 0 ? [] : [`${machine.identity.name}: a gossip handler failed`]),
    ]),
  ];
}

/** Offences are explained again only when there was another. */
function newOffences(machine: Running, world: World): string[] {
  const count = machine.member.offenceCount();
  if (machine.explainedOffences === count) return [];
  machine.explainedOffences = count;
  return [...honestOffences(machine, world), ...wrongPenalties(machine, world)];
}

function honestBans({ identity, member }: Running, world: World): string[] {
  const addresses = new Set(
    member.node
      .currentlyConnectedPeers()
      .filter(({ id }) => world.isHonest(id))
      .map(ipOf),
  );
  return member.bans
    .bans()
    .filter(({ key }) => world.isHonest(key) || addresses.has(key))
    .map(({ key, evidence }) => `${identity.name} bans honest ${world.links.nameOf(key as PeerId)}: ${evidence}`);
}

function ipOf({ addresses }: { readonly addresses: readonly string[] }): string {
  return addresses[0]?.split('/')[2] ?? '';
}

/** A node that was cut off or down fails to serve, which may be an accident and never bans it. Nothing else may be held against it. */
function honestOffences({ identity, member }: Running, { machines }: World): string[] {
  return machines.flatMap((other) =>
    member.bans
      .explain(other.identity.id)
      .offences.filter(({ reason }) => reason !== 'catch_up_failure')
      .map(
        ({ reason, rule, hash }) =>
          `${identity.name} holds ${reason} (${rule} ${hash}) against honest ${other.identity.name}`,
      ),
  );
}

/** Whoever alone announced what was reported is penalized, and whoever is penalized announced it alone or was named. */
function wrongPenalties({ identity, member, store }: Running, world: World): string[] {
  const reports = world.machines
    .filter((each) => each.store === store)
    .flatMap((each) => [...each.reports, ...each.checked]);
  const guilty = (hash: string, author: string) =>
    reports.some(
      (each) => each.hash === hash && (each.peerId === author || (each.peerId === '' && isSole(each.authors, author))),
    );
  const wrong = world.adversaries.flatMap(({ id, name }) =>
    member.bans
      .explain(id)
      .offences.filter(({ rule, hash }) => rule === 'invalid_block_report' && !guilty(hash ?? '', id))
      .map(({ hash }) => `${identity.name} penalizes ${name} for ${hash}, which others announced too`),
  );
  return wrong;
}

function isSole(authors: readonly PeerId[], author: string): boolean {
  return authors.length === 1 && authors[0] === author;
}

/** Penalties that a report should have had: checked once per report, right after the step. */
export function missedPenalties(world: World): string[] {
  return world.up.flatMap((machine) => {
    const { member, identity } = machine;
    return machine.reports.splice(0, machine.reports.length).flatMap((report) => {
      machine.checked.push(report);
      const author = report.peerId === '' && report.authors.length === 1 ? report.authors[0] : undefined;
      if (author === undefined || !report.isRunning || member.bans.isBanned(author)) return [];
      const isPenalized = member.bans.explain(author).offences.some(({ hash }) => hash === report.hash);
      return isPenalized ? [] : [`${identity.name} does not penalize ${world.links.nameOf(author)} for ${report.hash}`];
    });
  });
}

function bannedConnections({ identity, member }: Running): string[] {
  return member.node
    .currentlyConnectedPeers()
    .filter(({ id }) => member.bans.isBanned(id))
    .map(({ id }) => `${identity.name} is connected to banned ${id}`);
}

/** Nothing is handed to Kafka twice, unproven, of a banned author, or of more authors than the limit. */
function wrongRecords({ identity, handedOn, settings }: Running, world: World): string[] {
  const last = new Map<string, number>();
  const times = new Map<string, number[]>();
  return handedOn.flatMap(({ kind, hash, url, peerId, atMs, wasBanned }) => {
    const what = `${identity.name} hands on ${kind} ${hash} of ${world.links.nameOf(peerId as PeerId)}`;
    const before = last.get(`${hash} ${peerId}`);
    last.set(`${hash} ${peerId}`, atMs);
    const recent = [...(times.get(hash) ?? []), atMs].filter((each) => atMs - each < SEEN_HASH_WINDOW_MS);
    times.set(hash, recent);
    return [
      ...(before !== undefined && atMs - before < SEEN_HASH_MS ? [`${what} twice`] : []),
      ...(world.signed.has(`${peerId} ${hash} ${url}`) ? [] : [`${what}, which that author never signed`]),
      ...(wasBanned ? [`${what}, who is banned`] : []),
      ...(recent.length <= 2 * settings.p2p_seen_hash_max_publishers ? [] : [`${what} as one of ${recent.length}`]),
    ];
  });
}

/** Nodes that share a store have the same bans of peers, a little after the last change. */
export async function sharedBansDiffer(world: World): Promise<string[]> {
  const [first, second] = world.up.filter(({ store }) => world.up.filter((each) => each.store === store).length > 1);
  if (first === undefined || second === undefined) return [];
  await world.time.advance(SHARED_WITHIN_MS);
  const [a, b] = [first, second].map(({ member }) =>
    member.bans
      .bans()
      .filter(({ kind }) => kind === 'peer')
      .map(({ key }) => world.links.nameOf(key as PeerId))
      .sort()
      .join(', '),
  );
  return a === b
    ? []
    : [`nodes with one store have other bans: ${first.identity.name} (${a}), ${second.identity.name} (${b})`];
}

/** The best chain is known to all. */
export function unknownBlocks({ machines, blocks }: World): string[] {
  const best = machines.reduce((a, b) => (b.chain.best.height > a.chain.best.height ? b : a)).chain.best;
  const missing: string[] = [];
  for (const { chain, identity } of machines)
    for (let at = blocks.get(best.hash); at !== undefined; at = blocks.parentOf(at.record))
      if (!chain.has(at.record.hash))
        missing.push(`${identity.name} does not know block ${at.record.height} ${at.record.hash}`);
  return missing;
}
