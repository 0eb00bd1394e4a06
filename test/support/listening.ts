// Reads the events of a listener of the library, and keeps them for tests.
import { onTestFinished } from 'vitest';
import type { ListenEvent } from '../../src/library/events.ts';
import { type Listener, type ListenerReady, listen } from '../../src/library/listener.ts';
import type { ListenOptions } from '../../src/library/options.ts';
import type { Network } from '../../src/wire/networks.ts';
import { waitFor } from './wait.ts';

export interface Listening {
  readonly listener: Listener;
  readonly ready: ListenerReady;
  readonly events: readonly ListenEvent[];
  /** Events of one type so far. */
  of<T extends ListenEvent['type']>(type: T): Extract<ListenEvent, { readonly type: T }>[];
  /** The first event of the type that `isIt` holds for. */
  first<T extends ListenEvent['type']>(
    type: T,
    isIt?: (event: Extract<ListenEvent, { readonly type: T }>) => boolean,
  ): Promise<Extract<ListenEvent, { readonly type: T }>>;
}

export async function startListening(network: Network, options: ListenOptions): Promise<Listening> {
  const listener = listen(network, options);
  onTestFinished(() => listener.close());
  const events: ListenEvent[] = [];
  const reading = (async () => {
    for await (const event of listener) events.push(event);
  })();
  reading.catch(() => {});
  const of = <T extends ListenEvent['type']>(type: T) =>
    events.filter((event): event is Extract<ListenEvent, { readonly type: T }> => event.type === type);
  return {
    listener,
    ready: await listener.ready,
    events,
    of,
    first: async (type, isIt = () => true) => await waitFor(() => of(type).find(isIt), { what: `a ${type} event` }),
  };
}
