// Block announcement (spec "BlockMessage").

import type { BlockHash } from '../domain/ids.ts';
import { CUT_MARK, cutText, MAX_NAME_BYTES } from './cut-text.ts';
import type { Decoded } from './fault.ts';
import { HEADER_BYTES } from './header.ts';
import { FieldReader, goBytes, MAX_URL_CHARS, type Reading } from './json.ts';
import { MAX_MESSAGE_BYTES } from './message-sizes.ts';

export interface BlockMessage {
  readonly hash: BlockHash;
  /** uint32. */
  readonly height: number;
  /** Where the author serves the block; not checked here. */
  readonly dataHubUrl: string;
  /** As claimed by the author; compared with the signature elsewhere. */
  readonly peerId: string;
  /** 80 bytes; undefined in messages from older nodes. */
  readonly header: Uint8Array | undefined;
  /** Of message-bus; empty or absent elsewhere. */
  readonly clientName?: string;
}

const READING: Reading = { maxBytes: MAX_MESSAGE_BYTES.block };

export function decodeBlock(bytes: Uint8Array, reading = READING): Decoded<BlockMessage> {
  const read = FieldReader.ofGossip(bytes, reading);
  if (!read.ok) return read;
  const fields = read.message;
  return fields.finish({
    hash: fields.hash('Hash'),
    height: fields.uint32('Height'),
    dataHubUrl: fields.text('DataHubURL', MAX_URL_CHARS),
    peerId: fields.peerId('PeerID'),
    header: headerOf(fields),
    ...fields.clientName('ClientName'),
  });
}

function headerOf(fields: FieldReader): Uint8Array | undefined {
  const hex = fields.text('Header');
  if (hex === '') return undefined;
  if (hex.length !== HEADER_BYTES * 2 || !/^[0-9a-fA-F]+$/.test(hex)) {
    fields.fail('header_form', 'Header');
    return undefined;
  }
  // Not the piece of Node's pool that is decoded in: whoever keeps the header would keep 64 KiB.
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

export function encodeBlock(message: BlockMessage): Uint8Array {
  return goBytes([
    ['Hash', message.hash],
    ['Height', message.height],
    ['DataHubURL', message.dataHubUrl],
    ['PeerID', message.peerId],
    ['Header', message.header === undefined ? '' : Buffer.from(message.header).toString('hex')],
  ]);
}

/** The message inside the envelope of message-bus. */
export function encodeBusBlock(message: BlockMessage): Uint8Array {
  return goBytes([
    ['PeerID', message.peerId],
    ['ClientName', cutText(message.clientName ?? '', MAX_NAME_BYTES, CUT_MARK)],
    ['DataHubURL', message.dataHubUrl],
    ['Hash', message.hash],
    ['Height', message.height],
    ['Header', message.header === undefined ? '' : Buffer.from(message.header).toString('hex')],
    // Always written, always empty.
    ['Coinbase', ''],
  ]);
}
