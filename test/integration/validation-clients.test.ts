// The clients of block validation and block assembly, against the reference services in a process of their own.
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceOptions } from '../../src/adapters/services/service-channel.ts';
import { blockAssemblyClient, blockValidationClient } from '../../src/adapters/services/validation-clients.ts';
import { StateMessageSchema } from '../../src/gen/blockassembly_api_pb.js';
import { UNKNOWN_BLOCK_ASSEMBLY } from '../../src/wire/block-assembly-details.ts';
import { makeAuthority, makeCertificate } from '../support/certificates.ts';
import { temporaryFolder } from '../support/cleanup.ts';
import { freePort } from '../support/kafka-broker.ts';
import { ReferenceServiceProcess } from '../support/reference-service-process.ts';
import { atEnd, freshParts, QUICK, stopClientsAfterEach } from '../support/rpc-clients.ts';
import { waitFor } from '../support/wait.ts';

stopClientsAfterEach();

function clients(address: string, options: Partial<ServiceOptions> = {}) {
  const parts = freshParts();
  const validation = blockValidationClient(parts, { ...QUICK, address, ...options });
  const assembly = blockAssemblyClient(parts, { ...QUICK, address, ...options });
  atEnd(() => {
    validation.close();
    assembly.close();
  });
  return { validation, assembly, ...parts };
}

const STATE = {
  blockAssemblyState: 'running',
  subtreeProcessorState: 'resetting',
  resetWaitCount: 3,
  resetWaitTime: 1_700_000_000,
  subtreeCount: 2,
  txCount: 18_446_744_073_709_551_615n,
  queueCount: -9_223_372_036_854_775_808n,
  currentHeight: 886_001,
  currentHash: 'ab'.repeat(32),
  removeMapCount: 4_294_967_295,
  subtrees: ['cd'.repeat(32), 'ef'.repeat(32)],
};

let service: ReferenceServiceProcess;
beforeAll(async () => {
  service = await ReferenceServiceProcess.start();
});
afterEach(async () => {
  await service.resume();
  await service.heal();
  for (const each of ['blockvalidation', 'blockassembly']) await service.setHealth(each, true, 'OK');
});
afterAll(() => service.stop());

describe('health', () => {
  test('each service is asked for its own health, and the details say what is wrong', async () => {
    const { validation, assembly, metrics } = clients(service.address);
    const well = { ok: true, details: `${service.address}: OK` };
    expect([await validation.probe(1000), await assembly.probe(1000)]).toEqual([well, well]);
    await service.setHealth('blockvalidation', false, `{\n  "status": "503"\n}${'x'.repeat(10_000)}`);
    const { ok, details } = await validation.probe(1000);
    expect(ok).toBe(false);
    expect(details).toMatch(/^127\.0\.0\.1:\d+: \{ "status": "503" \}x+$/);
    expect(details.length).toBeLessThan(600);
    expect(await assembly.probe(1000)).toEqual(well);
    const name = 'teranode_p2p_rpc_calls_total';
    expect(metrics.count(name, { service: 'blockvalidation', method: 'HealthGRPC', code: 'OK' })).toBe(2);
    expect(metrics.count(name, { service: 'blockassembly', method: 'HealthGRPC', code: 'OK' })).toBe(2);
  });

  test('a service that fails, hangs or is down is reported within the deadline', async () => {
    const { validation } = clients(service.address);
    await service.fail('HealthGRPC', 'INTERNAL');
    expect(await validation.probe(1000)).toMatchObject({ ok: false, details: expect.stringContaining('INTERNAL') });
    await service.stall('HealthGRPC');
    const startedMs = performance.now();
    const late = await validation.probe(200);
    expect(late).toMatchObject({ ok: false, details: expect.stringContaining('DEADLINE_EXCEEDED') });
    expect(performance.now() - startedMs).toBeLessThan(1500);
    const { validation: elsewhere } = clients(`127.0.0.1:${await freePort()}`);
    expect(await elsewhere.probe(1000)).toMatchObject({ ok: false, details: expect.stringContaining('UNAVAILABLE') });
  });
});

describe('the state of block assembly', () => {
  test('arrives with every field, also at its largest size', async () => {
    const { assembly } = clients(service.address);
    expect(await assembly.state()).toEqual(UNKNOWN_BLOCK_ASSEMBLY);
    await service.setAssembly({ ...STATE, txCount: String(STATE.txCount), queueCount: String(STATE.queueCount) });
    expect(await assembly.state()).toEqual(STATE);
  });

  test.each<[string, MessageInitShape<typeof StateMessageSchema>, number]>([
    ['more subtrees than are told on', { subtrees: Array(12_000).fill('ab'.repeat(32)) }, 10_000],
    ['states that are novels', { blockAssemblyState: 'x'.repeat(99_999), subtrees: ['ab'.repeat(32)] }, 1],
  ])('%s is cut to its bound', async (_what, fields, subtrees) => {
    const { assembly } = clients(service.address);
    await service.answer('GetBlockAssemblyState', toBinary(StateMessageSchema, create(StateMessageSchema, fields)));
    const state = await assembly.state();
    expect(state.subtrees).toHaveLength(subtrees);
    expect(state.blockAssemblyState.length).toBeLessThanOrEqual(64);
  });

  test.each<[string, Uint8Array]>([
    ['a hash that is none', toBinary(StateMessageSchema, create(StateMessageSchema, { currentHash: 'ab'.repeat(33) }))],
    [
      'a subtree that is none',
      toBinary(StateMessageSchema, create(StateMessageSchema, { subtrees: ['x'.repeat(65)] })),
    ],
    ['bytes that are no message', Buffer.from('0aff', 'hex')],
  ])('%s makes the call fail, and nothing else', async (_what, bytes) => {
    const { assembly } = clients(service.address);
    await service.answer('GetBlockAssemblyState', bytes);
    await expect(assembly.state()).rejects.toMatchObject({
      code: 'RPC_FAILED',
      details: { service: 'blockassembly', method: 'GetBlockAssemblyState', grpcCode: 'DATA_LOSS' },
    });
    await service.heal();
    await assembly.state();
  });

  test('a temporary failure is retried; a service that hangs or restarts is awaited within the time limit', async () => {
    const { assembly } = clients(service.address);
    await service.fail('GetBlockAssemblyState', 'UNAVAILABLE', 2);
    await assembly.state();
    await service.stall('GetBlockAssemblyState');
    await expect(assembly.state()).rejects.toMatchObject({ details: { grpcCode: 'DEADLINE_EXCEEDED' } });
    await service.kill();
    await expect(assembly.state()).rejects.toMatchObject({ details: { grpcCode: 'UNAVAILABLE' } });
    await service.up();
    expect(await waitFor(() => assembly.state(), { what: 'an answer' })).toEqual(UNKNOWN_BLOCK_ASSEMBLY);
  });
});

describe('the connection to a validation service', () => {
  test('uses TLS and carries the API key', async () => {
    const folder = temporaryFolder('rpc-tls');
    const [ours, others] = [await makeAuthority(folder, 'ours'), await makeAuthority(folder, 'others')];
    const tls = await makeCertificate(folder, 'server', ours);
    const guarded = await ReferenceServiceProcess.start({ tls, apiKey: 'secret' });
    atEnd(() => guarded.stop());
    const { assembly, validation } = clients(guarded.address, { tls: { caFile: ours.certFile }, apiKey: 'secret' });
    expect(await validation.probe(2000)).toMatchObject({ ok: true });
    expect(await assembly.state()).toEqual(UNKNOWN_BLOCK_ASSEMBLY);
    const { assembly: keyless } = clients(guarded.address, { tls: { caFile: ours.certFile } });
    await expect(keyless.state()).rejects.toMatchObject({ details: { grpcCode: 'UNAUTHENTICATED' } });
    const { validation: distrusting } = clients(guarded.address, {
      tls: { caFile: others.certFile },
      apiKey: 'secret',
    });
    expect(await distrusting.probe(2000)).toMatchObject({ ok: false, details: expect.stringContaining('UNAVAILABLE') });
  });

  test('an invalid address is refused at once', () => {
    expect(() => clients('nowhere')).toThrow(/host:port/);
  });

  test('close ends open calls and may be called twice', async () => {
    const { assembly, validation } = clients(service.address);
    await service.stall();
    const before = await service.counts();
    const refused = expect(assembly.state()).rejects.toMatchObject({ details: { grpcCode: 'CANCELLED' } });
    const probed = validation.probe(10_000);
    await waitFor(async () => (await service.counts()).calls >= before.calls + 2, { what: 'the calls' });
    for (const each of [assembly, assembly, validation]) each.close();
    await refused;
    expect(await probed).toMatchObject({ ok: false, details: expect.stringContaining('CANCELLED') });
    await expect(assembly.state()).rejects.toMatchObject({ details: { grpcCode: 'CANCELLED' } });
  });
});
