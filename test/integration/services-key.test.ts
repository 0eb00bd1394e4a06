// Which key the clients of the node's own services send: never the admin key of this server, only the one that is set
// for these services.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { serviceDefinition } from '../../src/adapters/rpc/service-definition.ts';
import { createBlockchain, createValidationClients } from '../../src/app/create-services.ts';
import { BlockAssemblyAPI } from '../../src/gen/blockassembly_api_pb.js';
import { BlockchainAPI } from '../../src/gen/blockchain_api_pb.js';
import { BlockValidationAPI } from '../../src/gen/blockvalidation_api_pb.js';
import { freshParts } from '../support/rpc-clients.ts';
import { loadText, MINIMAL_SETTINGS } from '../support/settings.ts';

const ADMIN_KEY = 'the-admin-key-of-this-test-42';
const SERVICES_KEY = 'the key of the services';
const running: Server[] = [];

afterEach(() => {
  for (const server of running.splice(0)) server.forceShutdown();
});

/** A gRPC server with all three services: it refuses every call, and records the `x-api-key` of each by service. */
async function startRecorder() {
  const keys: Record<string, unknown> = {};
  const server = new Server();
  for (const service of [BlockchainAPI, BlockValidationAPI, BlockAssemblyAPI]) {
    const definition = serviceDefinition(service);
    const refuse = (call: ServerUnaryCall<unknown, object>, done: sendUnaryData<object>) => {
      keys[service.name] = call.metadata.get('x-api-key');
      done({ code: status.UNIMPLEMENTED, details: 'recorded' });
    };
    server.addService(definition, Object.fromEntries(Object.keys(definition).map((name) => [name, refuse])));
  }
  running.push(server);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { address: `127.0.0.1:${port}`, keys };
}

/** Calls each of the three services once, with the clients that the settings make. */
async function keysSent(env: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const { address, keys } = await startRecorder();
  const { settings } = loadText(MINIMAL_SETTINGS, {
    blockchain_grpcAddress: address,
    blockvalidation_grpcAddress: address,
    blockassembly_grpcAddress: address,
    ...env,
  });
  const deps = freshParts();
  const blockchain = createBlockchain(settings, { ...deps, dataFolder: '/nonexistent' });
  const { blockValidation, blockAssembly } = createValidationClients(settings, deps);
  await blockchain.start(new AbortController().signal);
  await expect(blockchain.fsmState()).rejects.toMatchObject({ code: 'RPC_FAILED' });
  await Promise.all([blockValidation?.probe(2000), blockAssembly?.probe(2000)]);
  await blockchain.stop();
  blockValidation?.close();
  blockAssembly?.close();
  return keys;
}

test('the admin key is not sent to the blockchain, block validation and block assembly services', async () => {
  expect(await keysSent({ grpc_admin_api_key: ADMIN_KEY })).toEqual({
    BlockchainAPI: [],
    BlockValidationAPI: [],
    BlockAssemblyAPI: [],
  });
});

test('p2p_services_api_key is sent to each of them, whatever the admin key is', async () => {
  const env = { grpc_admin_api_key: ADMIN_KEY, p2p_services_api_key: SERVICES_KEY };
  expect(await keysSent(env)).toEqual({
    BlockchainAPI: [SERVICES_KEY],
    BlockValidationAPI: [SERVICES_KEY],
    BlockAssemblyAPI: [SERVICES_KEY],
  });
});
