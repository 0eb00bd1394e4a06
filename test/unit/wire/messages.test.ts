// Liberal in reading, exact in writing: what Go's encoding/json does at its edges.
import { describe, expect, test } from 'vitest';
import type { BlockHash } from '../../../src/domain/ids.ts';
import { decodeBestBlock, encodeBestBlock } from '../../../src/wire/best-block.ts';
import { decodeBlock, encodeBlock } from '../../../src/wire/block.ts';
import { UNKNOWN_BLOCK_ASSEMBLY, writeBlockAssembly } from '../../../src/wire/block-assembly-details.ts';
import { decodeHandshake } from '../../../src/wire/handshake.ts';
import { decodeMiningOn, encodeMiningOn } from '../../../src/wire/mining-on.ts';
import { decodeNodeStatus } from '../../../src/wire/node-status.ts';
import { decodePeerDiscovery } from '../../../src/wire/peer-discovery.ts';
import { parsePeerId } from '../../../src/wire/peer-id.ts';
import { decodeRejectedTx } from '../../../src/wire/rejected-tx.ts';
import { decodeSubtree } from '../../../src/wire/subtree.ts';

const HASH = '00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048' as BlockHash;
const HEADER =
  '010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299';

function bytes(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

describe('decoding a block message', () => {
  const good = { Hash: HASH, Height: 1, DataHubURL: 'http://a', PeerID: 'p', Header: HEADER };

  test.each([
    ['the case of names', { hash: HASH, HEIGHT: 1, dataHubUrl: 'http://a', peerid: 'p', hEADER: HEADER }],
    ['unknown fields', { ...good, Later: { a: [1] } }],
    ['unknown fields that differ only in case', { ...good, x: 1, X: 2, Later: 1, LATER: { later: 1 } }],
    ['fractions where no whole number is read', { ...good, x: 1.5 }],
    ['upper-case hashes', { ...good, Hash: HASH.toUpperCase(), Header: HEADER.toUpperCase() }],
  ])('ignores %s', (_what, message) => {
    const decoded = decodeBlock(bytes(message));
    expect(
      decoded.ok && { ...decoded.message, header: Buffer.from(decoded.message.header ?? []).toString('hex') },
    ).toEqual({
      hash: HASH,
      height: 1,
      dataHubUrl: 'http://a',
      peerId: 'p',
      header: HEADER,
    });
  });

  test('reads null and absent fields as zero and a missing header as undefined', () => {
    const decoded = decodeBlock(bytes({ Hash: HASH, Height: null }));
    expect(decoded).toEqual({
      ok: true,
      message: { hash: HASH, height: 0, dataHubUrl: '', peerId: '', header: undefined },
    });
  });

  test.each([
    ['not_json', 'not JSON'],
    ['not_json', '{"Hash":'],
    ['not_json', ''],
    ['not_object', '[]'],
    ['not_object', '17'],
    ['missing_field', '{}'],
    ['hash_form', { ...good, Hash: HASH.slice(1) }],
    ['hash_form', { ...good, Hash: `${HASH.slice(1)}g` }],
    ['wrong_type', { ...good, Hash: 5 }],
    ['wrong_type', { ...good, Height: '1' }],
    ['out_of_range', { ...good, Height: -1 }],
    ['out_of_range', { ...good, Height: 2 ** 32 }],
    ['out_of_range', { ...good, Height: 1.5 }],
    ['out_of_range', `{"Hash":"${HASH}","Height":1.0}`],
    ['out_of_range', `{"Hash":"${HASH}","Height" : 1e3}`],
    ['out_of_range', `{"Hash":"${HASH}","Height":-0}`],
    ['out_of_range', `{"Hash":"${HASH}","Height":1${'0'.repeat(30)}}`],
    ['header_form', { ...good, Header: HEADER.slice(2) }],
    ['header_form', { ...good, Header: `zz${HEADER.slice(2)}` }],
    ['out_of_range', { ...good, DataHubURL: `http://${'a'.repeat(2048)}` }],
    ['too_large', { ...good, Later: 'x'.repeat(20_000) }],
  ])('%s: %j', (code, message) => {
    expect(decodeBlock(bytes(message))).toMatchObject({ ok: false, fault: { code } });
  });

  test('rejects a known field in two spellings, but not an unknown one', () => {
    for (const twice of [{ hash: HASH }, { heiGHT: 1 }, { Header: HEADER, header: '' }])
      expect(decodeBlock(bytes({ ...good, ...twice }))).toMatchObject({
        ok: false,
        fault: { code: 'ambiguous_field' },
      });
    expect(decodeBlock(bytes({ ...good, x: 1, X: 2 })).ok).toBe(true);
  });

  test('keeps the detail of a fault short and escaped', () => {
    const decoded = decodeBlock(bytes(`{"Hash":"${HASH}","hash":"", "\\u001b[31m${'x'.repeat(500)}":1}`));
    expect(decoded.ok === false && decoded.fault.detail.length).toBeLessThanOrEqual(120);
  });
});

test('a header that is kept keeps its own 80 bytes in memory, and not the pool that Node decodes text in', () => {
  const decoded = decodeBlock(bytes({ Hash: HASH, Height: 7, Header: '01'.repeat(80) }));
  if (!decoded.ok) throw new Error(decoded.fault.code);
  expect(decoded.message.header).toEqual(new Uint8Array(80).fill(1));
  expect(decoded.message.header?.buffer.byteLength).toBe(80);
});

describe('64-bit numbers in messages', () => {
  test('are read and written exactly', () => {
    const text = `{"Hash":"${HASH}","PreviousHash":"${HASH}","DataHubURL":"","PeerID":"","Height":4294967295,"Miner":"","SizeInBytes":18446744073709551615,"TxCount":9007199254740993}`;
    const decoded = decodeMiningOn(bytes(text));
    expect(decoded.ok && decoded.message.sizeInBytes).toBe(18446744073709551615n);
    expect(decoded.ok && decoded.message.txCount).toBe(9007199254740993n);
    expect(decoded.ok && Buffer.from(encodeMiningOn(decoded.message)).toString()).toBe(text);
  });

  test.each(['18446744073709551616', '-1', '-0', '1.5', '1.0', '1e3', '1e30', '9007199254740990.9', '1'.repeat(40)])(
    '%s is out of range',
    (number) => {
      expect(decodeMiningOn(bytes(`{"Hash":"${HASH}","TxCount":${number}}`))).toMatchObject({
        ok: false,
        fault: { code: 'out_of_range' },
      });
    },
  );
});

describe('encoding messages', () => {
  test('escapes texts as Go does', () => {
    const text = '<a href="x">&\u2028\u2029\u0001\b\f\n\r\t\\é😀\ud800';
    const written = Buffer.from(
      encodeBlock({ hash: HASH, height: 0, dataHubUrl: text, peerId: '', header: undefined }),
    ).toString();
    expect(written).toContain(
      '"DataHubURL":"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029\\u0001\\b\\f\\n\\r\\t\\\\é😀\ufffd"',
    );
    expect(JSON.parse(written).DataHubURL).toBe(text.toWellFormed());
  });
});

describe('decoding other messages', () => {
  test('tells a best-block request from an announcement, and rejects others', () => {
    for (const message of [
      { kind: 'request', peerId: 'p' },
      { kind: 'announcement', height: 7, hash: HASH },
    ] as const) {
      expect(decodeBestBlock(encodeBestBlock(message))).toEqual({ ok: true, message });
    }
    expect(Buffer.from(encodeBestBlock({ kind: 'announcement', height: 7, hash: HASH })).toString()).toBe(
      `{"Height":7,"Hash":"${HASH}"}`,
    );
    expect(decodeBestBlock(bytes('{}'))).toMatchObject({ ok: false, fault: { code: 'missing_field' } });
  });

  test('accepts the two handshake types, with or without a best hash', () => {
    const decoded = decodeHandshake(bytes({ type: 'version', services: 1 }));
    expect(decoded).toMatchObject({
      ok: true,
      message: { type: 'version', bestHash: undefined, services: 1n, topicPrefix: '' },
    });
    expect(decodeHandshake(bytes({ type: 'hello' }))).toMatchObject({ ok: false, fault: { code: 'unknown_type' } });
    expect(decodeHandshake(bytes({}))).toMatchObject({ ok: false, fault: { code: 'missing_field' } });
  });

  test('rejects a node status of another type or whose details are not an object', () => {
    expect(decodeNodeStatus(bytes({ type: 'status' }))).toMatchObject({ ok: false, fault: { code: 'unknown_type' } });
    expect(decodeNodeStatus(bytes({ type: 'node_status', block_assembly_details: [] }))).toMatchObject({
      fault: { code: 'wrong_type' },
    });
    expect(decodeNodeStatus(bytes({ type: 'node_status', block_assembly_details: { txCount: -1 } }))).toMatchObject({
      ok: false,
    });
  });

  test('normalises the hashes of a node status, accepts empty ones, and rejects other forms', () => {
    const decoded = decodeNodeStatus(
      bytes({
        type: 'node_status',
        best_block_hash: HASH.toUpperCase(),
        sync_peer_block_hash: HASH.toUpperCase(),
        block_assembly_details: { currentHash: HASH.toUpperCase(), subtrees: [HASH.toUpperCase()] },
      }),
    );
    expect(decoded).toMatchObject({
      ok: true,
      message: {
        bestBlockHash: HASH,
        syncPeerBlockHash: HASH,
        blockAssemblyDetails: { currentHash: HASH, subtrees: [HASH] },
      },
    });
    expect(decodeNodeStatus(bytes({ type: 'node_status', best_block_hash: '' }))).toMatchObject({
      ok: true,
      message: { bestBlockHash: '', syncPeerBlockHash: '', blockAssemblyDetails: { currentHash: '', subtrees: [] } },
    });
    for (const wrong of [
      { best_block_hash: 'abc' },
      { block_assembly_details: { currentHash: `${HASH}0` } },
      { block_assembly_details: { subtrees: [HASH, ''] } },
    ]) {
      const refused = decodeNodeStatus(bytes({ type: 'node_status', ...wrong }));
      expect(refused).toMatchObject({ ok: false, fault: { code: 'hash_form' } });
    }
  });

  test('reads an invalid sync peer hash in a node status as empty', () => {
    expect(decodeNodeStatus(bytes({ type: 'node_status', sync_peer_block_hash: 'abc' }))).toMatchObject({
      ok: true,
      message: { syncPeerBlockHash: '' },
    });
  });

  test('rejects block assembly details that are not an object or have a field of the wrong type', () => {
    for (const details of ['1', '1.5', '"x"', 'true'])
      expect(decodeNodeStatus(bytes(`{"type":"node_status","block_assembly_details":${details}}`))).toMatchObject({
        ok: false,
        fault: { code: 'wrong_type' },
      });
    for (const [number, isOk] of [
      ['7', true],
      ['7.0', false],
    ] as const)
      expect(
        decodeNodeStatus(bytes(`{"type":"node_status","uptime":1.5,"block_assembly_details":{"txCount":${number}}}`))
          .ok,
      ).toBe(isOk);
  });

  test('writes block assembly details in Go’s order and escaping', () => {
    const json = `{"blockAssemblyState":"\\u003crunning\\u003e","subtreeProcessorState":"s","resetWaitCount":1,"resetWaitTime":2,"subtreeCount":3,"txCount":4,"queueCount":-5,"currentHeight":6,"currentHash":"${HASH}","removeMapCount":7,"subtrees":["${HASH}","\\u0026"]}`;
    const details = {
      subtrees: [HASH, '&'],
      removeMapCount: 7,
      currentHash: HASH,
      currentHeight: 6,
      queueCount: -5n,
      txCount: 4n,
      subtreeCount: 3,
      resetWaitTime: 2,
      resetWaitCount: 1,
      subtreeProcessorState: 's',
      blockAssemblyState: '<running>',
    };
    expect(writeBlockAssembly(details)).toEqual({ json });
    expect(writeBlockAssembly(UNKNOWN_BLOCK_ASSEMBLY)).toEqual({ json: '{}' });
  });

  test('requires the id of a rejected transaction and bounds its reason', () => {
    expect(decodeRejectedTx(bytes({ Reason: 'x' }))).toMatchObject({ ok: false, fault: { code: 'missing_field' } });
    expect(decodeRejectedTx(bytes({ TxID: HASH, Reason: 'x'.repeat(4097) }))).toMatchObject({
      ok: false,
      fault: { code: 'out_of_range' },
    });
  });

  test('accepts only strict protobuf as peer-discovery bytes', () => {
    const ok = Buffer.from('0a0208011201ff', 'hex');
    expect(decodePeerDiscovery(ok)).toEqual({
      publicKey: Buffer.from('0801', 'hex'),
      multiaddrs: [Buffer.from('ff', 'hex')],
    });
    for (const bad of [
      '0a0208011201ff00',
      '0a02',
      '0a020801120aff',
      '1201ff',
      '0a0208010a020801',
      '0a0208011801',
      '7b7d',
      '',
    ]) {
      expect(decodePeerDiscovery(Buffer.from(bad, 'hex'))).toBeUndefined();
    }
    expect(decodePeerDiscovery(Buffer.concat([ok, Buffer.alloc(5000)]))).toBeUndefined();
  });

  test('accepts peer IDs in their canonical form only', () => {
    const id = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';
    expect(parsePeerId(id)).toBe(id);
    for (const bad of ['', 'x', `${id}1`, id.slice(1), `1${id}`, 'z'.repeat(200), '0OIl'])
      expect(parsePeerId(bad)).toBeUndefined();
  });

  test('rejects a subtree without a hash or with a short one', () => {
    expect(decodeSubtree(bytes({ DataHubURL: 'x' }))).toMatchObject({ ok: false, fault: { code: 'missing_field' } });
    expect(decodeSubtree(bytes({ Hash: 'abc' }))).toMatchObject({ ok: false, fault: { code: 'hash_form' } });
  });
});
