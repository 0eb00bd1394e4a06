// What may happen in a story. A step says in the trace what it does, and does it; time passes afterwards.
import type { SubtreeHash } from '../../src/domain/ids.ts';
import { encodeFor } from '../../src/wire/format.ts';
import type { Adversary } from './adversary.ts';
import type { World } from './world.ts';

export interface Step {
  readonly weight: number;
  readonly run: (world: World) => void | Promise<void>;
}

const REPLAY_AFTER_MS = 125_000;
const FLOOD = 150;

function short(text: string): string {
  return text.slice(0, 8);
}

function mine(world: World): void {
  const machine = world.random.pick(world.up);
  const { record } = world.blocks.mine(machine.chain.best, true);
  world.trace.note(`${machine.identity.name} mines ${short(record.hash)} at ${record.height}`);
  machine.chain.add(record);
}

function announceSubtree({ random, trace, up }: World): void {
  const machine = random.pick(up);
  const hash = hashOf(random.below(2 ** 32));
  trace.note(`${machine.identity.name} announces subtree ${short(hash)}`);
  machine.chain.notify({ type: 'subtree', hash });
}

function hashOf(number: number): SubtreeHash {
  return number.toString(16).padStart(8, '0').repeat(8) as SubtreeHash;
}

/** A block with work and invalid transactions; accomplices may announce it too, and some say it twice. */
function lieAboutBlock(world: World): void {
  const { random, blocks, trace, adversaries } = world;
  const liars = adversaries.filter((_each, n) => n === 0 || random.chance(0.3));
  const block = blocks.mine(random.pick(world.up).chain.best, false);
  trace.note(`${liars.map(({ name }) => name).join(', ')} announce invalid block ${short(block.record.hash)}`);
  for (const liar of liars) {
    world.time.after(random.between(0, 300), () => liar.announceBlock(block));
    if (random.chance(0.3)) world.time.after(random.between(300, 5000), () => liar.announceBlock(block));
  }
}

/** A block of an honest miner, announced again by an adversary that serves something else. */
function announceAfterHonest(world: World): void {
  const liar = world.random.pick(world.adversaries);
  const machine = world.random.pick(world.up);
  const block = world.blocks.mine(machine.chain.best, true);
  const { hash, height } = block.record;
  world.trace.note(`${machine.identity.name} mines ${short(hash)} at ${height}, ${liar.name} serves garbage for it`);
  liar.garbage.add(hash);
  machine.chain.add(block.record);
  world.time.after(world.random.between(0, 100), () => liar.announceBlock(block));
}

/** A block of the adversary, with the DataHub of an honest node. */
function nameOthersHost(world: World): void {
  const liar = world.random.pick(world.adversaries);
  const victim = world.random.pick(world.machines);
  const block = world.blocks.mine(victim.chain.best, false);
  world.trace.note(`${liar.name} announces ${short(block.record.hash)} at the DataHub of ${victim.identity.name}`);
  liar.announceBlock(block, victim.url);
}

/** Messages that break a rule of the topic. */
function breakRule(world: World): void {
  const { random, trace, wire, blocks } = world;
  const liar = random.pick(world.adversaries);
  const victim = random.pick(world.machines).identity;
  const { record } = blocks.mine(random.pick(world.up).chain.best, false);
  const { hash, height, header } = record;
  const message = { hash, height, header, dataHubUrl: liar.url, peerId: liar.id as string, clientName: liar.name };
  const kinds = {
    'another node’s PeerID': () => liar.publish({ kind: 'block', message: { ...message, peerId: victim.id } }),
    'no PeerID': () => liar.publish({ kind: 'block', message: { ...message, peerId: 'nobody' } }),
    'another header': () => liar.publish({ kind: 'block', message: { ...message, header: blocks.genesis.header } }),
    'a header without work': () => lieAboutWork(world, liar, record.header),
    'another height': () => liar.publish({ kind: 'block', message: { ...message, height: height + 7 } }),
    'bytes that are no JSON': () => liar.publishBytes('block', Buffer.from([1, 2, 3])),
    'a hash that is none': () =>
      liar.publishBytes(
        'subtree',
        Buffer.from(JSON.stringify({ Hash: '0x12', DataHubURL: liar.url, PeerID: liar.id })),
      ),
    'a signature of its own for another author': () =>
      liar.forge(
        'block',
        victim.id,
        encodeFor(wire, { kind: 'block', message: { ...message, peerId: victim.id } }, ''),
      ),
  };
  const kind = random.pick(Object.keys(kinds) as (keyof typeof kinds)[]);
  trace.note(`${liar.name} sends ${kind}`);
  kinds[kind]();
}

function lieAboutWork(world: World, liar: Adversary, header: Uint8Array): void {
  const weak = Uint8Array.from(header);
  // Bits of a target that no hash of a test meets.
  weak.set([0xff, 0xff, 0x00, 0x1d], 72);
  const { hash } = world.blocks.genesis;
  const bytes = { height: 1, header: weak, dataHubUrl: liar.url, peerId: liar.id, clientName: liar.name };
  liar.publish({ kind: 'block', message: { hash, ...bytes } });
}

function lieAboutHeight(world: World): void {
  const liar = world.random.pick(world.adversaries);
  const height = world.random.pick(world.up).chain.best.height + 1 + world.random.below(1000);
  const url = world.random.chance(0.3) ? world.random.pick(world.machines).url : liar.url;
  const hash = hashOf(world.random.below(2 ** 32));
  world.trace.note(`${liar.name} claims height ${height} at ${url}`);
  liar.claimHeight(height, hash as string as Parameters<Adversary['claimHeight']>[1], url);
}

function flood(world: World): void {
  const liar = world.random.pick(world.adversaries);
  world.trace.note(`${liar.name} floods with ${FLOOD} subtrees`);
  for (let n = 0; n < FLOOD; n += 1) {
    const hash = hashOf(world.random.below(2 ** 32));
    world.time.after(world.random.between(0, 1000), () => liar.announceSubtree(hash));
  }
}

/** Messages that the others have forgotten: their seen caches no longer stop them. */
async function replay(world: World): Promise<void> {
  const { random, time, trace } = world;
  const liar = random.pick(world.adversaries);
  trace.note(`${liar.name} keeps ${liar.recorded.length} messages`);
  await time.advance(REPLAY_AFTER_MS);
  trace.note(`${liar.name} plays ${liar.recorded.length} old messages again`);
  for (const { message } of liar.recorded.splice(0)) time.after(random.between(0, 2000), () => liar.replay(message));
}

function partition(world: World): void {
  const { random, links, trace, machines, adversaries } = world;
  if (links.isPartitioned) return;
  const sides = new Map(
    [...machines.map(({ identity }) => identity), ...adversaries].map(({ id }) => [id, random.below(2)]),
  );
  trace.note(`partition: ${[...sides].map(([id, side]) => `${links.nameOf(id)}=${side}`).join(' ')}`);
  links.partition(sides);
}

function heal({ links, trace }: World): void {
  if (!links.isPartitioned) return;
  trace.note('the partition heals');
  links.heal();
}

async function restart(world: World): Promise<void> {
  const machine = world.random.pick(world.machines);
  if (machine.member === undefined) await world.boot(machine);
  else if (world.up.length > 1) await world.shutDown(machine);
}

async function restartAtOnce(world: World): Promise<void> {
  const machine = world.random.pick(world.up);
  await world.shutDown(machine);
  await world.boot(machine);
}

/** Of the wall clock alone; NTP steps it. */
function skewClock({ random, trace, machines }: World): void {
  const machine = random.pick(machines);
  machine.skewMs = Math.round(random.between(-60_000, 60_000));
  trace.note(`the clock of ${machine.identity.name} is off by ${machine.skewMs} ms`);
}

async function orderBan(world: World): Promise<void> {
  const { random, trace, time } = world;
  const machine = random.pick(world.up);
  const subject = random.pick<string>([random.pick(world.adversaries).id, '192.0.2.7', '198.51.100.0/24']);
  const isLifted = random.chance(0.3);
  trace.note(`the operator of ${machine.identity.name} ${isLifted ? 'lifts the ban of' : 'bans'} ${subject}`);
  await time.complete<unknown>(isLifted ? machine.member.bans.unban(subject) : machine.member.bans.ban(subject));
}

async function wait(world: World): Promise<void> {
  const ms = world.random.pick([5000, 20_000, 130_000]);
  world.trace.note(`${ms / 1000} s pass`);
  await world.time.advance(ms);
}

export const STEPS: readonly Step[] = [
  { weight: 6, run: mine },
  { weight: 3, run: announceSubtree },
  { weight: 5, run: lieAboutBlock },
  { weight: 4, run: announceAfterHonest },
  { weight: 2, run: nameOthersHost },
  { weight: 4, run: breakRule },
  { weight: 2, run: lieAboutHeight },
  { weight: 1, run: flood },
  { weight: 1, run: replay },
  { weight: 2, run: partition },
  { weight: 2, run: heal },
  { weight: 2, run: restart },
  { weight: 2, run: restartAtOnce },
  { weight: 2, run: skewClock },
  { weight: 2, run: orderBan },
  { weight: 1, run: wait },
];

/** Everything is up and connected again, and one more block decides between branches of equal height. */
export async function recover(world: World): Promise<void> {
  heal(world);
  for (const machine of world.machines) if (machine.member === undefined) await world.boot(machine);
  await world.time.advance(15_000);
  const best = world.machines.reduce((a, b) => (b.chain.best.height > a.chain.best.height ? b : a));
  const { record } = world.blocks.mine(best.chain.best, true);
  world.trace.note(`${best.identity.name} mines ${short(record.hash)} at ${record.height}, to be known to all`);
  best.chain.add(record);
}
