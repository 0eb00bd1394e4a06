// Peers of one network find each other through the DHT: each provides and looks up one key a topic, CIDv1(raw, sha2-256(topic name)), as
// Go's routing discovery does. It never ends after an error, and tries again as soon as a DHT peer is there instead of in two minutes.
import { createHash } from 'node:crypto';
import type { PeerInfo } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import * as Digest from 'multiformats/hashes/digest';
import { type Repeating, repeating } from '../../../lib/repeating.ts';
import type { Logger } from '../../../ports/log.ts';
import type { Counter } from '../../../ports/metrics.ts';

const SHA2_256 = 0x12;

/** The key under which the peers of a topic register. */
export function rendezvousCid(topicName: string): CID {
  return CID.createV1(raw.code, Digest.create(SHA2_256, createHash('sha256').update(topicName).digest()));
}

export interface RendezvousDependencies {
  readonly dht: Pick<KadDHT, 'provide' | 'findProviders'>;
  readonly log: Logger;
  readonly rounds: Counter;
  readonly nowMs: () => number;
  readonly connectedCount: () => number;
  /** Called with each provider found; must not throw. */
  readonly found: (peer: PeerInfo) => void;
  readonly random: () => number;
}

/** Eager while the network forms, then calm. */
const EAGER_ROUNDS = 20;
/** Rounds at the eager pace when a DHT peer comes to a node that has few. */
const EAGER_AGAIN = 4;
/** With this many neighbours the network is found, whoever else comes. */
const FEW_PEERS = 10;
const EAGER_MS = 500;
const CALM_MS = 30_000;
/** Go's records live 24 h and a bootstrap node that restarts has lost them: say it again well before. */
const PROVIDE_AGAIN_MS = 10 * 60_000;
/** Many peers may come at once (we are the bootstrap node): one round for all of them. */
const PROVIDE_PAUSE_MS = 5000;
const PROVIDE_DEADLINE_MS = 15_000;
const FIND_DEADLINE_MS = 10_000;
/** Drawn from an answer that names more: no answer ends the lookup before the others are heard. */
const MAX_PROVIDERS_AN_ANSWER = 200;
const MAX_PROVIDERS_A_LOOKUP = 2000;

export class Rendezvous {
  private readonly deps: RendezvousDependencies;
  private readonly keys: { readonly cid: CID; providedAtMs: number | undefined }[];
  private loop: Repeating | undefined;
  private eagerRounds = 0;

  constructor(deps: RendezvousDependencies, options: { readonly topicNames: readonly string[] }) {
    this.deps = deps;
    this.keys = options.topicNames.map((name) => ({ cid: rendezvousCid(name), providedAtMs: undefined }));
  }

  start(): void {
    this.loop ??= repeating(
      (signal) => this.round(signal),
      { firstMs: 100, nextMs: () => (this.eagerRounds < EAGER_ROUNDS ? EAGER_MS : CALM_MS) },
      (error) => this.deps.log.debug({ err: error }, 'rendezvous round failed'),
    );
  }

  stop(): void {
    this.loop?.stop();
    this.loop = undefined;
  }

  /** A peer that serves the DHT came and may know nothing of us: provide anew, unless that has just been done. */
  dhtPeerCame(): void {
    const justNowMs = this.deps.nowMs() - PROVIDE_PAUSE_MS;
    for (const key of this.keys) {
      if (key.providedAtMs !== undefined && key.providedAtMs < justNowMs) key.providedAtMs = undefined;
    }
    if (this.deps.connectedCount() > FEW_PEERS) return;
    this.eagerRounds = Math.min(this.eagerRounds, EAGER_ROUNDS - EAGER_AGAIN);
    this.loop?.wake();
  }

  private async round(signal: AbortSignal): Promise<void> {
    this.eagerRounds += 1;
    const outcomes = await Promise.all(this.keys.map((key) => this.provideAndFind(key, signal)));
    const ok = outcomes.filter(Boolean).length;
    this.deps.rounds.add(1, { outcome: ok === outcomes.length ? 'complete' : ok > 0 ? 'partial' : 'failed' });
  }

  private async provideAndFind(
    key: { readonly cid: CID; providedAtMs: number | undefined },
    signal: AbortSignal,
  ): Promise<boolean> {
    let ok = true;
    const now = this.deps.nowMs();
    if (key.providedAtMs === undefined || now - key.providedAtMs > PROVIDE_AGAIN_MS) {
      const stored = await this.provide(key.cid, signal);
      if (stored) key.providedAtMs = now;
      ok = stored;
    }
    return (await this.find(key.cid, signal)) && ok;
  }

  /** True when at least one other peer took the record. */
  private async provide(cid: CID, signal: AbortSignal): Promise<boolean> {
    let stored = false;
    try {
      for await (const event of this.deps.dht.provide(cid, { signal: deadline(signal, PROVIDE_DEADLINE_MS) })) {
        if (event.name === 'PEER_RESPONSE') stored = true;
      }
    } catch (error) {
      this.deps.log.trace({ err: error }, 'provide failed');
    }
    return stored;
  }

  private async find(cid: CID, signal: AbortSignal): Promise<boolean> {
    let count = 0;
    try {
      for await (const event of this.deps.dht.findProviders(cid, { signal: deadline(signal, FIND_DEADLINE_MS) })) {
        if (event.name !== 'PROVIDER' && event.name !== 'PEER_RESPONSE') continue;
        for (const peer of this.drawn(event.providers)) {
          this.deps.found(peer);
          count += 1;
        }
        if (count >= MAX_PROVIDERS_A_LOOKUP) break;
      }
      return true;
    } catch (error) {
      this.deps.log.trace({ err: error }, 'lookup of providers failed');
      return false;
    }
  }

  /** Records live for a day, and those of peers that are gone stand first: which are looked at is chance. */
  private drawn(providers: readonly PeerInfo[]): readonly PeerInfo[] {
    const left = [...providers];
    const count = Math.min(left.length, MAX_PROVIDERS_AN_ANSWER);
    for (let i = 0; i < count; i += 1) {
      const at = i + Math.floor(this.deps.random() * (left.length - i));
      const [mine, other] = [left[i], left[at]];
      if (mine !== undefined && other !== undefined) [left[i], left[at]] = [other, mine];
    }
    return left.slice(0, count);
  }
}

function deadline(signal: AbortSignal, ms: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}
