// What the page of a development network shows, as signals, and the orders that it gives.
import { batch, signal } from '@preact/signals';
import type { DevnetItem, DevnetMovement, DevnetState } from '../model/api-types.ts';
import { ApiError, call } from './api.ts';

/** An event that was kept: with time and text. */
export type DevnetLine = Exclude<DevnetItem, DevnetMovement>;

export const state = signal<DevnetState | undefined>(undefined);
/** Latest first. */
export const lines = signal<readonly DevnetLine[]>([]);
export const stream = signal<'connecting' | 'live' | 'lost'>('connecting');
/** Whether the state arrives. */
export const answers = signal(true);
/** What became of the last order. */
export const result = signal('');

const MAX_LINES = 200;
const POLL_MS = 2000;
const RETRY_MS = 1000;
/** After an event; further ones meanwhile count as one. */
const SOON_MS = 200;
/** A node may take its time to stop. */
const ORDER_DEADLINE_MS = 30_000;

const movementListeners = new Set<(movement: DevnetMovement) => void>();
let readsSoon = false;
/** Id of the last event that was seen. */
let since = '';

/** Calls `listener` for each hop of a block, until the returned function is called. */
export function onMovement(listener: (movement: DevnetMovement) => void): () => void {
  movementListeners.add(listener);
  return () => movementListeners.delete(listener);
}

/** For the life of the page. Nothing is asked for while the page is hidden. */
export function startFollowing(): void {
  follow();
  void read();
  setInterval(() => document.hidden || void read(), POLL_MS);
}

/** Posts to the control API. `done`: what to say when it is done. Never rejects. */
export async function order(done: string, ...requests: readonly (readonly [path: string, body: object])[]) {
  try {
    for (const [path, body] of requests)
      await call(`/devnet/${path}`, { method: 'POST', body, deadlineMs: ORDER_DEADLINE_MS });
    result.value = done;
  } catch (error) {
    result.value = `Refused: ${error instanceof ApiError ? error.message : String(error)}`;
  }
  await read();
}

/** After a cut goes on after the last event. What the command refuses ends an EventSource, so each has one chance. */
function follow(): void {
  const source = new EventSource(`/devnet/events?since=${encodeURIComponent(since)}`);
  source.onopen = () => {
    stream.value = 'live';
    readSoon();
  };
  source.onmessage = ({ data, lastEventId }) => {
    since = lastEventId;
    take(JSON.parse(data) as DevnetItem);
  };
  source.onerror = () => {
    source.close();
    stream.value = 'lost';
    setTimeout(follow, RETRY_MS);
  };
}

function take(item: DevnetItem): void {
  if (item.event === 'heard') for (const listener of movementListeners) listener(item);
  else lines.value = [item, ...lines.value].slice(0, MAX_LINES);
  readSoon();
}

function readSoon(): void {
  if (readsSoon) return;
  readsSoon = true;
  setTimeout(() => {
    readsSoon = false;
    void read();
  }, SOON_MS);
}

async function read(): Promise<void> {
  try {
    const next = await call<DevnetState>('/devnet');
    batch(() => {
      state.value = next;
      answers.value = true;
    });
  } catch {
    answers.value = false;
  }
}
