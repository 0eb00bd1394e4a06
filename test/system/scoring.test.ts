// What a peer's input costs, seen from outside on both wires: a sloppy but honest author is banned by nothing that it
// sends, and a neighbour through which very many new identities offend pushes no ban out of the list.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admin } from '../support/admin.ts';
import { busBlock, busSubtree, messageBus } from '../support/bus-network.ts';
import { busTopics } from '../support/go-bus.ts';
import { GoPeer } from '../support/go-peer.ts';
import { GoScored, innerText } from '../support/go-scored.ts';
import {
  allTopics,
  blockFields,
  DATA_HUB,
  mainnetHeaders,
  PSK,
  privateNetwork,
  subtreeFields,
  topicsOf,
} from '../support/network.ts';
import { dataJson } from '../support/recorded.ts';
import { ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait.ts';

const oldTopics = topicsOf('mainnet');
const newTopics = busTopics('mainnet');
const VICTIM = '12D3KooWDsRPXvXXUJoK3MpZL5ENQsHarF8Rk6J96CFet6uJGxvu';

function startServer(settings: Record<string, string> = {}): Promise<ServerProcess> {
  return ServerProcess.start({
    settings: {
      ...messageBus('mainnet'),
      ...privateNetwork('mainnet'),
      p2p_wire: 'both',
      p2p_go_p2p_port: '0',
      logLevel: 'INFO',
      ...settings,
    },
  });
}

async function meshOld(peer: GoPeer, id: string): Promise<void> {
  const topics = [oldTopics.block, oldTopics.subtree, oldTopics.nodeStatus, oldTopics.rejectedTx];
  await waitFor(
    async () => {
      const { mesh } = await peer.mesh();
      return topics.every((topic) => mesh[topic]?.includes(id));
    },
    { what: 'the mesh on go-p2p' },
  );
}

interface Explained {
  readonly scores: readonly { readonly role: string; readonly score: number }[];
  readonly offences: readonly { readonly rule: string }[];
  readonly rules: readonly { readonly rule: string; readonly points: number; readonly why: string }[];
  readonly inForce: readonly unknown[];
}

async function explained(server: ServerProcess, subject: string): Promise<Explained> {
  const { status, body } = await server.get(`/api/v1/explain/${subject}`);
  expect(status).toBe(200);
  return JSON.parse(body) as Explained;
}

describe('the recorded probes, each sent thirty times', () => {
  interface Probe {
    readonly case: string;
    readonly topic: 'block' | 'subtree' | 'rejected_tx' | 'node_status';
    readonly data: string;
  }
  const { probes } = dataJson<{ readonly probes: readonly Probe[] }>('today/probes.json');
  const [SENDER, RECEIVER] = [
    '12D3KooWEJCNpCkDRxATa6spMyLuJLVrNGkcW66GG9QhpEXgJb4a',
    '12D3KooWA92xQApk87cC79kDR7LA3ifaqTkL71a8heD3zPUJQ91J',
  ];
  /** They speak in the name of another peer, which is no accident. */
  const FORGED = ['PeerID of another', 'PeerID of the receiver', 'node_status of another peer'];
  const sloppy = probes.filter(({ case: name }) => !FORGED.includes(name));
  const TIMES = 30;
  let server: ServerProcess;
  let old: GoPeer;
  let bus: GoScored;

  beforeAll(async () => {
    server = await startServer();
    old = await GoPeer.start({ psk: PSK, topics: allTopics('mainnet'), allow: [server.peerId] });
    await old.connect(server.addressOn('go-p2p'));
    await meshOld(old, server.peerId);
    bus = await GoScored.start({ network: 'mainnet', topics: Object.values(newTopics) });
    await bus.connect(server.addressOn('message-bus'));
    const isMeshed = async () => {
      const { mesh } = await bus.mesh();
      return Object.values(newTopics).every((topic) => mesh[topic]?.includes(server.peerId));
    };
    await waitFor(isMeshed, { what: 'the mesh on message-bus' });
  });

  afterAll(async () => {
    await Promise.all([old?.stop(), bus?.stop(), server?.stop()]);
  });

  const busTopic = { ...newTopics, rejected_tx: newTopics.rejectedTx, node_status: newTopics.nodeStatus };
  const oldTopic = { ...oldTopics, rejected_tx: oldTopics.rejectedTx, node_status: oldTopics.nodeStatus };
  const heard = () => server.metric('teranode_p2p_gossip_messages_total');
  const innerAs = (inner: string, author: string) =>
    inner.replaceAll(SENDER, author).replaceAll(RECEIVER, server.peerId);

  /** The probe as an author sends it on message-bus. */
  function enveloped({ data }: Probe, author: string): string {
    const inner = innerText(Buffer.from(data));
    if (!inner.includes(SENDER) && !inner.includes(RECEIVER)) return innerAs(data, author);
    const changed = Buffer.from(innerAs(inner, author)).toString('base64');
    return JSON.stringify({ ...JSON.parse(data), data: changed });
  }

  /** The probe as an author sends it on go-p2p: without the envelope, where it has one that can be read. */
  const plain = ({ data }: Probe, author: string) => innerAs(innerText(Buffer.from(data)) || data, author);

  async function sendOn(wire: 'go-p2p' | 'message-bus', all: readonly Probe[], times: number): Promise<void> {
    const before = await heard();
    for (const probe of all) {
      const { topic } = probe;
      for (let i = 0; i < times; i += 1)
        if (wire === 'go-p2p') await old.publish(oldTopic[topic], plain(probe, old.peerId));
        else await bus.publishRaw(busTopic[topic], enveloped(probe, bus.peerId));
    }
    await waitFor(async () => (await heard()) >= before + all.length * times, {
      timeoutMs: 60_000,
      what: `the probes on ${wire}`,
    });
  }

  test.each(['go-p2p', 'message-bus'] as const)(
    'and before them as many blocks with 0x before their hash, on %s: dropped, counted, and cheap',
    async (wire) => {
      const ofBlocks = (reason: string) =>
        server.metric('teranode_p2p_gossip_messages_total', 'topic="block"', `reason="${reason}"`);
      const [before, processed] = [await ofBlocks('hash_form'), await ofBlocks('processed')];
      for (const [i, header] of mainnetHeaders()
        .slice(1, 1 + TIMES)
        .entries())
        if (wire === 'go-p2p') {
          const block = blockFields(header, 1 + i, old.peerId);
          await old.publish(oldTopics.block, JSON.stringify({ ...block, Hash: `0x${block.Hash}` }));
        } else {
          const block = busBlock(header, 1 + i, bus.peerId);
          await bus.publish(newTopics.block, { ...block, Hash: `0x${block.Hash}` });
        }
      await waitFor(async () => (await ofBlocks('hash_form')) >= before + TIMES, { what: `the blocks on ${wire}` });
      expect(await ofBlocks('processed')).toBe(processed);
      const author = wire === 'go-p2p' ? old : bus;
      const { scores, inForce } = await explained(server, author.peerId);
      expect(inForce).toEqual([]);
      // One point each, which decays; on message-bus none.
      for (const { score } of scores) expect(score).toBeLessThanOrEqual(wire === 'go-p2p' ? TIMES : 0);
      expect(await server.metric('teranode_p2p_bans{')).toBe(0);
      expect(await author.isConnectedTo(server.peerId)).toBe(true);
    },
  );

  test.each(['go-p2p', 'message-bus'] as const)(
    'ban no honest author on %s, which pays at most half of a ban for all of them',
    async (wire) => {
      // What is announced as it should be comes last: behind it, the others would be duplicates.
      await sendOn(wire, sloppy.toReversed(), TIMES);
      const author = wire === 'go-p2p' ? old.peerId : bus.peerId;
      const { scores, inForce } = await explained(server, author);
      expect(inForce).toEqual([]);
      for (const { score } of scores) expect(score).toBeLessThanOrEqual(50);
      expect(await server.metric('teranode_p2p_bans{')).toBe(0);
    },
  );

  test.each(['go-p2p', 'message-bus'] as const)(
    'in the name of another peer lead to a ban on %s, and the explanation cites the table',
    async (wire) => {
      const forged = probes.filter(({ case: name }) => FORGED.includes(name));
      // A banned author is disconnected, so that not all of them arrive.
      await sendOn(wire, forged, 1);
      const author = wire === 'go-p2p' ? old.peerId : bus.peerId;
      const { offences, rules } = await explained(server, author);
      expect(offences.filter(({ rule }) => rule === 'author_mismatch')).toHaveLength(3);
      const cited = { rule: 'author_mismatch', points: 20, canBeAccident: false, why: expect.any(String) };
      expect(rules).toContainEqual(expect.objectContaining(cited));
      expect(readFileSync('docs/scoring.md', 'utf8')).toContain(rules[0]?.why ?? 'none');
      const [shown] = await admin(server, 'bans', 'explain', author);
      expect(shown).toMatchObject({ rules: expect.arrayContaining([expect.objectContaining(cited)]) });
    },
  );
});

describe('1,500 new identities that offend through one neighbour', () => {
  const IDENTITIES = 1500;
  let server: ServerProcess;
  let neighbour: GoPeer;
  let known: GoPeer;
  let offender: GoPeer;
  let busNeighbour: GoScored;

  async function operate(path: string, body: object): Promise<void> {
    const key = readFileSync(join(server.dataFolder, 'admin.key'), 'utf8').trim();
    const response = await fetch(`http://${server.ready.httpAddress}/api/v1/${path}`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(response.ok).toBe(true);
  }
  const keys = async () =>
    (JSON.parse((await server.get('/api/v1/bans')).body) as { bans: { key: string }[] }).bans.map(({ key }) => key);
  const messages = (...labels: string[]) => server.metric('teranode_p2p_gossip_messages_total', ...labels);

  beforeAll(async () => {
    // One forged message is a ban: each identity needs but one.
    server = await startServer({ p2p_ban_threshold: '20', p2p_ban_max_entries: '100', p2p_http_rate: '0' });
    const go = { psk: PSK, topics: allTopics('mainnet') };
    [neighbour, known, offender] = await Promise.all([GoPeer.start(go), GoPeer.start(go), GoPeer.start(go)]);
    await neighbour.connect(server.addressOn('go-p2p'));
    await meshOld(neighbour, server.peerId);
    await offender.connect(server.addressOn('go-p2p'));
    await meshOld(offender, server.peerId);
    await known.connect(neighbour.addresses[0] ?? '');
    await meshOld(known, neighbour.peerId);
    busNeighbour = await GoScored.start({ network: 'mainnet', topics: Object.values(newTopics) });
    await busNeighbour.connect(server.addressOn('message-bus'));
    await waitFor(async () => (await busNeighbour.mesh()).mesh[newTopics.subtree]?.includes(server.peerId), {
      what: 'the mesh on message-bus',
    });
  });

  afterAll(async () => {
    await Promise.all([neighbour, known, offender, busNeighbour, server].map((each) => each?.stop()));
  });

  test('slow the neighbour on both wires, and neither fill the log nor push out bans of operators and neighbours', async () => {
    const operators = Array.from({ length: 20 }, (_each, i) => `198.51.100.${i}`);
    for (const subject of operators) await operate('bans', { subject, untilMs: Date.now() + 3_600_000 });
    await offender.publish(oldTopics.subtree, JSON.stringify({ ...subtreeFields(offender.peerId), PeerID: VICTIM }));
    await waitFor(async () => (await keys()).includes(offender.peerId), { what: 'the ban of a connected author' });
    await known.publish(oldTopics.subtree, JSON.stringify(subtreeFields(known.peerId)));
    await waitFor(async () => (await messages('reason="processed"')) > 0, { what: 'an author that is known then' });

    const before = await messages();
    const template = JSON.stringify({ Hash: 'ab'.repeat(32), DataHubURL: DATA_HUB, PeerID: VICTIM });
    const flood = { count: IDENTITIES, ratePerSecond: 1000, template };
    await neighbour.publishAs({ ...flood, topic: oldTopics.subtree });
    await busNeighbour.publishAs({ ...flood, topic: newTopics.subtree, template: JSON.stringify(busSubtree(VICTIM)) });
    await waitFor(async () => (await messages()) >= before + 1.9 * IDENTITIES, {
      timeoutMs: 60_000,
      what: 'the messages of all identities',
    });

    const banned = await keys();
    expect(banned).toEqual(expect.arrayContaining([...operators, offender.peerId]));
    // A tenth of the list is for authors that are not connected.
    expect(banned.length).toBeLessThanOrEqual(operators.length + 1 + 10);
    expect(await messages('reason="relay_rate"')).toBeGreaterThan(IDENTITIES);
    expect(server.output.json.filter(({ level }) => level === 'warn').length).toBeLessThan(60);
    for (const { peerId } of [neighbour, busNeighbour])
      expect(await explained(server, peerId)).toMatchObject({ scores: [], offences: [], inForce: [] });
    expect(await neighbour.isConnectedTo(server.peerId)).toBe(true);
    expect(await busNeighbour.isConnectedTo(server.peerId)).toBe(true);

    const processed = await messages('reason="processed"');
    for (const peer of [neighbour, known])
      await peer.publish(oldTopics.subtree, JSON.stringify(subtreeFields(peer.peerId)));
    await waitFor(async () => (await messages('reason="processed"')) >= processed + 2, {
      what: 'messages of the neighbour and of a known author behind it',
    });
  });
});
