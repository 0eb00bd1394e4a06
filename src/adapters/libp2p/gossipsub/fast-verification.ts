// Takes the messages of Ed25519 authors past gossipsub's own steps: what waits is verified together, decided on, and
// handed to gossipsub's cache and mesh without a promise or key object per message. The results are those of gossipsub,
// which keeps all other messages. Can go when gossipsub verifies in batches. docs/adr/0004.
import type { PeerId as LibPeerId } from '@libp2p/interface';
import type { DeliveryRecord } from '../../../ports/deliveries.ts';
import type { ValidationDecision } from '../../../ports/p2p-node.ts';
import type { Verifier } from '../patches/ed25519.ts';
import { peerIdText, peerIdTextOf } from '../peer-ids.ts';
import type { MalformedRpcReport } from './malformed-rpc.ts';
import { goMessageId, IDONTWANT_MIN_BYTES, unverifiedMessageId } from './options.ts';
import { PackedBatch } from './packed-batch.ts';
import type { Delivery, GossipsubParts, Stage } from './parts.ts';
import { isPlainMessage, type PlainMessage, SIGNATURE_BYTES } from './plain-message.ts';
import type { CountedProgress } from './progress.ts';
import type { SeenMessages } from './seen-messages.ts';
import type { TopicDecision } from './topic-validator.ts';

/** A message that waits for verification, or is in it. */
export interface Received {
  readonly receivedFrom: LibPeerId;
  readonly message: PlainMessage;
  /** The ID before verification; also the final one, as author and sequence number have their usual lengths. */
  readonly id: string;
}

export type DropReason = 'queue_full';

/** What became of a message: our decision, or why there was none. */
export type Outcome = ValidationDecision | 'duplicate' | 'invalid_seqno' | 'invalid_signature' | DropReason;

/** Decides when a message is verified, and with which others. */
export interface Verification {
  /**
   * Verifies the messages and says what becomes of each: at once, or by the time that it resolves. Never throws or
   * rejects.
   */
  validate(batch: readonly Received[]): Promise<void> | undefined;
  drop(received: Received, reason: DropReason): void;
}

interface FastVerificationParts {
  readonly verifier: Pick<Verifier, 'verify' | 'verifyPacked' | 'verifyPackedAsync'>;
  /** Whether batches are verified beside the event loop, where the verifier can. */
  readonly isBesideLoop: boolean;
  readonly seen: SeenMessages;
  readonly decide: TopicDecision;
  readonly delivery: Delivery;
  /** Who delivers valid announcements first. */
  readonly deliveries: Omit<DeliveryRecord, 'preferenceOf'>;
  readonly progress: CountedProgress;
  readonly malformed: Pick<MalformedRpcReport, 'add'>;
  /** Tells mesh peers that they need not send us a message. */
  readonly sendIDontWants: GossipsubParts['sendIDontWants'];
  /** Puts a message in the queue; it comes back through `validate` or `drop`. */
  readonly enqueue: (received: Received) => void;
  /** Called with what our code or gossipsub threw: it costs one message, and no other of its batch. */
  readonly failed: (error: unknown, topic: string) => void;
}

const SEQNO_BYTES = 8;
const NO_DATA = new Uint8Array(0);
const HANDLED = Promise.resolve();

export class FastVerification implements Stage<'incoming'>, Verification {
  readonly feature = 'fastVerification';
  private readonly parts: FastVerificationParts;
  private readonly packed = new PackedBatch();
  private valid = new Uint8Array(64);
  /** Resolves when all batches that are verified beside the loop have their outcome. */
  private concluded: Promise<void> = Promise.resolve();

  constructor(parts: FastVerificationParts) {
    this.parts = parts;
  }

  /** Other kinds of keys and unusual encodings are rare and stay with gossipsub. */
  handleReceivedMessage(next: GossipsubParts['handleReceivedMessage']): GossipsubParts['handleReceivedMessage'] {
    const { delivery, progress, enqueue } = this.parts;
    return (receivedFrom, message) => {
      if (!isPlainMessage(message)) return next(receivedFrom, message);
      delivery.received(message.topic);
      progress.begun += 1;
      const received = { receivedFrom, message, id: unverifiedMessageId(message) };
      if (this.isSeen(message)) this.finish(received, 'duplicate');
      else enqueue(received);
      return HANDLED;
    };
  }

  drop(received: Received, reason: DropReason): void {
    this.finish(received, reason);
  }

  validate(batch: readonly Received[]): Promise<void> | undefined {
    const { verifier, isBesideLoop } = this.parts;
    const packed: Received[] = [];
    const ids = new Set<string>();
    /** Wait for the outcome of another message with the same ID. */
    const repeated: Received[] = [];
    this.packed.clear();
    for (const received of batch) {
      const { id, message } = received;
      const { seqno, signature } = message;
      if (this.isSeen(message)) this.finish(received, 'duplicate');
      else if (seqno?.length !== SEQNO_BYTES) this.finish(received, 'invalid_seqno');
      else if (signature?.length !== SIGNATURE_BYTES) this.finish(received, 'invalid_signature');
      else if (ids.has(id)) repeated.push(received);
      else {
        ids.add(id);
        packed.push(received);
        this.packed.add(message, signature);
      }
    }
    if (packed.length === 0) return undefined;
    const { verifyPackedAsync } = verifier;
    if (isBesideLoop && verifyPackedAsync !== undefined) {
      // Async, so that what it throws at once is a rejection too.
      const verifying = async () => verifyPackedAsync(this.packed.bytes, packed.length);
      return this.concludeLater(packed, repeated, verifying());
    }
    this.conclude(packed, this.verify(packed), repeated);
    return undefined;
  }

  /** After the batches before, as messages of one author come in order. */
  private concludeLater(
    packed: readonly Received[],
    repeated: readonly Received[],
    verifying: Promise<Uint8Array>,
  ): Promise<void> {
    const outcome = verifying.then(
      (valid): ArrayLike<number> => valid,
      (error: unknown) => this.verifyEach(packed, error),
    );
    this.concluded = Promise.all([this.concluded, outcome]).then(([, valid]) => this.conclude(packed, valid, repeated));
    return this.concluded;
  }

  private conclude(packed: readonly Received[], valid: ArrayLike<number>, repeated: readonly Received[]): void {
    for (const [i, received] of packed.entries()) this.concludeOne(received, valid[i] === 1);
    for (const received of repeated)
      this.concludeOne(received, this.isSeen(received.message) || this.isValid(received.message) === 1);
  }

  private concludeOne(received: Received, isValid: boolean): void {
    if (!isValid) this.finish(received, 'invalid_signature');
    else this.finish(received, this.isSeen(received.message) ? 'duplicate' : this.decideOn(received));
  }

  /** After the verifier of batches failed, which says nothing of the messages. */
  private verifyEach(packed: readonly Received[], error: unknown): number[] {
    this.parts.failed(error, packed[0]?.message.topic ?? '');
    return packed.map(({ message }) => this.isValid(message));
  }

  private isValid(message: PlainMessage): number {
    try {
      const one = new PackedBatch();
      one.add(message, message.signature ?? NO_DATA);
      const [parts] = one.messages();
      return parts !== undefined && this.parts.verifier.verify(...parts) ? 1 : 0;
    } catch (error) {
      // gossipsub takes it for an invalid signature too.
      this.parts.failed(error, message.topic);
      return 0;
    }
  }

  /** For each message 1 if its author signed it, else 0. */
  private verify(received: readonly Received[]): ArrayLike<number> {
    const { packed } = this;
    const { verify, verifyPacked } = this.parts.verifier;
    if (packed.count > this.valid.length) this.valid = new Uint8Array(packed.count);
    try {
      if (verifyPacked !== undefined) {
        verifyPacked(packed.bytes, packed.count, this.valid);
        return this.valid;
      }
      let i = 0;
      for (const [key, signature, signed] of packed.messages()) {
        this.valid[i] = verify(key, signature, signed) ? 1 : 0;
        i += 1;
      }
      return this.valid;
    } catch (error) {
      return this.verifyEach(received, error);
    }
  }

  /** A message without a sequence number of the usual length is refused, so its ID is never remembered. */
  private isSeen({ from, seqno }: PlainMessage): boolean {
    return seqno?.length === SEQNO_BYTES && this.parts.seen.hasId(from, seqno);
  }

  private decideOn({ receivedFrom, message }: Received): ValidationDecision {
    const { seen, decide, deliveries, sendIDontWants } = this.parts;
    const { from, seqno = NO_DATA, topic, data = NO_DATA, signature } = message;
    seen.putId(from, seqno);
    const sequenceNumber = new DataView(seqno.buffer, seqno.byteOffset).getBigUint64(0);
    try {
      if (data.length >= IDONTWANT_MIN_BYTES)
        sendIDontWants(goMessageId(from, sequenceNumber), topic, receivedFrom.toString());
      const author = peerIdTextOf(from);
      const { counted } = deliveries;
      const source = peerIdText(receivedFrom);
      const decision = decide({ topic, bytes: data, author, receivedFrom: source, seqno: sequenceNumber, signature });
      if (deliveries.counted !== counted) {
        seen.noteDelivery(from, seqno, deliveries.wasByAuthor);
        deliveries.identified(seen.hashLow, seen.hashHigh);
      }
      return decision;
    } catch (error) {
      this.parts.failed(error, topic);
      return 'ignore';
    }
  }

  private finish(received: Received, outcome: Outcome): void {
    const { delivery, progress, malformed, failed } = this.parts;
    progress.ended += 1;
    try {
      if (outcome === 'duplicate') this.countLater(received);
      if (outcome === 'invalid_signature') malformed.add('signature', received.receivedFrom);
      delivery.finished(received, outcome);
    } catch (error) {
      failed(error, received.message.topic);
    }
  }

  /** Called right after the message was found among those seen. */
  private countLater({ receivedFrom }: Received): void {
    const { seen, deliveries } = this.parts;
    const delayMs = seen.deliveryAgeMs;
    if (delayMs === undefined) return;
    deliveries.deliveredLater(peerIdText(receivedFrom), delayMs, seen.isByAuthor, seen.hashLow, seen.hashHigh);
  }
}
