// Every reader of bytes from outside.
import type { DecoderTarget, FuzzTarget, SessionTarget } from '../engine/target.ts';
import { ADDRESS_TARGETS } from './addresses.ts';
import { CAPTURE_TARGETS } from './captures.ts';
import { FORMAT_TARGETS } from './formats.ts';
import { GOSSIP_TARGETS } from './gossip.ts';
import { SERVER_TARGETS } from './servers.ts';
import { STREAM_TARGETS } from './streams.ts';
import { TEXT_TARGETS } from './texts.ts';

export const DECODERS: readonly DecoderTarget[] = [
  ...GOSSIP_TARGETS,
  ...FORMAT_TARGETS,
  ...CAPTURE_TARGETS,
  ...ADDRESS_TARGETS,
  ...TEXT_TARGETS,
];
export const SESSIONS: readonly SessionTarget[] = [...STREAM_TARGETS, ...SERVER_TARGETS];
export const TARGETS: readonly FuzzTarget[] = [...DECODERS, ...SESSIONS];
