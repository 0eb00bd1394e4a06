// Calls to the blockchain service over gRPC, against the reference service in a process of its own: what it says, what
// it does not have, and everything that can be wrong with it.
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GrpcBlockchainClient } from '../../src/adapters/services/blockchain-client.ts';
import type { BlockHash } from '../../src/domain/ids.ts';
import { GetBlockHeaderResponseSchema, GetFSMStateResponseSchema } from '../../src/gen/blockchain_api_pb.js';
import type { FsmState } from '../../src/ports/blockchain-client.ts';
import { hashToBytes } from '../../src/wire/hash.ts';
import { workOfTarget } from '../../src/wire/header.ts';
import { blockchainConformance } from '../support/blockchain-conformance.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { atEnd, freshParts, QUICK, startClient, stopClientsAfterEach } from '../support/rpc-clients.ts';
import { waitFor } from '../support/wait.ts';

const UNKNOWN_HASH = 'ab'.repeat(32) as BlockHash;

stopClientsAfterEach();

describe('the gRPC client conforms to BlockchainClient', () => {
  blockchainConformance(async () => {
    const service = await ReferenceServiceProcess.start();
    const { client } = await startClient(service.address, { times: {} });
    // The suite sets the state and asks at once; here the command has a way to go.
    let told = Promise.resolve();
    const afterCommand = {
      fsmState: () => told.then(() => client.fsmState()),
      waitUntilFsmLeavesIdle: (signal: AbortSignal) => told.then(() => client.waitUntilFsmLeavesIdle(signal)),
    };
    return {
      client: Object.assign(Object.create(client) as GrpcBlockchainClient, afterCommand),
      extend: async () => ({ ...(await service.mine()), chainWork: undefined }),
      setFsmState: (state: FsmState) => {
        told = told.then(() => service.setFsmState(state));
      },
      stop: async () => {
        await client.stop();
        await service.stop();
      },
    };
  });
});

describe('calls', () => {
  let service: ReferenceServiceProcess;
  beforeAll(async () => {
    service = await ReferenceServiceProcess.start();
  });
  afterEach(async () => {
    await service.resume();
    await service.heal();
    await service.setHealth('blockchain', true, 'OK');
  });
  afterAll(() => service.stop());

  test('every field that the service sets arrives; chain work only with the best header', async () => {
    const { client } = await startClient(service.address);
    const mined = await service.mine();
    const best = await client.bestBlockHeader();
    expect(best).toEqual({ ...mined, chainWork: BigInt(mined.height + 1) * workOfTarget(0x7fffffn << 232n) });
    expect(await client.blockHeader(mined.hash)).toEqual({ ...mined, chainWork: undefined, subtreesSet: true });
  });

  test('an invalid block is marked as invalid', async () => {
    const { client } = await startClient(service.address);
    const { hash } = await service.mine();
    await service.invalidate(hash);
    expect(await client.blockHeader(hash)).toMatchObject({ hash, invalid: true });
    expect((await client.bestBlockHeader()).hash).not.toBe(hash);
  });

  test('a temporary failure is retried, a permanent one is not', async () => {
    const { client, metrics } = await startClient(service.address);
    await service.fail('GetBestBlockHeader', 'UNAVAILABLE', 3);
    await client.bestBlockHeader();
    const calls = (code: string) =>
      metrics.count('teranode_p2p_rpc_calls_total', { service: 'blockchain', method: 'GetBestBlockHeader', code });
    expect([calls('UNAVAILABLE'), calls('OK')]).toEqual([3, 1]);
    await service.fail('GetBestBlockHeader', 'PERMISSION_DENIED');
    await expect(client.bestBlockHeader()).rejects.toMatchObject({
      code: 'RPC_FAILED',
      details: { service: 'blockchain', method: 'GetBestBlockHeader', grpcCode: 'PERMISSION_DENIED' },
    });
    expect(calls('PERMISSION_DENIED')).toBe(1);
  });

  test('the number of retries is bounded', async () => {
    const { client, metrics } = await startClient(service.address, { maxRetries: 2 });
    await service.fail('GetFSMCurrentState', 'RESOURCE_EXHAUSTED');
    await expect(client.fsmState()).rejects.toMatchObject({ details: { grpcCode: 'RESOURCE_EXHAUSTED' } });
    expect(metrics.count('teranode_p2p_rpc_calls_total', { method: 'GetFSMCurrentState' })).toBe(3);
  });

  test('a call fails with the error before its last attempt when that attempt was cut short', async () => {
    const times = { attemptMs: 60_000, callMs: 2000, keepAliveMs: 60_000, connectMs: 1000 };
    const { client, metrics } = await startClient(service.address, { maxRetries: 1000, times });
    await service.fail('GetFSMCurrentState', 'UNAVAILABLE');
    const failing = expect(client.fsmState()).rejects.toMatchObject({ details: { grpcCode: 'UNAVAILABLE' } });
    const failures = () => metrics.count('teranode_p2p_rpc_calls_total', { code: 'UNAVAILABLE' });
    await waitFor(() => failures() > 0, { what: 'the first failure' });
    await service.stall();
    await failing;
    expect(metrics.count('teranode_p2p_rpc_calls_total', { code: 'DEADLINE_EXCEEDED' })).toBe(1);
    await service.resume();
  });

  test('calls to a service that hangs or is down fail within the time limit; later calls succeed', async () => {
    const { client } = await startClient(service.address);
    await service.stall();
    const startedMs = performance.now();
    const stalled = [
      client.bestBlockHeader(),
      client.blockHeader(UNKNOWN_HASH),
      client.getState('k'),
      client.fsmState(),
    ];
    for (const each of await Promise.allSettled(stalled)) {
      expect(each).toMatchObject({ status: 'rejected', reason: { details: { grpcCode: 'DEADLINE_EXCEEDED' } } });
    }
    const elsewhere = await startClient(`127.0.0.1:${await freePort()}`);
    await expect(elsewhere.client.setState('k', new Uint8Array(1))).rejects.toMatchObject({
      details: { grpcCode: 'UNAVAILABLE' },
    });
    expect(performance.now() - startedMs).toBeLessThan(8000);
    await service.resume();
    expect(await client.fsmState()).toBe('RUNNING');
  });

  test('a probe reports its result within its deadline', async () => {
    const { client } = await startClient(service.address);
    expect(await client.probe(1000)).toEqual({ ok: true, details: `${service.address}: OK` });
    await service.setHealth('blockchain', false, 'store is\n\taway');
    expect(await client.probe(1000)).toEqual({ ok: false, details: `${service.address}: store is away` });
    await service.stall('HealthGRPC');
    const startedMs = performance.now();
    expect(await client.probe(200)).toMatchObject({ ok: false, details: expect.stringContaining('DEADLINE_EXCEEDED') });
    expect(performance.now() - startedMs).toBeLessThan(1500);
    const { client: elsewhere } = await startClient(`127.0.0.1:${await freePort()}`);
    expect(await elsewhere.probe(1000)).toMatchObject({ ok: false, details: expect.stringContaining('UNAVAILABLE') });
  });

  test('calls are refused before start and after stop, and stop ends open calls', async () => {
    const refused = { code: 'RPC_FAILED', details: { grpcCode: 'CANCELLED' } };
    const signal = new AbortController().signal;
    const client = new GrpcBlockchainClient(freshParts(), { ...QUICK, address: service.address });
    const refusesAll = async () => {
      await expect(client.bestBlockHeader()).rejects.toMatchObject(refused);
      await expect(client.waitUntilFsmLeavesIdle(signal)).rejects.toMatchObject(refused);
      expect(() => client.subscribe('test', () => {})).toThrow(/not started, or is stopped/);
      expect(await client.probe(100)).toMatchObject({ ok: false });
    };
    await refusesAll();
    await client.start(signal);
    await client.start(signal);
    await service.stall();
    const before = await service.counts();
    const asked = [client.fsmState(), client.waitUntilFsmLeavesIdle(signal)];
    const ends = asked.map((each) => expect(each).rejects.toMatchObject(refused));
    await waitFor(async () => (await service.counts()).calls >= before.calls + 2, { what: 'the calls' });
    await Promise.all([client.stop(), client.stop()]);
    await Promise.all(ends);
    await refusesAll();
  });
});

describe('a hash or key that the service does not have', () => {
  let service: ReferenceServiceProcess;
  beforeAll(async () => {
    service = await ReferenceServiceProcess.start();
  });
  afterEach(async () => {
    await service.heal();
    await service.setHealth('blockchain', true, 'OK');
  });
  afterAll(() => service.stop());

  test.each(['INTERNAL', 'UNKNOWN', 'NOT_FOUND'])('is undefined when a healthy service answers %s', async (code) => {
    const { client } = await startClient(service.address);
    await client.setState('k', Buffer.from('v'));
    await service.fail('GetState', code);
    await service.fail('GetBlockHeader', code);
    expect(await client.getState('k')).toBeUndefined();
    expect(await client.blockHeader(UNKNOWN_HASH)).toBeUndefined();
  });

  test('is an error when the service is unhealthy or down', async () => {
    const { client } = await startClient(service.address);
    await service.setHealth('blockchain', false, 'store is away');
    await expect(client.getState('missing')).rejects.toMatchObject({ details: { grpcCode: 'INTERNAL' } });
    await service.setHealth('blockchain', true, 'OK');
    await service.fail('HealthGRPC', 'UNAVAILABLE');
    await expect(client.getState('missing')).rejects.toMatchObject({ details: { grpcCode: 'UNAVAILABLE' } });
    await service.heal();
    for (const code of ['UNAUTHENTICATED', 'UNIMPLEMENTED', 'FAILED_PRECONDITION', 'UNAVAILABLE']) {
      await service.fail('GetState', code);
      await expect(client.getState('missing')).rejects.toMatchObject({ details: { grpcCode: code } });
    }
  });

  test('is requested twice, so that a real error hides no value', async () => {
    const { client } = await startClient(service.address);
    await client.setState('k', Buffer.from('v'));
    await service.fail('GetState', 'INTERNAL', 1);
    expect(Buffer.from((await client.getState('k')) ?? []).toString()).toBe('v');
  });

  test('keys and values are bounded', async () => {
    const { client } = await startClient(service.address);
    for (const key of ['', 'k'.repeat(257)]) await expect(client.getState(key)).rejects.toThrow(RangeError);
    await expect(client.setState('k', new Uint8Array(1024 * 1024 + 1))).rejects.toThrow(RangeError);
    await client.setState('large', new Uint8Array(1024 * 1024));
    expect(await client.getState('large')).toHaveLength(1024 * 1024);
  });
});

describe('an invalid answer makes the call fail, and nothing else', () => {
  let service: ReferenceServiceProcess;
  beforeAll(async () => {
    service = await ReferenceServiceProcess.start();
    await service.mine();
  });
  afterEach(() => service.heal());
  afterAll(() => service.stop());

  const headerAnswer = (fields: object) =>
    toBinary(GetBlockHeaderResponseSchema, create(GetBlockHeaderResponseSchema, fields));

  test.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['79 bytes', headerAnswer({ blockHeader: new Uint8Array(79) })],
    ['81 bytes', headerAnswer({ blockHeader: new Uint8Array(81) })],
    ['a megabyte', headerAnswer({ blockHeader: new Uint8Array(1024 * 1024) })],
    ['work of 33 bytes', headerAnswer({ blockHeader: new Uint8Array(80), chainWork: new Uint8Array(33) })],
    ['bytes that are no message', Buffer.from('ffffffffffffffffffff01', 'hex')],
  ])('a header that has %s', async (_what, bytes) => {
    const { client } = await startClient(service.address);
    await service.answer('GetBestBlockHeader', bytes);
    await service.answer('GetBlockHeader', bytes);
    const wrong = { code: 'RPC_FAILED', details: { grpcCode: 'DATA_LOSS' } };
    await expect(client.bestBlockHeader()).rejects.toMatchObject(wrong);
    await expect(client.blockHeader(UNKNOWN_HASH)).rejects.toMatchObject(wrong);
    await service.heal();
    expect(await client.bestBlockHeader()).toMatchObject({ height: 1 });
  });

  test('an answer of ten megabytes', async () => {
    // With time enough for a busy machine to carry them.
    const { client } = await startClient(service.address, { times: {} });
    await service.answer('GetBestBlockHeader', new Uint8Array(), 10_000_000);
    await expect(client.bestBlockHeader()).rejects.toMatchObject({ details: { grpcCode: 'RESOURCE_EXHAUSTED' } });
    await service.heal();
    expect(await client.bestBlockHeader()).toMatchObject({ height: 1 });
  });

  test('the header of another block, also when only its hash has the wrong byte order', async () => {
    const { client } = await startClient(service.address);
    const best = await service.best();
    const reversed = Buffer.from(hashToBytes(best.hash)).toString('hex') as BlockHash;
    expect(await client.blockHeader(reversed)).toBeUndefined();
    await service.answer('GetBlockHeader', headerAnswer({ blockHeader: best.header }));
    for (const hash of [reversed, UNKNOWN_HASH]) {
      await expect(client.blockHeader(hash)).rejects.toMatchObject({ details: { grpcCode: 'DATA_LOSS' } });
    }
    expect(await client.blockHeader(best.hash)).toMatchObject({ hash: best.hash });
  });

  test('an unknown FSM state; a miner text of any length is cut', async () => {
    const { client } = await startClient(service.address);
    const state = create(GetFSMStateResponseSchema, { state: 17 as never });
    await service.answer('GetFSMCurrentState', toBinary(GetFSMStateResponseSchema, state));
    await expect(client.fsmState()).rejects.toMatchObject({ details: { grpcCode: 'DATA_LOSS' } });
    await service.answer(
      'GetBestBlockHeader',
      headerAnswer({ blockHeader: new Uint8Array(80), miner: 'x'.repeat(99_999) }),
    );
    expect((await client.bestBlockHeader()).miner).toHaveLength(256);
  });
});

describe('waiting for the FSM to leave IDLE', () => {
  test('starts before the service, survives its restart, and ends when the FSM leaves IDLE', async () => {
    const port = await freePort();
    const { client, log } = await startClient(`127.0.0.1:${port}`);
    let isOver = false;
    const waiting = client.waitUntilFsmLeavesIdle(new AbortController().signal).then(() => {
      isOver = true;
    });
    await waitFor(() => log.lines.some(({ event }) => event === 'waiting for the blockchain service'), {
      what: 'a line that it waits',
    });
    const dataFile = join(temporaryFolder('services'), 'chain.db');
    const first = await ReferenceServiceProcess.start({ port, dataFile, fsmState: 'IDLE' });
    atEnd(() => first.stop());
    const method = 'WaitUntilFSMTransitionFromIdleState';
    await waitFor(async () => (await first.counts(method)).calls > 0, { what: 'the wait' });
    await first.kill();
    await first.up();
    await waitFor(async () => (await first.counts(method)).calls > 0, { what: 'the wait after the restart' });
    expect(isOver).toBe(false);
    await first.setFsmState('CATCHINGBLOCKS');
    await waiting;
    expect(await client.fsmState()).toBe('CATCHINGBLOCKS');
  });

  test('works with a service that forgets the wait or lacks the call, and ends with its signal', async () => {
    const service = await ReferenceServiceProcess.start({ fsmState: 'IDLE' });
    atEnd(() => service.stop());
    const { client } = await startClient(service.address);
    const given = new AbortController();
    const waiting = client.waitUntilFsmLeavesIdle(given.signal);
    await waitFor(async () => (await service.counts('WaitUntilFSMTransitionFromIdleState')).calls > 0, {
      what: 'the wait',
    });
    given.abort(new Error('given up'));
    await expect(waiting).rejects.toThrow('given up');
    await service.fail('WaitUntilFSMTransitionFromIdleState', 'UNIMPLEMENTED');
    const polling = client.waitUntilFsmLeavesIdle(new AbortController().signal);
    await waitFor(async () => (await service.counts('GetFSMCurrentState')).calls > 1, { what: 'two looks' });
    await service.setFsmState('RUNNING');
    await polling;
  });
});
