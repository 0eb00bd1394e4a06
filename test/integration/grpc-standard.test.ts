// The standard services beside ours: health, and reflection as generic clients use it.
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { type MethodDefinition, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { service as healthDefinition } from 'grpc-health-check';
import { describe, expect, test } from 'vitest';
import { KNOWN_PEER, PEER, rawCall, rawClient, serveGrpc, stopGrpcAfterEach } from '../support/grpc.ts';
import { waitFor } from '../support/wait.ts';

stopGrpcAfterEach();

describe('health', () => {
  const { Check: check, Watch: watch, List: list } = healthDefinition;
  const statusOf = (address: string, service: string) =>
    new Promise((resolve) => {
      if (check === undefined) throw new Error('no Check');
      rawClient(address).makeUnaryRequest(
        check.path,
        check.requestSerialize,
        check.responseDeserialize,
        { service },
        (error, response) => resolve(error === null ? (response as { status: string }).status : status[error.code]),
      );
    });

  test('reports whether the server is serving, as a whole and per service', async () => {
    const { address, server } = await serveGrpc();
    const names = ['', 'p2p_api.PeerService', 'teranode_p2p.PolicyService'];
    for (const name of names) expect(await statusOf(address, name)).toBe('NOT_SERVING');
    server.setServing(true);
    for (const name of names) expect(await statusOf(address, name)).toBe('SERVING');
    expect(await statusOf(address, 'nothing')).toBe('NOT_FOUND');
    const all = await new Promise((resolve) => {
      if (list === undefined) throw new Error('no List');
      rawClient(address).makeUnaryRequest(
        list.path,
        list.requestSerialize,
        list.responseDeserialize,
        {},
        (_error, response) => resolve(response),
      );
    });
    expect(all).toEqual({ statuses: Object.fromEntries(names.map((name) => [name, { status: 'SERVING' }])) });
  });

  test('notifies watch streams of changes, and ends them when the server stops', async () => {
    const { address, server } = await serveGrpc();
    if (watch === undefined) throw new Error('no Watch');
    const follow = (service: string) => {
      const seen: string[] = [];
      rawClient(address)
        .makeServerStreamRequest(watch.path, watch.requestSerialize, watch.responseDeserialize, { service })
        .on('data', (message: { status: string }) => seen.push(message.status))
        .on('error', () => seen.push('error'))
        .on('end', () => seen.push('end'));
      return seen;
    };
    const own = follow('p2p_api.PeerService');
    const foreign = follow('nothing');
    await waitFor(() => own.length === 1 && foreign.length === 1, { what: 'the first status' });
    server.setServing(true);
    server.setServing(true);
    await waitFor(() => own.length === 2, { what: 'the change' });
    const startedMs = performance.now();
    await server.stop();
    expect(performance.now() - startedMs).toBeLessThan(1000);
    await waitFor(() => own.at(-1) === 'end' && foreign.at(-1) === 'end', { what: 'the end' });
    expect(own).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'end']);
    expect(foreign).toEqual(['SERVICE_UNKNOWN', 'end']);
  });
});

interface ReflectionResponse {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] };
  readonly errorResponse?: { readonly errorCode: number };
}

/** The contract of reflection in both its versions, from the package's own .proto files. */
function reflectionMethods(): MethodDefinition<object, ReflectionResponse>[] {
  const services: ServiceDefinition[] = [];
  new ReflectionService({}).addToServer({ addService: (definition) => services.push(definition as ServiceDefinition) });
  return services.flatMap((definition) => Object.values(definition));
}

/** Answers to these requests on one stream, and the code with which it ended. */
async function reflect(
  address: string,
  method: MethodDefinition<object, ReflectionResponse>,
  requests: readonly object[],
): Promise<{ answers: ReflectionResponse[]; code: string | undefined }> {
  const answers: ReflectionResponse[] = [];
  const { path, requestSerialize, responseDeserialize } = method;
  const stream = rawClient(address).makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const code = await new Promise<string | undefined>((resolve) => {
    stream.on('data', (answer: ReflectionResponse) => answers.push(answer));
    stream.on('error', (error: ServiceError) => resolve(status[error.code]));
    stream.on('end', () => resolve('OK'));
    for (const request of requests) stream.write(request);
    stream.end();
  });
  return { answers, code };
}

describe.each(reflectionMethods().map((method) => [method.path, method] as const))(
  'reflection: %s',
  (_path, method) => {
    test('lists and describes the services, and calls made from the descriptions work', async () => {
      const { address, admin } = await serveGrpc();
      admin.connected = [KNOWN_PEER];
      const { answers } = await reflect(address, method, [
        { listServices: '*' },
        { fileContainingSymbol: 'p2p_api.PeerService' },
        { fileContainingSymbol: 'teranode_p2p.PolicyService.Explain' },
        { fileContainingSymbol: 'grpc.health.v1.Health' },
        { fileByFilename: 'google/protobuf/empty.proto' },
        { fileContainingSymbol: 'p2p_api.Nothing' },
      ]);
      expect(answers[0]?.listServicesResponse?.service.map(({ name }) => name).sort()).toEqual([
        'grpc.health.v1.Health',
        'p2p_api.PeerService',
        'teranode_p2p.PolicyService',
      ]);
      const files = answers
        .slice(1, 5)
        .flatMap((answer) => [...(answer.fileDescriptorResponse?.fileDescriptorProto ?? [])])
        .map((bytes) => fromBinary(FileDescriptorProtoSchema, Uint8Array.from(bytes)))
        .reverse();
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: files }));
      expect(registry.getService('teranode_p2p.PolicyService')?.methods.map(({ name }) => name)).toEqual([
        'ListBans',
        'Explain',
        'ListPeers',
        'GetStatus',
        'ListHeaders',
        'Diagnose',
      ]);
      const getPeers = registry.getService('p2p_api.PeerService')?.method.getPeers;
      if (getPeers === undefined) throw new Error('GetPeers is not described');
      const { code, response } = await rawCall(rawClient(address), getPeers, {});
      expect([code, response]).toEqual([
        'OK',
        expect.objectContaining({ peers: [expect.objectContaining({ id: PEER })] }),
      ]);
      expect(answers[5]?.errorResponse?.errorCode).toBe(status.NOT_FOUND);
    });

    test('a request that does not decode ends its stream, and other streams are answered', async () => {
      const { address } = await serveGrpc();
      const malformed = { ...method, requestSerialize: () => Buffer.from([0xff, 0xff, 0xff]) };
      expect(await reflect(address, malformed, [{}, {}])).toEqual({ answers: [], code: 'INVALID_ARGUMENT' });
      const { answers, code } = await reflect(address, method, [{ listServices: '*' }]);
      expect([answers.length, code]).toEqual([1, 'OK']);
    });

    test('a stream with too many requests is ended', async () => {
      const { address } = await serveGrpc();
      const flood = Array.from({ length: 1500 }, () => ({ fileContainingSymbol: 'p2p_api.PeerService' }));
      const { answers, code } = await reflect(address, method, flood);
      expect(code).toBe('RESOURCE_EXHAUSTED');
      expect(answers.length).toBeLessThanOrEqual(1000);
    });
  },
);
