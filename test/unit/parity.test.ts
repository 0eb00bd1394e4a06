// docs/parity.md is whole and tells the truth: it has a row for every item of the specification, and each symbol and test that it names is there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { REPO } from '../support/repo.ts';

/** What the specification names, by our heading; the fields of messages as `message: field`. */
const SPECIFIED: Readonly<Record<string, string>> = {
  'Server structure': `P2PNode logger settings bitcoinProtocolID blockchainClient blockValidationClient blockAssemblyClient
    AssetHTTPAddressURL e notificationCh rejectedTxKafkaConsumerClient invalidBlocksKafkaConsumerClient
    invalidSubtreeKafkaConsumerClient subtreeKafkaProducerClient blocksKafkaProducerClient banList banChan banManager gCtx
    blockTopicName subtreeTopicName miningOnTopicName rejectedTxTopicName invalidBlocksTopicName invalidSubtreeTopicName
    handshakeTopicName nodeStatusTopicName topicPrefix blockPeerMap subtreePeerMap startTime syncManager peerBlockHashes
    syncConnectionTimes peerMapCleanupTicker peerMapMaxSize peerMapTTL`,
  'p2p.NodeI': `Start Stop SetTopicHandler GetTopic Publish HostID ConnectedPeers CurrentlyConnectedPeers DisconnectPeer SendToPeer
    SetPeerConnectedCallback UpdatePeerHeight LastSend LastRecv BytesSent BytesReceived GetProcessName UpdateBytesReceived`,
  'Server operations': 'NewServer Health Init Start Stop',
  BanListI: 'IsBanned Add Remove ListBanned Subscribe Unsubscribe Init Clear',
  PeerBanManager: `AddScore GetBanScore IsBanned OnPeerBanned peerBanScores reasonPoints banThreshold banDuration decayInterval
    decayAmount handler ReasonUnknown ReasonInvalidSubtree ReasonProtocolViolation ReasonSpam ReasonInvalidBlock`,
  'Message handlers': `handleHandshakeTopic handleBlockTopic handleSubtreeTopic handleMiningOnTopic handleNodeStatusTopic
    handleBanEvent`,
  'Message structures': 'BlockMessage SubtreeMessage BestBlockMessage MiningOnMessage HandshakeMessage',
  Configuration: `ChainCfgParams.TopicPrefix p2p_listen_addresses p2p_advertise_addresses p2p_port p2p_block_topic p2p_subtree_topic
    p2p_handshake_topic p2p_mining_on_topic p2p_rejected_tx_topic p2p_node_status_topic p2p_shared_key p2p_dht_protocol_id
    p2p_dht_use_private p2p_optimise_retries p2p_static_peers p2p_private_key p2p_http_address p2p_http_listen_address
    p2p_grpc_address p2p_grpc_listen_address p2p_bootstrap_addresses p2p_bootstrap_persistent p2p_ban_threshold p2p_ban_duration
    securityLevelHTTP server_certFile server_keyFile p2p_ban_default_duration p2p_ban_persist_path p2p_ban_max_entries`,
};

/** Fields of messages: the row of a message names its fields in groups. */
const FIELDS: Readonly<Record<string, string>> = {
  BlockMessage: 'Hash Height DataHubURL PeerID Header',
  SubtreeMessage: 'Hash DataHubURL PeerID',
  BestBlockMessage: 'Height Hash',
  MiningOnMessage: 'Height PreviousHash',
  HandshakeMessage: 'type peerID bestHeight bestHash dataHubURL userAgent services topicPrefix',
};

interface Row {
  readonly section: string;
  readonly item: string;
  readonly symbol: string;
  readonly test: string;
}

const rows = rowsOf(readFileSync(join(REPO, 'docs/parity.md'), 'utf8'));

function rowsOf(document: string): Row[] {
  return document.split(/^## /m).flatMap((part) => {
    const [section = ''] = part.split('\n');
    return part
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| item '))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, item = '', symbol = '', named = '']) => ({ section, item, symbol, test: named }));
  });
}

function text(file: string): string {
  return existsSync(join(REPO, file)) ? readFileSync(join(REPO, file), 'utf8') : '';
}

/** Titles of a file's tests and suites, templates of `each` as they are written. */
function titles(file: string): string[] {
  const found = text(file).matchAll(/(?:\b(?:test|describe)(?:\.\w+)*\(|\)\()\s*(['"`])((?:\\.|(?!\1).)*)\1/g);
  return [...found].map(([, , title = '']) => title.replaceAll("\\'", "'").replaceAll('’', "'"));
}

/** True when the name is declared in the source, or is a member of what is; a use alone is none. */
function declares(source: string, name: string): boolean {
  const declaration = `\\b(?:class|interface|type|function\\*?|const|let|enum)\\s+${name}\\b`;
  const modifiers = '(?:(?:private|protected|public|static|readonly|override|async|declare|get|set)\\s+)*\\*?';
  const field = `^\\s+${modifiers}${name}[?!]?\\s*(?::|=(?!=))`;
  if (new RegExp(`${declaration}|${field}`, 'm').test(source)) return true;
  const heads = source.matchAll(new RegExp(`^\\s+${modifiers}${name}(?:<[^>]*>)?\\(`, 'gm'));
  return [...heads].some(({ index, 0: head }) => /^\s*[:{]/.test(afterParameters(source, index + head.length)));
}

/** What follows the parenthesis that was opened just before. */
function afterParameters(source: string, start: number): string {
  let depth = 1;
  let at = start;
  for (; at < source.length && depth > 0; at += 1) {
    if (source[at] === '(') depth += 1;
    else if (source[at] === ')') depth -= 1;
  }
  return source.slice(at, at + 20);
}

describe('there is a row for every', () => {
  test.each(Object.entries(SPECIFIED))('item of %s', (section, names) => {
    const items = rows.filter((row) => row.section === section).map(({ item }) => item);
    expect(names.split(/\s+/).filter((name) => !items.includes(name))).toEqual([]);
    expect(new Set(items).size).toBe(items.length);
  });

  test.each(Object.entries(FIELDS))('field of %s', (message, names) => {
    const fields = rows
      .filter(({ section, item }) => section === 'Message structures' && item.startsWith(`${message}: `))
      .flatMap(({ item }) => item.slice(message.length + 2).split(', '));
    expect(fields.sort()).toEqual(names.split(' ').sort());
  });
});

describe('the checks', () => {
  test('tell a declaration or member from a use', () => {
    const source = 'class A {\n  private readonly b = 1;\n  async c<T>(d: T): Promise<T> {\n    e(d);\n  }\n}\nf(g);\n';
    expect(['A', 'b', 'c'].every((name) => declares(source, name))).toBe(true);
    expect(['d', 'e', 'f', 'g', 'T', 'Promise'].some((name) => declares(source, name))).toBe(false);
  });

  test('find titles, and nothing else', () => {
    expect(titles('test/unit/parity.test.ts')).toContain('find titles, and nothing else');
    expect(titles('test/unit/parity.test.ts')).toContain('field of %s');
    expect(titles('test/unit/parity.test.ts')).not.toContain('docs/parity.md');
  });
});

test.each(rows.map((row) => [`${row.section}: ${row.item}`, row] as const))('%s', (_name, row) => {
  const [, file = '', name = ''] = /^`(src\/[^#]+)#([\w$]+)`$/.exec(row.symbol) ?? [];
  expect(text(file), `${row.symbol} is a file`).not.toBe('');
  expect(declares(text(file), name), `${row.symbol} is declared`).toBe(true);
  const [, testFile = '', part = ''] = /^`(test\/[^ ]+) › (.+)`$/.exec(row.test) ?? [];
  expect(part.length, `${row.test} names a test`).toBeGreaterThan(3);
  const found = titles(testFile).filter((title) => title.includes(part.replaceAll('’', "'")));
  expect(found.length, `${row.test} is a test`).toBeGreaterThan(0);
});
