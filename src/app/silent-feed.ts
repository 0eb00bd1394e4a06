// Watches whether messages still come while peers are connected: one log line when the feed goes silent and one when it
// recovers, a metric for the alert, and a check that readiness lists.
import { type Repeating, repeating } from '../lib/repeating.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { ProbeResult } from '../ports/producer.ts';
import type { Settings } from '../settings/load.ts';
import { Silence } from '../watch/silence.ts';
import type { Core } from './core.ts';
import type { Nodes } from './nodes.ts';

const CHECK_MS = 1000;

export interface SilentFeed extends Pick<Silence, 'feed' | 'lastMessages'> {
  /** A valid message came. */
  heard(topicName: string): void;
  /** Not ok only where `p2p_silent_fails_readiness` says so. */
  health(): ProbeResult;
  start(): void;
  /** May be called twice. */
  stop(): void;
}

export function createSilentFeed(
  settings: Settings,
  deps: Core & { readonly nodes: Nodes; readonly networks: readonly P2PNetwork[] },
): SilentFeed {
  const { log, metrics, nodes, networks } = deps;
  const { p2p_silent_after: silentAfterMs, p2p_silent_fails_readiness: failsReadiness } = settings;
  const topics = [...new Set(networks.flatMap((network) => Object.values(network.topics)))];
  let wasSilent = false;
  const silence = new Silence(
    {
      ...deps,
      peers: () => new Set(topics.flatMap((topic) => nodes.getTopic(topic)?.subscribers() ?? [])).size,
      changed: ({ to, feed: { peers, silentForMs } }) => {
        if (to !== 'silent') return;
        wasSilent = true;
        const event = 'feed went silent: peers are connected and no valid message comes; run doctor';
        log.warn({ peers, silentForMs: Math.round(silentForMs) }, event);
      },
    },
    { topics, silentAfterMs: silentAfterMs === 0 ? Number.POSITIVE_INFINITY : silentAfterMs },
  );
  const isSilent = () => silence.feed().state === 'silent';
  metrics.gauge(
    'teranode_p2p_feed_silent',
    '1 while peers that share topics are connected and no valid message came for p2p_silent_after, else 0',
    () => Number(isSilent()),
  );
  const help = 'Seconds without a valid message while peers that share topics are connected, else 0';
  metrics.gauge('teranode_p2p_feed_silent_seconds', help, () => silence.feed().silentForMs / 1000);
  let loop: Repeating | undefined;
  return {
    feed: () => silence.feed(),
    lastMessages: () => silence.lastMessages(),
    heard: (topic) => {
      silence.heard(topic);
      if (!wasSilent) return;
      wasSilent = false;
      log.info({ topic }, 'feed recovered');
    },
    health: () => ({ ok: !(failsReadiness && isSilent()), details: detailsOf(silence) }),
    start: () => {
      const failed = (error: unknown) => log.warn({ err: error }, 'failed to check for a silent feed');
      const check = async () => void silence.check();
      loop ??= repeating(check, { firstMs: CHECK_MS, nextMs: () => CHECK_MS }, failed);
    },
    stop: () => loop?.stop(),
  };
}

function detailsOf(silence: Silence): string {
  const { state, peers, silentForMs } = silence.feed();
  const seconds = Math.round(silentForMs / 1000);
  if (state === 'alone') return 'no connected peer shares a topic with this node';
  if (state === 'flowing') return `last valid message or first peer ${seconds} s ago`;
  return `degraded: no valid message for ${seconds} s; connected peers that share topics: ${peers}; run doctor`;
}
