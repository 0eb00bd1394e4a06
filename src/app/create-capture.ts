// The capture of a node, where `p2p_capture_file` is set: the recorder between the parts that decide and what comes in,
// and the writer of its file.
import { randomUUID } from 'node:crypto';
import type { Publisher } from '../announce/publisher.ts';
import type { BanService } from '../bans/service.ts';
import { CaptureWriter } from '../capture/capture-writer.ts';
import { Recorder } from '../capture/recorder.ts';
import type { CapturedNetwork, CaptureHead } from '../capture/records.ts';
import { TappedBans } from '../capture/tapped-bans.ts';
import { tappedConsumer, tappedGossip, tappedProducer, tappedPublisher } from '../capture/tapped-parts.ts';
import type { ChainTracker } from '../chain/tracker.ts';
import type { PeerId } from '../domain/ids.ts';
import type { Gossip, GossipNetwork } from '../gossip/attach.ts';
import { P2PError } from '../lib/errors.ts';
import { buildVersion } from '../lib/version.ts';
import { systemClock } from '../ports/clock.ts';
import type { Logger } from '../ports/log.ts';
import type { Metrics } from '../ports/metrics.ts';
import type { P2PNetwork } from '../ports/network.ts';
import type { SyncStatus } from '../ports/sync-status.ts';
import { decidingTexts } from '../settings/deciding.ts';
import type { Settings } from '../settings/load.ts';
import { wireChoice } from '../settings/wire.ts';
import type { HandshakeMessage } from '../wire/handshake.ts';
import type { GossipSources } from './create-gossip.ts';
import type { ReportConsumers } from './create-kafka.ts';
import type { PeerKeeper } from './create-peer-registry.ts';
import type { Peers } from './create-peers.ts';

export interface CaptureSources {
  readonly ownId: PeerId;
  readonly networks: readonly P2PNetwork[];
  readonly chain: Pick<ChainTracker, 'tip' | 'isSyncing' | 'fsmState'>;
  readonly sync: SyncStatus;
  readonly bans: BanService;
  readonly peers: Pick<Peers, 'tapped'>;
  readonly keeper: Pick<PeerKeeper, 'service'>;
}

/** The parts that decide, with the recorder between them and what comes in. */
export interface CapturedParts {
  readonly networks: readonly GossipNetwork[];
  readonly producers: GossipSources['producers'];
  readonly handshake: GossipSources['handshake'];
  readonly tap?: GossipSources['tap'];
}

export interface Capture {
  readonly recorder: Recorder;
  /** Creates the file. Throws FILE_UNUSABLE. */
  begin(sources: CaptureSources): Promise<void>;
  /** Writes what waits; the caller bounds the time. May be called twice. */
  stop(): Promise<void>;
}

/** What gossip gets; the same while nothing is captured. */
export function capturedGossip<T extends CapturedParts>(capture: Capture | undefined, parts: T): T {
  if (capture === undefined) return parts;
  const { recorder: tap } = capture;
  const { producers, handshake } = parts;
  const { networks, handlingMs } = tappedGossip(tap, parts.networks);
  return {
    ...parts,
    networks,
    producers: {
      blocks: tappedProducer(tap, 'block', producers.blocks),
      subtrees: tappedProducer(tap, 'subtree', producers.subtrees),
    },
    handshake: handshake && {
      topicMessage: (message: HandshakeMessage, author: PeerId) =>
        tap.side(() => handshake.topicMessage(message, author)),
    },
    tap: { tap, handlingMs },
  };
}

interface ReportParts {
  readonly consumers: ReportConsumers;
  readonly publisher: Pick<Publisher, 'publish'>;
}

/** What the readers of reports get; the same while nothing is captured. */
export function capturedReports(capture: Capture | undefined, parts: ReportParts): ReportParts {
  if (capture === undefined) return parts;
  const { recorder } = capture;
  const { consumers, publisher } = parts;
  return {
    consumers: {
      invalidBlocks: tappedConsumer(recorder, 'invalid_block', consumers.invalidBlocks),
      invalidSubtrees: tappedConsumer(recorder, 'invalid_subtree', consumers.invalidSubtrees),
      rejectedTxs: tappedConsumer(recorder, 'rejected_tx', consumers.rejectedTxs),
    },
    publisher: tappedPublisher(recorder, (announcement) => publisher.publish(announcement)),
  };
}

/** Gossip whose clean-up is recorded. */
export function capturedCleanUp(capture: Capture | undefined, gossip: Gossip): Gossip {
  if (capture === undefined) return gossip;
  return { ...gossip, cleanUp: () => capture.recorder.tick('announcements', () => gossip.cleanUp()) };
}

/** undefined while nothing is captured. */
export function createCapture(
  settings: Settings,
  deps: { readonly log: Logger; readonly metrics: Metrics },
): Capture | undefined {
  const file = settings.p2p_capture_file;
  if (file === undefined) return undefined;
  const series = randomUUID();
  let sources: CaptureSources | undefined;
  const beginning = (part: number): Buffer[] => {
    if (sources === undefined) return [];
    const head = recorder.head(headOf(settings, sources, { series, part }));
    // What a first part begins with comes from the store, once that is open.
    if (part === 0) return [...head, ...recorder.stateFrames()];
    const { bans, peers } = sources;
    const ofBans = bans instanceof TappedBans ? bans.snapshot() : [];
    const ofPeers = peers.tapped === undefined ? [] : [peers.tapped.registry, peers.tapped.histories];
    const values = [...ofBans, ...ofPeers.flatMap((each) => each.snapshot())];
    return [...head, ...recorder.stateFrames(), ...recorder.snapshotFrames(values)];
  };
  const writer: CaptureWriter = new CaptureWriter(
    { ...deps, beginning, gap: (records) => recorder.gapFrames(records) },
    { file, maxBytes: settings.p2p_capture_max_size, maxFiles: settings.p2p_capture_max_files },
  );
  const recorder: Recorder = new Recorder({
    clock: systemClock,
    write: (frame) => writer.write(frame),
    makeRoom: () => writer.makeRoom(),
    room: (untilMs) => writer.room(untilMs),
  });
  let isEnded = false;
  return {
    recorder,
    begin: async (given) => {
      sources = given;
      const { chain, sync } = given;
      recorder.watchChain(() => ({
        tip: chain.tip(),
        isSyncing: chain.isSyncing(),
        fsmState: chain.fsmState(),
        syncPeer: sync.syncPeer(),
      }));
      try {
        await writer.start();
      } catch (cause) {
        if (cause instanceof P2PError) throw cause;
        throw new P2PError('FILE_UNUSABLE', `cannot create the capture file ${file}`, { details: { file }, cause });
      }
      deps.log.info({ file, maxBytes: settings.p2p_capture_max_size }, 'capturing what comes in');
    },
    stop: async () => {
      if (!isEnded && sources !== undefined) recorder.end();
      isEnded = true;
      await writer.stop();
    },
  };
}

function headOf(
  settings: Settings,
  { networks, ownId, keeper, bans }: CaptureSources,
  { series, part }: Pick<CaptureHead, 'series' | 'part'>,
): CaptureHead {
  const nodes = [...new Set(networks.map(({ node }) => node))];
  const { names } = wireChoice(settings);
  return {
    series,
    part,
    program: buildVersion().version,
    ownId,
    isKeptElsewhere: keeper.service !== undefined,
    isStoreShared: bans.isStoreShared,
    // The wire in force, which may follow from settings that are not kept.
    settings: { ...decidingTexts(settings), p2p_wire: names.length > 1 ? 'both' : (names[0] ?? '') },
    networks: networks.map(({ name, wire, topicPrefix, topics, node }): CapturedNetwork => {
      return { name, wire: wire.name, topicPrefix, topics: { ...topics }, node: nodes.indexOf(node) };
    }),
  };
}
