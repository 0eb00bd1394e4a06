// A call of a running server's PeerService, with the admin key that it keeps in its folder, as another service of the
// node makes it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { methodDefinition } from '../../src/adapters/rpc/service-definition.ts';
import { PeerService } from '../../src/gen/p2p_api_pb.js';
import type { ServerProcess } from './server-process.ts';

const API = PeerService.method;
type Methods = typeof API;

/** Throws when the call fails. */
export async function callPeerService<K extends keyof Methods>(
  server: ServerProcess,
  name: K,
  fields: MessageInitShape<Methods[K]['input']>,
): Promise<MessageShape<Methods[K]['output']>> {
  const method = API[name];
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  const metadata = new Metadata();
  metadata.set('x-api-key', readFileSync(join(server.dataFolder, 'admin.key'), 'utf8').trim());
  const client = new Client(server.ready.grpcAddress, credentials.createInsecure());
  const request = create(method.input, fields) as MessageShape<Methods[K]['input']>;
  const options = { deadline: Date.now() + 10_000 };
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        (error, answer) => (error === null && answer !== undefined ? resolve(answer as never) : reject(error)),
      );
    });
  } finally {
    client.close();
  }
}
