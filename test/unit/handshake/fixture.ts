// A handshake between fakes: what it sends, publishes, notes, charges and disconnects can be read back. Time is moved
// by vitest's fake timers.
import { vi } from 'vitest';
import type { BlockHash, PeerId } from '../../../src/domain/ids.ts';
import type { ChainTip } from '../../../src/handshake/answer.ts';
import { Handshake, type HandshakeOptions } from '../../../src/handshake/handshake.ts';
import type { HandshakeNetwork } from '../../../src/handshake/topic-versions.ts';
import type { PeerPatch } from '../../../src/peers/registry.ts';
import { systemClock } from '../../../src/ports/clock.ts';
import type { DirectStream, JoinedTopic } from '../../../src/ports/p2p-node.ts';
import { GO_P2P } from '../../../src/wire/format.ts';
import { encodeHandshake, type HandshakeMessage } from '../../../src/wire/handshake.ts';
import { RecordedMetrics, recordingLogger } from '../../fakes/recorders.ts';

export const OWN = '12D3KooWF4fXLtfHxzwCwD2kHPvJNoAzYELUS7gxFoaTrUCGgPNg' as PeerId;
export const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY' as PeerId;
export const PREFIX = 'teranode/bitcoin/1.0.0/mainnet';
export const TOPIC = `${PREFIX}-handshake`;
export const OLD_PREFIX = 'bitcoin/mainnet';
export const OLD_TOPIC = `${OLD_PREFIX}-handshake`;
export const TOTAL = 'teranode_p2p_handshakes_total';
const HASH = '000000006a625f06636b8bb6ac7b960a8d03705d1ace08b1a19da3fdcc99ddbd' as BlockHash;

export function message(changes: Partial<HandshakeMessage> = {}): HandshakeMessage {
  return {
    type: 'version',
    peerId: PEER,
    bestHeight: 2,
    bestHash: HASH,
    dataHubUrl: 'http://peer.example/api/v1',
    userAgent: 'teranode/bitcoin/v1.0.0',
    services: 0n,
    topicPrefix: PREFIX,
    ...changes,
  };
}

/** What is sent and to whom, as text. */
interface Sent {
  readonly peerId: PeerId;
  readonly text: string;
}

export class World {
  readonly sent: Sent[] = [];
  readonly published: { readonly topic: string; readonly text: string }[] = [];
  readonly disconnected: PeerId[] = [];
  readonly heard: { readonly peerId: PeerId; readonly patch: PeerPatch }[] = [];
  readonly heights = new Map<PeerId, number>();
  readonly charged: { readonly peerId: PeerId; readonly rule: string }[] = [];
  readonly ahead: PeerId[] = [];
  readonly metrics = new RecordedMetrics();
  readonly log = recordingLogger();
  readonly connected = new Set<PeerId>([PEER]);
  readonly banned = new Set<PeerId>();
  readonly subscribers = new Map<string, PeerId[]>();
  ownId = OWN;
  tip: { height: number; hash: BlockHash | undefined } = { height: 1, hash: HASH };
  /** What sending to a peer does; default: it works. */
  send: (peerId: PeerId) => Promise<void> = async () => {};
  latestTip = async (): Promise<ChainTip | undefined> => this.tip;

  make(options: Partial<HandshakeOptions> = {}): Handshake {
    return new Handshake(
      {
        node: this.node,
        ownId: this.ownId,
        chain: { latestTip: () => this.latestTip() },
        registry: { heard: (peerId, patch) => this.heard.push({ peerId, patch }) },
        isConnected: (peerId) => this.connected.has(peerId),
        isBanned: (peerId) => this.banned.has(peerId),
        penalize: (peerId, rule) => this.charged.push({ peerId, rule }),
        onAhead: (peerId) => this.ahead.push(peerId),
        clock: systemClock,
        log: this.log,
        metrics: this.metrics,
        random: () => 0.5,
      },
      {
        networks: [this.network(PREFIX, TOPIC)],
        userAgent: 'teranode/bitcoin/v9.9.9',
        dataHubUrl: 'http://us.example/api/v1',
        services: 1n,
        topicSize: 1,
        topicTimeoutMs: 5000,
        mayUseUrl: (url) => !url.includes('private'),
        ...options,
      },
    );
  }

  /** Everybody is connected to each network's node, unless `isConnected` says otherwise. */
  network(
    topicPrefix: string,
    topic: string,
    isConnected: HandshakeNetwork['isConnected'] = () => true,
  ): HandshakeNetwork {
    return { topicPrefix, topic, wire: GO_P2P, node: this.node, isConnected };
  }

  readonly node = {
    publish: async (topic: string, bytes: Uint8Array) => {
      this.published.push({ topic, text: Buffer.from(bytes).toString() });
      return 'published' as const;
    },
    sendToPeer: async (peerId: PeerId, bytes: Uint8Array) => {
      await this.send(peerId);
      this.sent.push({ peerId, text: Buffer.from(bytes).toString() });
    },
    disconnectPeer: async (peerId: PeerId) => {
      this.disconnected.push(peerId);
    },
    getTopic: (name: string): JoinedTopic => ({
      name,
      subscribers: () => this.subscribers.get(name) ?? [],
      mesh: () => [],
    }),
    updatePeerHeight: (peerId: PeerId, height: number) => void this.heights.set(peerId, height),
  };

  /** Types of what was sent to a peer. */
  typesTo(peerId: PeerId): string[] {
    return this.sent.filter((each) => each.peerId === peerId).map(({ text }) => JSON.parse(text).type);
  }

  count(outcome: string, labels: Record<string, string> = {}): number {
    return this.metrics.count(TOTAL, { outcome, ...labels });
  }
}

/** A direct stream whose reading ends as told; `silent` ones end when they are aborted. */
export class FakeStream implements DirectStream {
  readonly peerId: PeerId;
  closed = false;
  aborted: Error | undefined;
  readonly asked: { maxBytes: number; deadlineMs: number }[] = [];
  private readonly content: Uint8Array | Error | 'silent';
  private readonly end = Promise.withResolvers<Uint8Array>();

  constructor(peerId: PeerId, content: Uint8Array | string | Error) {
    this.peerId = peerId;
    this.content = typeof content === 'string' && content !== 'silent' ? Buffer.from(content) : (content as 'silent');
    this.end.promise.catch(() => {});
  }

  static of(sent: HandshakeMessage, peerId: PeerId = PEER): FakeStream {
    return new FakeStream(peerId, encodeHandshake(sent));
  }

  async readToEnd(maxBytes: number, deadlineMs: number): Promise<Uint8Array> {
    this.asked.push({ maxBytes, deadlineMs });
    if (this.content instanceof Error) throw this.content;
    return this.content === 'silent' ? await this.end.promise : this.content;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  abort(reason: Error): void {
    this.aborted ??= reason;
    this.end.reject(reason);
  }
}

/** Moves time and lets everything due happen. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
