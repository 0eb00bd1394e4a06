// Texts: settings files and their values, what is typed and posted, queries, files of the data folder, and what is shown
// of other people's texts.

import { resume } from '../../../src/adapters/http/events/event-id.ts';
import { HttpProblem } from '../../../src/adapters/http/server/http-problem.ts';
import { parseFilter } from '../../../src/adapters/http/websocket/types.ts';
import { changeOf } from '../../../src/adapters/sql/postgres-listener.ts';
import { visible } from '../../../src/cli/commands/table.ts';
import { helpText, postedOrder, typedOrder } from '../../../src/cli/devnet/switches.ts';
import type { EventFeed } from '../../../src/domain/event-feed.ts';
import { nearestName } from '../../../src/lib/edit-distance.ts';
import { withoutAnyPassword, withoutPasswordsOfUrls } from '../../../src/lib/masking.ts';
import { shownLines, shownText } from '../../../src/lib/shown-text.ts';
import { historiesIn } from '../../../src/peers/histories/history-file.ts';
import { ConfReader, parseConf } from '../../../src/settings/conf-reader.ts';
import { formatDuration, parseDuration } from '../../../src/settings/duration.ts';
import { parseKafkaUrl } from '../../../src/settings/kafka-url.ts';
import { loadSettings } from '../../../src/settings/load.ts';
import { ROWS } from '../../../src/settings/schema.ts';
import { cutText } from '../../../src/wire/cut-text.ts';
import { shownName } from '../../../src/wire/shown-name.ts';
import { dataFile } from '../../support/recorded.ts';
import { type DecoderTarget, must, mustEqual, textOf, texts, unlessRefused } from '../engine/target.ts';

const PEER = '12D3KooWR7ZA55D4QgE3jgfZM5WGJsTq6WwDTLNTb7XqFaBsAsRY';

const conf: DecoderTarget = {
  name: 'settings-file',
  seeds: [
    dataFile('settings/docker-settings_local.conf'),
    dataFile('settings/teratestnet-settings_local.conf'),
    dataFile('settings/teranode-2025-09-settings_local.conf'),
    ...texts('a = ${b}\nb = ${c}x\nc.dev = "${d}" # e\nd = ${a}', 'a=${a}\n=\n.dev=1\n a . dev = 2'),
  ],
  words: ['${', '}', '.dev', '.docker', ' = ', '# ', '"', '${a}', '${b}${b}'],
  maxBytes: 8192,
  run: (input) => {
    const entries = parseConf(textOf(input), 'settings.conf');
    const reader = new ConfReader(entries, { HOME: '/root' }, 'docker.host');
    reader.contexts();
    reader.knowsContext();
    reader.references();
    for (const key of reader.keys().slice(0, 50)) {
      const found = reader.resolve(key);
      must(found === undefined || 'problem' in found || found.value.length <= 65_536, 'a value without end');
    }
  },
};

/** Lines `key=value` as the environment of the program. */
const environment: DecoderTarget = {
  name: 'settings-values',
  seeds: texts(
    ...ROWS.map(([key, { type, default: value }]) => `${key}=${value === undefined ? 'x' : type.format(value)}`),
    'network=regtest\np2p_port=9905\nlisten_mode=full\np2p_static_peers=/ip4/192.0.2.1/tcp/9905 | x',
    `p2p_bootstrap_addresses=/ip4/192.0.2.7/tcp/9905/p2p/${PEER}\np2p_wire=both`,
  ),
  words: ROWS.map(([key]) => `\n${key}=`),
  maxBytes: 1024,
  run: (input) => {
    const env = Object.fromEntries(
      textOf(input)
        .split('\n')
        .map((line) => [line.split('=', 1)[0] ?? '', line.slice(line.indexOf('=') + 1)]),
    );
    for (const [key, row] of ROWS) {
      const text = env[key];
      const value = text === undefined ? undefined : row.type.parse(text);
      if (value === undefined) continue;
      const written = row.type.format(value);
      const again = row.type.parse(written);
      must(again !== undefined, `${key}: ${JSON.stringify(written)} is written and not read`);
      mustEqual(row.type.format(again), written, `${key} written again`);
    }
    // All rows and what holds between them, which takes ten times as long.
    if (input.length % 16 > 0) return;
    const settings = { network: 'regtest', ...env };
    unlessRefused(['SETTINGS_INVALID'], () => loadSettings({ folder: undefined, env: settings, context: '' }));
  },
};

const duration: DecoderTarget = {
  name: 'duration',
  seeds: texts('24h', '1m30s', '250ms', '1.5h', '0', '.5s', '1us', '1µs', '100ns'),
  maxBytes: 40,
  run: (input) => {
    const ms = parseDuration(textOf(input));
    if (ms === undefined) return;
    must(ms >= 0, `${ms} ms`);
    if (Number.isSafeInteger(ms)) mustEqual(parseDuration(formatDuration(ms)), ms, 'written and parsed again');
  },
};

const kafkaUrl: DecoderTarget = {
  name: 'kafka-url',
  seeds: texts(
    'kafka://localhost:9092/blocks?partitions=8&replication=1&retention=600000&segment_bytes=1024&replay=1',
    'memory://x/blocks?consumer_ratio=2&flush_frequency=1m30s&flush_bytes=1&flush_messages=2',
    'kafka://a,[::1]:9093,b:1/t',
  ),
  words: ['partitions', 'replication', 'retention', 'segment_bytes', 'consumer_ratio', 'flush_frequency', 'replay'],
  maxBytes: 400,
  run: (input) => {
    const url = unlessRefused(['KAFKA_URL_INVALID'], () => parseKafkaUrl(textOf(input)));
    if (url === undefined) return;
    for (const [key, value] of Object.entries(url)) if (typeof value === 'number') must(value >= -1, `${key} ${value}`);
    must(url.consumers >= 1 && url.partitions >= 1 && url.flushIntervalMs > 0, 'too few');
    must(url.brokers.length > 0 && url.brokers.every((each) => /:\d{1,5}$/.test(each)), 'brokers');
  },
};

/** A command that is typed, and the same bytes as a body that is posted. */
const order: DecoderTarget = {
  name: 'devnet-order',
  seeds: texts(...helpText().split('\n'), 'cut 1,2 3', 'slow 3 500', 'mine 1 2', '{"state":"cut","slowMs":5,"node":1}'),
  words: ['cut', 'join', 'slow', 'mine', 'liar', 'ban', 'state', 'slowMs', 'node', 'blocks', 'subject', 'restored'],
  maxBytes: 300,
  run: (input) => {
    const text = textOf(input);
    const refused = ['INPUT_INVALID'];
    const typed = unlessRefused(refused, () => typedOrder(text));
    if (typed?.do === 'mine') must(typed.blocks >= 1 && typed.blocks <= 100, 'blocks');
    if (typed?.do === 'link')
      must(
        [...typed.a, ...typed.b].every((each) => each >= 1 && each <= 99),
        'nodes',
      );
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      body = undefined;
    }
    unlessRefused(refused, () => postedOrder(text.split(' ', 1)[0] ?? '', {}));
    if (typeof body !== 'object' || body === null) return;
    for (const path of ['links/1/2', 'nodes/3', 'mine', 'liars', 'bans'])
      unlessRefused(refused, () => postedOrder(`/devnet/${path}`, body as Record<string, unknown>));
  },
};

const feed: EventFeed = {
  epoch: 'epoch1',
  last: 7,
  reader: (_types, position) => {
    must(Number.isSafeInteger(position) && position >= 0 && position <= 7, `a place ${position}`);
    return { position } as ReturnType<EventFeed['reader']>;
  },
} as EventFeed;

/** Queries of the feeds: types, and the id of an event. */
const query: DecoderTarget = {
  name: 'feed-query',
  seeds: texts(
    'block,subtree',
    'lost',
    'epoch1-3',
    'epoch1-7',
    'epoch0-3',
    'epoch1-999999999999999',
    'node_status,tip',
  ),
  maxBytes: 120,
  run: (input) => {
    const text = textOf(input);
    const filter = parseFilter(text, ['block']);
    if ('unknown' in filter) must(text.includes(filter.unknown), 'a name that was not given');
    else must(filter.key === [...filter.types].join(','), 'key');
    try {
      resume(feed, new Set(), text, 'query/since');
    } catch (error) {
      must(error instanceof HttpProblem, String(error));
    }
  },
};

const banNotice: DecoderTarget = {
  name: 'ban-notice',
  seeds: texts(
    '{"type":"ban","key":"192.0.2.1","from":"a"}',
    '{"type":"score","subject":"x","from":"b"}',
    '{"type":"all"}',
  ),
  words: ['from', 'self', 'ban', 'score', 'all', 'key', 'subject'],
  maxBytes: 4200,
  run: (input) => {
    const change = changeOf('self', textOf(input));
    must(change === undefined || ['ban', 'score', 'all'].includes(change.type), 'a change');
    if (change?.type === 'ban') must(typeof change.key === 'string', 'a key');
  },
};

const HISTORY = {
  ...{ id: PEER, attempts: 3, successes: 2, failures: 1, malicious: 0, lastAttemptMs: 5, reputation: 61.5 },
  ...{ avgResponseMs: 7, catchupAttempts: 1, catchupSuccesses: 1, catchupFailures: 0, lastCatchupError: 'x\u{1f600}' },
  ...{ blocksReceived: 1, subtreesReceived: 2, transactionsReceived: 3, bytesReceived: '5000000000', syncAttempts: 0 },
  ...{ validated: { height: 7, hash: 'ab'.repeat(32), chainWork: 'ff', atMs: 9 }, resets: 0, seenMs: 11 },
};

const histories: DecoderTarget = {
  name: 'peer-histories',
  seeds: texts(JSON.stringify({ version: 1, peers: [HISTORY] }), '{"version":1,"peers":[]}'),
  maxBytes: 4096,
  run: (input) => {
    let read: ReturnType<typeof historiesIn>;
    try {
      read = historiesIn(textOf(input), { nowMs: 1000, maxPenaltyMs: 500 });
    } catch (error) {
      return must(error instanceof SyntaxError || error instanceof TypeError, String(error));
    }
    for (const { history, seenMs } of read.stored) {
      must(seenMs <= 1000 && (history.lastAttemptMs ?? 0) <= 1000, 'a time in the future');
      must(history.reputation >= 0 && history.reputation <= 100, `reputation ${history.reputation}`);
    }
  },
};

/** Characters that must not be shown to anybody. */
const HIDDEN = /[\p{Cc}\u202a-\u202e\u2066-\u2069\u200b-\u200f]/u;

const shown: DecoderTarget = {
  name: 'shown-text',
  seeds: texts(
    'a plain name',
    'tab\tnew\r\nline',
    '\u202eright\u202c',
    '\u{1f468}\u200d\u{1f469}',
    '\u001b[31mred',
    '<b>&amp;',
  ),
  maxBytes: 4096,
  run: (input) => {
    // As UTF-16 too, where halves of pairs stand alone.
    for (const text of [textOf(input), Buffer.from(input).toString('utf16le')]) {
      const whole = shownText(text);
      must(!HIDDEN.test(whole) && whole.isWellFormed(), 'a hidden character');
      mustEqual(shownText(whole), whole, 'shown twice');
      const cut = shownText(text, 64);
      must(cut.length <= 64 && whole.startsWith(cut) && cut.isWellFormed(), 'cut');
      const name = shownName(text);
      must(/^[ -~]{0,64}$/.test(name) && !/[<>&"'`]/.test(name), 'a name');
      const bytes = cutText(text, 100, '…');
      must(Buffer.byteLength(bytes) <= 100 || Buffer.byteLength(text) <= 100, 'bytes');
      visible(text);
      shownLines(text);
      nearestName(text.slice(0, 60), ['dev', 'docker', 'operator'], 3);
    }
  },
};

const SECRET = 'hunter2secret';
/** `%s` in the input stands for a password. */
const masking: DecoderTarget = {
  name: 'masked-url',
  seeds: texts(
    'postgres://user:%s@db.example:5432/bans?sslmode=require',
    'http://a:%s@h/ and https://b:%s@c/',
    'kafka://h/t?sasl_password=%s&x=1',
    'postgres://user:p@ss%s#x@host/db',
    'user:%s@host/db',
  ),
  words: ['%s', '://', '@', 'password=', 'token=', 'postgres://u:', 'jdbc:postgresql://'],
  maxBytes: 4096,
  run: (input) => {
    const text = textOf(input);
    withoutPasswordsOfUrls(text);
    withoutAnyPassword(text);
    // A URL of the usual form keeps no password, whatever stands around it.
    const inner = text.replaceAll(/[\s%]/g, '');
    const url = `postgres://user:${SECRET}${inner.replaceAll('@', '')}@db.example/${inner}`;
    must(!withoutAnyPassword(url).includes(SECRET), `${url} keeps its password`);
    must(!withoutPasswordsOfUrls(`failed: ${url}`).includes(SECRET), `the text about ${url} keeps its password`);
  },
};

export const TEXT_TARGETS: readonly DecoderTarget[] = [
  conf,
  environment,
  duration,
  kafkaUrl,
  order,
  query,
  banNotice,
  histories,
  shown,
  masking,
];
