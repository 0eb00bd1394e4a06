// Imports a file of consecutive 80-byte headers that starts at the network's genesis or right after it. The whole file
// is checked before anything is stored; importing it again changes nothing.
import { readFile, stat } from 'node:fs/promises';
import { P2PError } from '../../lib/errors.ts';
import { MAX_HEADERS_FILE_BYTES } from '../../settings/file-checks.ts';
import { HEADER_BYTES, hashHeader, parseHeader } from '../../wire/header.ts';
import { MEDIAN_SPAN } from '../../wire/header-rules.ts';
import type { NetworkParameters } from '../../wire/networks.ts';
import type { ChainStore, StoredHeader } from './chain-store.ts';
import { childOf, genesisOf, HEADER_ONLY } from './header-rules.ts';

/** Resolves with the number of new headers. Throws CHAIN_INVALID and stores nothing. */
export async function importHeaders(
  store: ChainStore,
  file: string,
  network: NetworkParameters,
  nowSeconds: number,
): Promise<number> {
  const bytes = await readBounded(file);
  const first = bytes.subarray(0, HEADER_BYTES);
  const startsAtGenesis = bytes.byteLength >= HEADER_BYTES && hashHeader(first) === hashHeader(network.genesisHeader);
  let parent = genesisOf(network);
  const times = [parseHeader(network.genesisHeader)?.time ?? 0];
  const fresh: StoredHeader[] = [];
  for (let at = startsAtGenesis ? HEADER_BYTES : 0; at < bytes.byteLength; at += HEADER_BYTES) {
    const header = bytes.subarray(at, at + HEADER_BYTES);
    const child = childOf(header, { parent, lastTimes: times.slice(-MEDIAN_SPAN) }, network, nowSeconds, HEADER_ONLY);
    times.push(parseHeader(header)?.time ?? 0);
    if (times.length > 4 * MEDIAN_SPAN) times.splice(0, times.length - MEDIAN_SPAN);
    if (store.byHash(child.hash) === undefined) fresh.push(child);
    parent = child;
  }
  store.insert(fresh);
  return fresh.length;
}

async function readBounded(file: string): Promise<Buffer> {
  let size: number;
  try {
    size = (await stat(file)).size;
  } catch (cause) {
    throw new P2PError('CHAIN_INVALID', `cannot read embedded_chain_headers: ${file}`, { cause });
  }
  if (size > MAX_HEADERS_FILE_BYTES || size % HEADER_BYTES !== 0) {
    throw new P2PError(
      'CHAIN_INVALID',
      `${file} has ${size} bytes (expected a multiple of ${HEADER_BYTES}, at most ${MAX_HEADERS_FILE_BYTES})`,
    );
  }
  return await readFile(file);
}
