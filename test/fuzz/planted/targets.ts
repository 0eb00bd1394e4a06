// The readers with faults as targets, each with what its like begins with.
import { recordedFile, recordedTexts } from '../../support/recorded.ts';
import { type DecoderTarget, texts } from '../engine/target.ts';
import { signedHeight, slowTrim, uncheckedLength } from './readers.ts';

const RECORDED = recordedFile('listener-peer-discovery.json').messages;

export const PLANTED: readonly DecoderTarget[] = [
  {
    name: 'planted-signed-height',
    seeds: texts(...recordedTexts('teranode-handshake.json')),
    maxBytes: 4096,
    run: signedHeight,
  },
  {
    name: 'planted-unchecked-length',
    seeds: RECORDED.map(({ dataHex = '' }) => Buffer.from(dataHex, 'hex')),
    maxBytes: 4096,
    run: uncheckedLength,
  },
  {
    name: 'planted-slow-trim',
    seeds: texts('dnsaddr=/ip4/1.2.3.4/tcp/9905/p2p/12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY '),
    maxBytes: 4096,
    run: slowTrim,
  },
];
