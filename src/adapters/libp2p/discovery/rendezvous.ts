// Peers of one network discover each other through the DHT: each provides and looks up one key per topic, CIDv1(raw,
// sha2-256(topic name)), as Go's routing discovery does. An error never ends it, and it tries again as soon as a DHT
// peer connects instead of two minutes later.
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

/** The key that the peers of a topic provide. */
export function rendezvousCid(topicName: string): CID {
  return CID.createV1(raw.code, Digest.create(SHA2_256, createHash('sha256').update(topicName).digest()));
}

export interface RendezvousDependencies {
  readonly dht: Pick<KadDHT, 'provide' | 'findProviders'>;
  readonly log: Logger;
  readonly rounds: Counter;
  readonly nowMs: () => number;
  readonly connectedCount: () => number;
  /** Called for each provider; must not throw. */
  readonly found: (peer: PeerInfo) => void;
  readonly random: () => number;
}

/** Rounds at the fast pace while the network forms; slow afterwards. */
const FAST_ROUNDS = 20;
/** Rounds at the fast pace when a DHT peer connects to a node with few peers. */
const FAST_ROUNDS_AGAIN = 4;
/** With this many peers the node has found its network. */
const FEW_PEERS = 10;
const FAST_INTERVAL_MS = 500;
const SLOW_INTERVAL_MS = 30_000;
/** Go's records live for 24 h, but a restarted bootstrap node has lost them: provide again well before. */
const PROVIDE_AGAIN_MS = 10 * 60_000;
/** Many peers may connect together, e.g. to a bootstrap node: one round serves all of them. */
const PROVIDE_PAUSE_MS = 5000;
const PROVIDE_DEADLINE_MS = 15_000;
const FIND_DEADLINE_MS = 10_000;
/** Providers taken from one answer, at random: no single answer may end the lookup. */
const MAX_PROVIDERS_PER_ANSWER = 200;
const MAX_PROVIDERS_PER_LOOKUP = 2000;

export class Rendezvous {
  private readonly deps: RendezvousDependencies;
  private readonly keys: { readonly cid: CID; providedAtMs: number | undefined }[];
  private loop: Repeating | undefined;
  private fastRounds = 0;

  constructor(deps: RendezvousDependencies, options: { readonly topicNames: readonly string[] }) {
    this.deps = deps;
    this.keys = options.topicNames.map((name) => ({ cid: rendezvousCid(name), providedAtMs: undefined }));
  }

  start(): void {
    this.loop ??= repeating(
      (signal) => this.round(signal),
      { firstMs: 100, nextMs: () => (this.fastRounds < FAST_ROUNDS ? FAST_INTERVAL_MS : SLOW_INTERVAL_MS) },
      (error) => this.deps.log.debug({ err: error }, 'failed to run a discovery round'),
    );
  }

  stop(): void {
    this.loop?.stop();
    this.loop = undefined;
  }

  /** A peer that serves the DHT connected and may not have our record: provides again, unless that was just done. */
  dhtPeerConnected(): void {
    const justNowMs = this.deps.nowMs() - PROVIDE_PAUSE_MS;
    for (const key of this.keys) {
      if (key.providedAtMs !== undefined && key.providedAtMs < justNowMs) key.providedAtMs = undefined;
    }
    if (this.deps.connectedCount() > FEW_PEERS) return;
    this.fastRounds = Math.min(this.fastRounds, FAST_ROUNDS - FAST_ROUNDS_AGAIN);
    this.loop?.wake();
  }

  private async round(signal: AbortSignal): Promise<void> {
    this.fastRounds += 1;
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

  /** True when at least one other peer stored the record. */
  private async provide(cid: CID, signal: AbortSignal): Promise<boolean> {
    let stored = false;
    try {
      for await (const event of this.deps.dht.provide(cid, { signal: deadline(signal, PROVIDE_DEADLINE_MS) })) {
        if (event.name === 'PEER_RESPONSE') stored = true;
      }
    } catch (error) {
      this.deps.log.trace({ err: error }, 'failed to provide');
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
        if (count >= MAX_PROVIDERS_PER_LOOKUP) break;
      }
      return true;
    } catch (error) {
      this.deps.log.trace({ err: error }, 'failed to look up providers');
      return false;
    }
  }

  /** A random selection: records live for a day, and those of peers that are gone come first. */
  private drawn(providers: readonly PeerInfo[]): readonly PeerInfo[] {
    const left = [...providers];
    const count = Math.min(left.length, MAX_PROVIDERS_PER_ANSWER);
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
