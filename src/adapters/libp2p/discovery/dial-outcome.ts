// Tells a dial that may work later from a hopeless one, by the error's name and code, never by its text; and says to
// people why it failed.
import { P2PError } from '../../../lib/errors.ts';
import type { DialStage } from '../connections/dial-stage.ts';
import type { DialOutcome } from './dialer.ts';

/** Names of libp2p errors after which the same address cannot work until something changes. */
const HOPELESS = new Set(['InvalidMultiaddrError', 'InvalidPeerIdError', 'NoValidAddressesError']);
const MAX_REASONS = 8;
const MAX_TEXT_CHARS = 200;

/** Name or code of an error -> what it means. The first that applies is shown. */
const MEANINGS: readonly (readonly [name: string, meaning: string])[] = [
  ['DialDeniedError', 'this node refuses the peer or its address (banned, or a private address)'],
  ['EADDRREFUSED', 'this node refuses every address of the name (banned, or a private address)'],
  ['InvalidPeerIdError', 'it is this node itself'],
  ['NoValidAddressesError', 'this node has no transport for the address'],
  ['ECONNREFUSED', 'connection refused'],
  ['ENOTFOUND', 'the name is not known'],
  ['EHOSTUNREACH', 'no route to the host'],
  ['ENETUNREACH', 'no route to the network'],
  ['TimeoutError', 'no answer in time'],
  ['AbortError', 'no answer in time'],
];

/** What TLS and Noise say of a peer that proves another ID than the expected one; libp2p keeps their text only. */
const OTHER_PEER = /^Unexpected Peer$|does not match expected remote identity key/i;

/** An error, the errors that it collects and its causes, up to a limit. */
function all(error: unknown, depth = 0): Error[] {
  if (!(error instanceof Error) || depth > 4) return [];
  const inner = error instanceof AggregateError ? error.errors.slice(0, MAX_REASONS) : [];
  return [error, ...inner.flatMap((each) => all(each, depth + 1)), ...all(error.cause, depth + 1)];
}

function names(errors: readonly Error[]): string[] {
  return errors.flatMap((error) =>
    'code' in error && typeof error.code === 'string' ? [error.name, error.code] : [error.name],
  );
}

export interface FailedDial {
  readonly outcome: DialOutcome;
  /** Names and codes, for the log. */
  readonly reason: string;
  /** What an operator should look at first; undefined where nothing points at it. */
  readonly likelyCause: string | undefined;
  /** In words. */
  readonly failure: string;
  readonly stage: string;
}

type DialFacts = Pick<DialStage, 'stage' | 'hasSharedKey'>;

export function dialOutcome(error: unknown, facts: DialFacts): FailedDial {
  const said = names(all(error));
  return {
    outcome: said.some((name) => HOPELESS.has(name)) ? 'hopeless' : 'failed',
    reason: [...new Set(said)].slice(0, MAX_REASONS).join(' '),
    likelyCause: sharedKeyCause(said, facts),
    failure: dialFailure(error, facts),
    stage: facts.stage,
  };
}

/** For whoever asked for the connection. */
export function unreachable(address: string, cause: unknown, facts: DialFacts): P2PError {
  const message = `failed to connect to the peer: ${dialFailure(cause, facts)}`;
  return new P2PError('PEER_UNREACHABLE', message, { details: { address }, cause });
}

/** Why a dial failed, in a few words. */
function dialFailure(error: unknown, facts: DialFacts): string {
  const errors = all(error);
  const said = new Set(names(errors));
  const likelyCause = sharedKeyCause([...said], facts);
  if (likelyCause !== undefined) return likelyCause;
  if (facts.stage === 'exchanging nonces')
    return 'the peer ended the connection, or was silent, before encryption: it refuses this node, or uses no shared key (p2p_shared_key)';
  const meaning = MEANINGS.find(([name]) => said.has(name))?.[1];
  const handshake = errors.find(({ name }) => name === 'EncryptionFailedError')?.message;
  if (handshake !== undefined && OTHER_PEER.test(handshake)) return 'another peer ID answers there';
  return meaning ?? handshake?.slice(0, MAX_TEXT_CHARS) ?? [...said].slice(0, MAX_REASONS).join(' ');
}

function sharedKeyCause(said: readonly string[], { stage, hasSharedKey }: DialFacts): string | undefined {
  if (stage !== 'negotiating security') return undefined;
  if (hasSharedKey) return 'the shared key of the peer probably differs from p2p_shared_key of this node';
  // A peer that is only slow says nothing, and one with a shared key says what is no multistream.
  const isSilent = said.some((name) => name === 'TimeoutError' || name === 'AbortError');
  if (isSilent) return undefined;
  // A peer that refuses this address closes the connection before it says a word, which looks the same.
  return 'the peer probably uses a shared key (p2p_shared_key), and this node uses none; or it refuses this node, whose address may be banned, or private (p2p_allow_private_ips of the peer)';
}
