// The events of a development network as Server-Sent Events, for its page: the latest ones, then each as it happens. A
// page that was away names the last id that it has seen; ids of an earlier start of the command are of another epoch.
import type { ServerResponse } from 'node:http';
import { type DevnetEvent, eventDetails } from './events.ts';

/** How a block travels; too much to be printed. */
export type Movement =
  /** `from`: the node or liar that brought the announcement; by its name. */
  { readonly event: 'heard'; readonly node: number; readonly from: string; readonly hash: string };

/** What the page gets. Movements have no id, text and time: they are not kept. */
export type FeedItem = (DevnetEvent & { readonly atMs: number; readonly text: string }) | Movement;

const MAX_KEPT = 200;
const MAX_CLIENTS = 20;
/** Of a client that reads too slowly. It connects again and goes on where it was. */
const MAX_WAITING_BYTES = 256 * 1024;
const BEAT_MS = 15_000;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  connection: 'close',
};

export class DevnetFeed {
  private readonly epoch = Date.now().toString(36);
  private readonly kept: { readonly number: number; readonly message: string }[] = [];
  private readonly clients = new Set<ServerResponse>();
  private readonly beat = setInterval(() => this.send(':\n\n'), BEAT_MS).unref();
  private last = 0;

  /** Kept for pages that are opened later. */
  note(event: DevnetEvent): void {
    // It changes every half second and says little afterwards.
    if (event.event === 'progress') return;
    this.last += 1;
    const item: FeedItem = { ...event, atMs: Date.now(), text: eventDetails(event) };
    const message = `id: ${this.epoch}-${this.last}\n${messageOf(item)}`;
    this.kept.push({ number: this.last, message });
    if (this.kept.length > MAX_KEPT) this.kept.shift();
    this.send(message);
  }

  move(movement: Movement): void {
    this.send(messageOf(movement));
  }

  /** False: there are too many clients. `since`: the last id that the client has seen. */
  open(response: ServerResponse, since: string | null): boolean {
    if (this.clients.size >= MAX_CLIENTS) return false;
    const [, epoch, number] = /^([0-9a-z]{1,20})-(\d{1,15})$/.exec(since ?? '') ?? [];
    const after = epoch === this.epoch ? Number(number) : 0;
    response.writeHead(200, HEADERS);
    response.write(`id: ${this.epoch}-${after}\n\n`);
    for (const { number: each, message } of this.kept) if (each > after) response.write(message);
    this.clients.add(response);
    response.once('close', () => this.clients.delete(response));
    return true;
  }

  stop(): void {
    clearInterval(this.beat);
    for (const client of this.clients) client.end();
    this.clients.clear();
  }

  private send(message: string): void {
    for (const client of this.clients)
      if (client.writableLength > MAX_WAITING_BYTES) client.destroy();
      else client.write(message);
  }
}

function messageOf(item: FeedItem): string {
  return `data: ${JSON.stringify(item)}\n\n`;
}
