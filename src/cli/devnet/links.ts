// Who reaches whom in a development network: a relay for each pair. Node a sees peer b at 127.1.a.b, whoever of the two
// dialled, and its settings refuse every other private address (`p2p_allow_private_ips`). So no node is reached past its
// relays, and a ban of an address hits one peer.
import { P2PError } from '../../lib/errors.ts';
import { Relay } from './relay.ts';

/** The liars' numbers follow these. */
export const MAX_NODES = 20;
export const MAX_LIARS = 3;
const FIRST_LIAR = 200;

/** The number by which links know the nth liar, from 1. */
export function liarNumber(nth: number): number {
  return FIRST_LIAR + nth;
}

/** Each node is linked to so many with lower numbers and so many with higher ones, in a ring. */
const LINKS_PER_SIDE = 4;

/** Whether two of so many nodes are linked: up to nine nodes are all linked to each other. */
export function isLinked(a: number, b: number, nodes: number): boolean {
  const distance = Math.abs(a - b);
  return distance > 0 && Math.min(distance, nodes - distance) <= LINKS_PER_SIDE;
}

/** All links of so many nodes, the lower number first. */
export function linkedPairs(nodes: number): readonly (readonly [number, number])[] {
  const numbers = Array.from({ length: nodes }, (_, i) => i + 1);
  return numbers.flatMap((a) => numbers.filter((b) => b > a && isLinked(a, b, nodes)).map((b) => [a, b] as const));
}

export type LinkState = 'cut' | 'restored';

/** The address at which one peer sees another, by their numbers. */
export function seenIp(viewer: number, peer: number): string {
  return `127.1.${viewer}.${peer}`;
}

interface Direction {
  readonly relay: Relay;
  readonly port: number;
}

export class Links {
  private readonly portOf: (peer: number) => number | undefined;
  private readonly directions = new Map<string, Direction>();
  private readonly cut = new Set<string>();
  private readonly slowMs = new Map<number, number>();

  /** `portOf`: where a peer listens on 127.0.0.1, once it does. */
  constructor(portOf: (peer: number) => number | undefined) {
    this.portOf = portOf;
  }

  /** Lets the dialler reach the target. Throws LISTEN_FAILED. */
  async open(dialler: number, target: number): Promise<void> {
    const listenIp = seenIp(dialler, target);
    const relay = new Relay({
      listenIp,
      fromIp: seenIp(target, dialler),
      targetPort: () => this.portOf(target),
    });
    try {
      this.directions.set(directionKey(dialler, target), { relay, port: await relay.listen() });
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const remedy =
        code === 'EADDRNOTAVAIL' ? '; a development network needs the addresses 127.1.x.y, as on Linux' : '';
      throw new P2PError('LISTEN_FAILED', `cannot listen on ${listenIp}: ${code}${remedy}`, { cause });
    }
    this.applyDelay();
  }

  /** Where the dialler reaches the target, as a multiaddr without a peer ID. */
  address(dialler: number, target: number): string {
    const port = this.directions.get(directionKey(dialler, target))?.port;
    return `/ip4/${seenIp(dialler, target)}/tcp/${port}`;
  }

  /** Both directions. */
  set(a: number, b: number, state: LinkState): void {
    if (state === 'cut') this.cut.add(pairKey(a, b));
    else this.cut.delete(pairKey(a, b));
    for (const key of [directionKey(a, b), directionKey(b, a)]) this.directions.get(key)?.relay.setCut(state === 'cut');
  }

  isCut(a: number, b: number): boolean {
    return this.cut.has(pairKey(a, b));
  }

  /** Delays everything that goes to or comes from the peer. */
  slow(peer: number, slowMs: number): void {
    this.slowMs.set(peer, slowMs);
    this.applyDelay();
  }

  slowMsOf(peer: number): number {
    return this.slowMs.get(peer) ?? 0;
  }

  stop(): void {
    for (const { relay } of this.directions.values()) relay.stop();
  }

  private applyDelay(): void {
    for (const [key, { relay }] of this.directions) {
      const [dialler = 0, target = 0] = key.split('>').map(Number);
      relay.setDelay(this.slowMsOf(dialler) + this.slowMsOf(target));
    }
  }
}

function directionKey(dialler: number, target: number): string {
  return `${dialler}>${target}`;
}

function pairKey(a: number, b: number): string {
  return `${Math.min(a, b)}-${Math.max(a, b)}`;
}
