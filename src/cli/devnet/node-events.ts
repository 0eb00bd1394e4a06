// Follows the events of a node: those of its own chain, and the blocks that its neighbours announce to it.
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pause } from '../../lib/pause.ts';

/** As the node's `/api/v1/events` has it. */
export interface NodeEvent {
  readonly id: string;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A connection that ends is opened again. */
const REOPEN_MS = 500;
const DATA = 'data: ';

/** Until the signal aborts. After a cut goes on with the event after the last one. Never rejects. */
export async function followNode(
  http: string,
  onEvent: (event: NodeEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  let since = '';
  while (!signal.aborted) {
    try {
      const { body, ok } = await fetch(`${http}/api/v1/events?types=tip,reorg,block&since=${since}`, { signal });
      if (ok && body !== null)
        for await (const line of createInterface({ input: Readable.fromWeb(body as ReadableStream) })) {
          if (!line.startsWith(DATA)) continue;
          const event = JSON.parse(line.slice(DATA.length)) as NodeEvent;
          since = event.id ?? since;
          onEvent(event);
        }
    } catch {
      // The node ended, or the connection did.
    }
    await pause(REOPEN_MS, signal);
  }
}
