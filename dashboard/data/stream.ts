// The feed of events: connects to /api/v1/events, and after a cut again from the last event that was seen, so that no
// event is missed or counted twice. After a restart of the server it goes on with what happened since.
import type { FeedEvent } from '../model/api-types.ts';
import { isSeen, type Place, parsePlace } from '../model/place.ts';
import { SseParser } from '../model/sse.ts';
import { type ApiError, keyHeaders, problemOf } from './api.ts';

/** `starting`: the server answers, but has no feed yet, or none for one more reader. */
export type StreamState = 'connecting' | 'live' | 'lost' | 'refused' | 'starting';

export interface StreamListener {
  readonly onEvent: (event: FeedEvent) => void;
  readonly onState: (state: StreamState, problem?: ApiError) => void;
}

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 5000;
/** The server sends a comment every 15 s. */
const SILENT_MS = 40_000;

export class EventStream {
  private readonly listener: StreamListener;
  private place: Place | undefined;
  private since: string | undefined;
  private abort = new AbortController();
  private retryMs = FIRST_RETRY_MS;
  private wake: (() => void) | undefined;

  constructor(listener: StreamListener) {
    this.listener = listener;
  }

  /** Runs for as long as the page is open. */
  async run(): Promise<void> {
    this.listener.onState('connecting');
    for (;;) {
      this.abort = new AbortController();
      await this.connect(this.abort).catch(() => this.listener.onState('lost'));
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, this.retryMs);
      });
      this.retryMs = Math.min(this.retryMs * 2, MAX_RETRY_MS);
    }
  }

  /** Tries again at once: the admin key is another, or the network is back. */
  retry(): void {
    this.retryMs = FIRST_RETRY_MS;
    this.abort.abort();
    this.wake?.();
  }

  private async connect(abort: AbortController): Promise<void> {
    const query = this.since === undefined ? '' : `?since=${encodeURIComponent(this.since)}`;
    let silence = setTimeout(() => abort.abort(), SILENT_MS);
    try {
      const response = await fetch(`/api/v1/events${query}`, { headers: keyHeaders(), signal: abort.signal });
      if (!response.ok || response.body === null) {
        const problem = await problemOf(response, await response.json().catch(() => undefined));
        this.listener.onState(problem.needsKey ? 'refused' : 'starting', problem);
        return;
      }
      const parser = new SseParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENT_MS);
        for (const { id, event, data } of parser.push(value)) this.take(id, event, data);
      }
      this.listener.onState('lost');
    } finally {
      clearTimeout(silence);
    }
  }

  private take(id: string | undefined, type: string, data: string): void {
    if (type === '') {
      // The first message: where the server begins.
      this.retryMs = FIRST_RETRY_MS;
      this.listener.onState('live');
    } else {
      if (type !== 'lost' && isSeen(this.place, id)) return;
      this.listener.onEvent(JSON.parse(data) as FeedEvent);
    }
    this.since = id ?? this.since;
    this.place = parsePlace(this.since);
  }
}
