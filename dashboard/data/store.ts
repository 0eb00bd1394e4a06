// What the views show: signals that the feed and the polled answers of the API set.
import { computed, signal } from '@preact/signals';
import type { Ban, FeedEvent, Health, Network, Peer, Sync } from '../model/api-types.ts';
import { FeedWindow } from '../model/feed-window.ts';
import { shortId } from '../model/format.ts';
import { NetworkGraph, type Pulse } from '../model/graph.ts';
import { Rates } from '../model/rates.ts';
import { Samples } from '../model/samples.ts';
import type { ApiError } from './api.ts';
import type { StreamState } from './stream.ts';

const SLOT_MS = 2000;
/** Ten minutes of slots, or of samples. */
const SLOTS = 300;
export const KEPT_PER_TYPE = 300;

export const sync = signal<Sync | undefined>(undefined);
export const network = signal<Network | undefined>(undefined);
export const peers = signal<readonly Peer[]>([]);
/** Client names of the connected peers by peer ID. */
export const names = new Map<string, string>();
export const health = signal<Health | undefined>(undefined);
export const bans = signal<{ readonly total: number; readonly bans: readonly Ban[] } | undefined>(undefined);

/** Of this node, as it names itself in its own announcements. */
export const self = signal<{ readonly peerId?: string; readonly clientName?: string; readonly version?: string }>({});

export const stream = signal<StreamState>('connecting');
/** Why the API refuses what the page asks for. */
export const refusal = signal<ApiError | undefined>(undefined);
/** Whether the polled answers arrive. */
export const answers = signal(true);
export const eventCount = signal(0);
/** Rises when the views of the feed, charts and graph have something new to show. */
export const feedVersion = signal(0);
export const sampleVersion = signal(0);
/** For texts such as "2 min ago". */
export const nowMs = signal(Date.now());

export const selfName = computed(() => self.value.clientName || 'this node');

export const COUNTED = ['block', 'subtree', 'rejected_tx', 'node_status'] as const;
export const rates = new Rates(COUNTED, { slotMs: SLOT_MS, slots: SLOTS, nowMs: Date.now() });
/** Accepted, ignored, rejected messages of the last minute. */
export const results = new Samples(3, SLOTS);
/** Median and 99th percentile of the delay of later deliveries behind the first in the last minute, in ms. */
export const delays = new Samples(2, SLOTS);
export const feed = new FeedWindow(KEPT_PER_TYPE);
export const graph = new NetworkGraph();

const pulseListeners = new Set<(pulse: Pulse) => void>();
const MIN_SHOWN_MS = 200;
let isFrameAsked = false;
let shownAtMs = 0;
let received = 0;

export function peerName(peerId: string): string {
  return names.get(peerId) ?? shortId(peerId);
}

/** Calls `listener` for each announcement that can be drawn, until the returned function is called. */
export function onPulse(listener: (pulse: Pulse) => void): () => void {
  pulseListeners.add(listener);
  return () => pulseListeners.delete(listener);
}

/** Counts an event and keeps it. Views follow a few times per second, however many events come. */
export function takeEvent(event: FeedEvent): void {
  received += 1;
  rates.count(event.type, Date.now());
  feed.add(event);
  if (event.isOwn === true && event.peerId !== undefined) noteSelf(event);
  const pulse = graph.note(event);
  if (pulse !== undefined) for (const listener of pulseListeners) listener(pulse);
  showSoon();
}

/** What the server remembers from before the page was opened, latest first. */
export function takeEarlier(events: readonly FeedEvent[]): void {
  for (const event of events.toReversed()) {
    if (event.isOwn === true) noteSelf(event);
    else graph.note(event);
  }
  feed.addEarlier(events);
  showSoon();
}

function noteSelf({ peerId, clientName, version }: FeedEvent): void {
  if (peerId === undefined) return;
  const now = self.value;
  const next = { peerId, clientName: clientName ?? now.clientName, version: version ?? now.version };
  if (now.peerId === next.peerId && now.clientName === next.clientName && now.version === next.version) return;
  self.value = next as typeof now;
}

function showSoon(): void {
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(function show(atMs) {
    if (atMs - shownAtMs < MIN_SHOWN_MS) {
      requestAnimationFrame(show);
      return;
    }
    isFrameAsked = false;
    shownAtMs = atMs;
    eventCount.value = received;
    feedVersion.value += 1;
  });
}
