// Parts of the server that start and stop together, each in its order.
import type { Part } from './lifecycle.ts';

interface Started {
  start(): void;
}

interface Service {
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

interface GossipAndWatch {
  readonly gossip: Started & { stop(): void };
  readonly silentFeed: Started & { stop(): void };
}

interface BansAndKeeper {
  readonly bans: Service;
  readonly keeper: { readonly service: Service | undefined };
  readonly registration: (Started & { stop(): Promise<void> }) | undefined;
  readonly history: (Started & { stop(): Promise<void> }) | undefined;
}

export function gossipWithWatch({ gossip, silentFeed }: GossipAndWatch): Pick<Part, 'start' | 'stop'> {
  return {
    start: () => {
      gossip.start();
      silentFeed.start();
    },
    stop: () => {
      silentFeed.stop();
      gossip.stop();
    },
  };
}

/**
 * The peer registry is asked before the bans start, and gets what still waits while they stop. The history is in the
 * database of the bans.
 */
export function bansWithKeeper({ bans, keeper, registration, history }: BansAndKeeper): Pick<Part, 'start' | 'stop'> {
  return {
    start: async (signal) => {
      await keeper.service?.start(signal);
      registration?.start();
      await bans.start(signal);
      history?.start();
    },
    stop: async () => {
      const closed = bans.stop();
      await registration?.stop();
      await Promise.all([closed, keeper.service?.stop(), history?.stop()]);
    },
  };
}
