// The feed of events: connects to /api/v1/events, and after a cut again from the last event that was seen, so that no
// event is missed or counted twice. After a restart of the server it goes on with what happened since. Of several tabs
// one is connected; the others hear from it.
import type { FeedEvent } from '../model/api-types.ts';
import { isSeen, lostBefore, type Place, parsePlace } from '../model/place.ts';
import { SseParser } from '../model/sse.ts';
import { type ApiError, keyHeaders, problemOf } from './api.ts';
import { type TabMessage, Tabs } from './tabs.ts';

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
  private state: StreamState = 'connecting';
  /** This tab reads for the others. */
  private isReader = false;
  private readonly tabs = new Tabs((message) => this.hear(message));

  constructor(listener: StreamListener) {
    this.listener = listener;
  }

  /** Runs for as long as the page is open. */
  async run(): Promise<void> {
    this.listener.onState('connecting');
    for (;;) {
      this.tabs.tell({ kind: 'hello' });
      await this.tabs.inTurn(() => this.read());
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

  /** The page is left. The browser may keep it for the way back, with its turn to read for others. */
  leave(): void {
    this.isReader = false;
    this.abort.abort();
    this.tabs.leave();
  }

  private async read(): Promise<void> {
    this.isReader = true;
    this.abort = new AbortController();
    await this.connect(this.abort).catch(() => this.enter('lost'));
    this.isReader = false;
  }

  private enter(state: StreamState, problem?: ApiError): void {
    this.state = state;
    this.listener.onState(state, problem);
    if (this.isReader && (state === 'lost' || state === 'starting')) this.tabs.tell({ kind: 'state', state });
  }

  private hear(message: TabMessage): void {
    if (this.isReader) {
      if (message.kind === 'hello' && this.state === 'live')
        this.tabs.tell({ kind: 'live', id: this.since, isFresh: false });
      return;
    }
    if (message.kind === 'state') this.enter(message.state);
    else if (message.kind === 'event') this.take(message.id, message.event, message.data);
    else if (message.kind === 'live') {
      this.noteLost(message.id, message.isFresh);
      this.begin(message.id);
    }
  }

  /** The tab that reads is further on than this one. Of a restart of the server it tells when it knows of it itself. */
  private noteLost(id: string | undefined, isFresh: boolean): void {
    const lost = lostBefore(this.place, id);
    if (lost === undefined || (lost.reason === 'restarted' && !isFresh)) return;
    this.listener.onEvent({ type: 'lost', atMs: Date.now(), ...lost } as FeedEvent);
  }

  private async connect(abort: AbortController): Promise<void> {
    const query = this.since === undefined ? '' : `?since=${encodeURIComponent(this.since)}`;
    let silence = setTimeout(() => abort.abort(), SILENT_MS);
    try {
      const response = await fetch(`/api/v1/events${query}`, { headers: keyHeaders(), signal: abort.signal });
      if (!response.ok || response.body === null) {
        const problem = await problemOf(response, await response.json().catch(() => undefined));
        this.enter(problem.needsKey ? 'refused' : 'starting', problem);
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
      this.enter('lost');
    } finally {
      clearTimeout(silence);
    }
  }

  private take(id: string | undefined, type: string, data: string): void {
    if (type === '') {
      // The first message: where the server begins.
      if (this.isReader) this.tabs.tell({ kind: 'live', id: id ?? this.since, isFresh: this.since === undefined });
      this.begin(id);
      return;
    }
    if (this.isReader) this.tabs.tell({ kind: 'event', id, event: type, data });
    if (type !== 'lost' && isSeen(this.place, id)) return;
    this.listener.onEvent(JSON.parse(data) as FeedEvent);
    this.moveTo(id);
  }

  private begin(id: string | undefined): void {
    this.retryMs = FIRST_RETRY_MS;
    // A tab that hears another hears this whenever a third one is opened.
    if (this.isReader || this.state !== 'live') this.enter('live');
    if (!isSeen(this.place, id)) this.moveTo(id);
  }

  private moveTo(id: string | undefined): void {
    this.since = id ?? this.since;
    this.place = parsePlace(this.since);
  }
}
