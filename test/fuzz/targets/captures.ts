// Capture files, which `teranode-p2p replay` reads from anywhere.
import { crc32 } from 'node:zlib';
import { encodeFrame, MAGIC, readFrames } from '../../../src/capture/frame.ts';
import { fromJson, toJson } from '../../../src/capture/json-form.ts';
import { type CaptureRecord, contentOf, recordOf } from '../../../src/capture/records.ts';
import { peer } from '../../fakes/ban-parts.ts';
import { type DecoderTarget, must, mustEqual, textOf, texts } from '../engine/target.ts';

const TIME = { nowMs: 1_700_000_000_000, monotonicMs: 1234.5 };
const RECORDS: readonly CaptureRecord[] = [
  {
    ...TIME,
    type: 'head',
    head: {
      series: 'a4a1b2c3',
      part: 0,
      program: '1.0.0',
      ownId: peer(1),
      networks: [
        { name: 'mainnet', wire: 'go-p2p', topicPrefix: 'mainnet', topics: { block: 'mainnet-block' }, node: 0 },
      ],
      settings: { p2p_ban_threshold: '100' },
      isKeptElsewhere: false,
      isStoreShared: true,
    },
  },
  { ...TIME, type: 'state', kind: 'chain', value: { tip: { height: 7, target: 2n ** 224n }, syncPeer: undefined } },
  {
    ...TIME,
    type: 'input',
    kind: 'gossip',
    value: { topic: 'mainnet-block', author: peer(2), receivedFrom: peer(3), seqno: 9n },
    decisions: [['result', 'reject', 'author_mismatch']],
    side: [{ kind: 'opened', value: { peerId: peer(2), ip: '192.0.2.7' } }],
    dropped: ['block ab'],
    blobs: [Buffer.from('{"Hash":"ab"}'), Buffer.alloc(64, 7)],
  },
  { ...TIME, type: 'late', decisions: [['cut', peer(2)]] },
  { ...TIME, type: 'gap', records: 3 },
  { ...TIME, type: 'end' },
];
const FRAMES = RECORDS.map((record) => encodeFrame(contentOf(record)) ?? Buffer.alloc(0));
const FRAME_HEAD_BYTES = 8;
const LENGTH_BYTES = 4;

/** The same bytes with the checksum of each whole frame mended, so that an altered one is read further than that. */
function withChecksums(input: Uint8Array): Buffer {
  const bytes = Buffer.from(input);
  for (let at = MAGIC.length; at + FRAME_HEAD_BYTES <= bytes.length; ) {
    const end = at + FRAME_HEAD_BYTES + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(at + FRAME_HEAD_BYTES, end)), at + 4);
    at = end;
  }
  return bytes;
}

function checkFile(source: Buffer): void {
  const frames = readFrames((buffer, at) => source.copy(buffer, 0, at));
  let at = MAGIC.length;
  let next = frames.next();
  for (; !next.done; next = frames.next()) {
    const size = source.readUInt32BE(at);
    const jsonBytes = source.readUInt32BE(at + FRAME_HEAD_BYTES);
    const read = next.value.blobs.reduce((sum, blob) => sum + LENGTH_BYTES + blob.length, LENGTH_BYTES + jsonBytes);
    mustEqual(read, size, 'bytes of a frame');
    checkRecord(recordOf(next.value));
    at += FRAME_HEAD_BYTES + size;
  }
  const fault = next.value;
  if (fault === undefined) mustEqual(at, source.length, 'bytes read');
  else if ('atByte' in fault) mustEqual(fault.atByte, at, 'place of the fault');
}

/** What is read once is written and read again as it is. */
function checkRecord(record: CaptureRecord | undefined): void {
  if (record === undefined) return;
  const content = contentOf(record);
  const again = recordOf(content);
  must(again !== undefined, 'a record that is not read again');
  if (again !== undefined) mustEqual(contentOf(again).json, content.json, 'written and read again');
}

const captureFile: DecoderTarget = {
  name: 'capture-file',
  seeds: [MAGIC, Buffer.concat([MAGIC, ...FRAMES]), ...FRAMES.map((frame) => Buffer.concat([MAGIC, frame]))],
  maxBytes: 4096,
  run: (input) => {
    checkFile(Buffer.from(input));
    checkFile(withChecksums(input));
  },
};

const captureRecord: DecoderTarget = {
  name: 'capture-record',
  seeds: texts(...RECORDS.map((record) => contentOf(record).json)),
  words: ['$n', '$u', '__proto__', 'head', 'state', 'input', 'late', 'gap', 'end', 'gossip', 'chain'],
  maxBytes: 4096,
  run: (input) => {
    const json = textOf(input);
    checkRecord(recordOf({ json, blobs: [] }));
    const decoded = fromJson(json);
    if (decoded !== undefined) mustEqual(Object.keys(Object.prototype), [], 'names that every object has');
    if (decoded !== undefined) must(fromJson(toJson(decoded.value)) !== undefined, 'a value that is not read again');
  },
};

export const CAPTURE_TARGETS: readonly DecoderTarget[] = [captureFile, captureRecord];
