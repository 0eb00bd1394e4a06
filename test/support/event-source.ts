// A client of Server-Sent Events on the bare response, written from the HTML standard: it sees every block, may stop
// reading, and knows where it would resume.
import { type IncomingMessage, request } from 'node:http';
import { waitFor } from './wait.ts';

export interface ReceivedEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const open = new Set<IncomingMessage>();

/** Connections of the tests so far are cut. */
export function cutStreams(): void {
  for (const response of open) response.destroy();
  open.clear();
}

export class EventClient {
  readonly response: IncomingMessage;
  readonly events: ReceivedEvent[] = [];
  /** Blocks that are only comments. */
  beats = 0;
  /** That of the first block. */
  firstId = '';
  lastId = '';
  retryMs: number | undefined;
  isEnded = false;
  private rest = '';

  private constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.read(text));
    response.on('end', () => {
      this.isEnded = true;
    });
    response.on('error', () => {});
  }

  /** `query` with its question mark. Throws for any answer but 200. */
  static async open(address: string, query = '', headers: Readonly<Record<string, string>> = {}): Promise<EventClient> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`http://${address}/api/v1/events${query}`, { headers, agent: false }, resolve)
        .once('error', reject)
        .end();
    });
    open.add(response);
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
    const client = new EventClient(response);
    await waitFor(() => client.lastId !== '', { what: 'the first block' });
    return client;
  }

  /** Resolves when so many events have come. */
  async received(count: number): Promise<readonly ReceivedEvent[]> {
    await waitFor(() => this.events.length >= count, { what: `${count} events, of ${this.events.length}` });
    return this.events;
  }

  close(): void {
    this.response.destroy();
  }

  private read(text: string): void {
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop() ?? '';
    for (const block of blocks) this.dispatch(block);
  }

  private dispatch(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
      if (name !== '') fields.set(name, value);
    }
    if (fields.size === 0) this.beats += 1;
    this.lastId = fields.get('id') ?? this.lastId;
    this.firstId ||= this.lastId;
    const retry = fields.get('retry');
    if (retry !== undefined) this.retryMs = Number(retry);
    const data = fields.get('data');
    if (data === undefined) return;
    this.events.push({ id: this.lastId, event: fields.get('event') ?? 'message', data: JSON.parse(data) });
  }
}
