// A block announcement as validators and handlers see it: its header is hashed and parsed when first asked for, and
// only once.

import type { BlockHash } from '../domain/ids.ts';
import type { BlockMessage } from '../wire/block.ts';
import type { Decoded } from '../wire/fault.ts';
import { type BlockHeader, hashHeader, parseHeader } from '../wire/header.ts';

/** The 80 bytes of a header, with what is computed from them. */
export class ReceivedHeader {
  readonly bytes: Uint8Array;
  private computedHash: BlockHash | undefined;
  private parsedFields: BlockHeader | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get hash(): BlockHash {
    this.computedHash ??= hashHeader(this.bytes);
    return this.computedHash;
  }

  /** undefined unless there are exactly 80 bytes. */
  get fields(): BlockHeader | undefined {
    this.parsedFields ??= parseHeader(this.bytes);
    return this.parsedFields;
  }
}

export interface ReceivedBlock extends Omit<BlockMessage, 'header'> {
  readonly header: ReceivedHeader | undefined;
}

export function receivedBlock(decoded: Decoded<BlockMessage>): Decoded<ReceivedBlock> {
  if (!decoded.ok) return decoded;
  const { header, ...rest } = decoded.message;
  return { ...decoded, message: { ...rest, header: header && new ReceivedHeader(header) } };
}
