// Which faults happen when: the same for the same seed and length.
import { createHash } from 'node:crypto';

/**
 * Kind of fault -> what it hits. Two faults never hit the same thing at once. `disk` needs a file system of the soak's
 * own, which only root can mount.
 */
export const FAULTS = {
  'broker killed': 'broker',
  'broker frozen': 'broker',
  'broker link cut': 'broker',
  'broker link slowed': 'broker',
  'database killed': 'database',
  'database link cut': 'database',
  'database link slowed': 'database',
  'services link cut': 'services',
  'services frozen': 'services',
  'go-p2p links cut': 'go-p2p',
  'go-p2p links slowed': 'go-p2p',
  'message-bus links cut': 'message-bus',
  'message-bus links slowed': 'message-bus',
  'peer of go-p2p left': 'visitor of go-p2p',
  'peer of message-bus left': 'visitor of message-bus',
  'peer frozen': 'publishers',
  'clock stepped': 'clock',
  'disk filled': 'disk',
} as const;

export type FaultKind = keyof typeof FAULTS;
export type FaultTarget = (typeof FAULTS)[FaultKind];

export interface Fault {
  readonly kind: FaultKind;
  /** Since the start of the traffic. */
  readonly atMs: number;
  readonly forMs: number;
  /** Share of what is possible, from 0 to 1: delay of a slow link, size of a step, number of a peer. */
  readonly amount: number;
}

export interface PlanOptions {
  readonly seed: string;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly kinds: readonly FaultKind[];
}

/** Room for each kind twice in a short run; in a long one a fault each 20 s on average. */
const MAX_GAP_MS = 20_000;
const MIN_GAP_MS = 1500;
/** Longer than the deadlines of requests to the broker and the database, shorter than what would fill the queues. */
const MAX_LENGTH_MS = 12_000;
const MIN_LENGTH_MS = 1500;
/** After a fault before the next one hits the same thing. */
const SETTLE_MS = 3000;

/** Faults in the order of their beginnings, all over by `untilMs`. Every round has each kind once, in another order. */
export function planFaults({ seed, fromMs, untilMs, kinds }: PlanOptions): Fault[] {
  const random = seeded(seed);
  const spanMs = untilMs - fromMs;
  const gapMs = clamp(spanMs / (2 * kinds.length), MIN_GAP_MS, MAX_GAP_MS);
  const lengthMs = clamp(spanMs / 20, MIN_LENGTH_MS, MAX_LENGTH_MS);
  const freeAt = new Map<FaultTarget, number>();
  const plan: Fault[] = [];
  let round: FaultKind[] = [];
  for (let atMs = fromMs; kinds.length > 0; atMs += gapMs * (0.5 + random())) {
    if (round.length === 0) round = shuffled(kinds, random);
    const forMs = lengthMs * (0.5 + random());
    if (atMs + forMs > untilMs) break;
    const next = round.findIndex((kind) => (freeAt.get(FAULTS[kind]) ?? 0) <= atMs);
    const [kind] = next < 0 ? [] : round.splice(next, 1);
    if (kind === undefined) continue;
    freeAt.set(FAULTS[kind], atMs + forMs + SETTLE_MS);
    plan.push({ kind, atMs: Math.round(atMs), forMs: Math.round(forMs), amount: random() });
  }
  return plan;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

/** Numbers from 0 to below 1 that depend on the seed alone. */
function seeded(seed: string): () => number {
  let count = 0;
  return () => {
    count += 1;
    return createHash('sha256').update(`${seed}/${count}`).digest().readUInt32BE() / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
