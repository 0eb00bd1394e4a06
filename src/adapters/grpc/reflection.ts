// Server reflection (v1 and v1alpha) of the generated services. The package only reads the file descriptors of a
// package definition, and the generated code has them: no .proto file is needed at run time. It brings a second protobuf
// library, so it is loaded for the first call, and few nodes ever get one.
import { type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type Server, type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import type { Logger } from '../../ports/log.ts';

const SERVICES = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];
/** The only method of both. */
const METHOD = 'ServerReflectionInfo';

type Call = ServerDuplexStream<Buffer, Buffer>;
type Answer = (call: Call) => void;

/** Describes these files and all their imports. */
export function addReflection(server: Server, files: readonly DescFile[], { log }: { readonly log: Logger }): void {
  let loading: Promise<ReadonlyMap<string, Answer>> | undefined;
  for (const service of SERVICES) {
    const path = `/${service}/${METHOD}`;
    server.addService(bytesOnly(path), {
      [METHOD]: (call: Call) => {
        loading ??= loadAnswers(files);
        loading
          .then((answers) => answers.get(path)?.(call))
          .catch((error: unknown) => {
            log.error({ err: error }, 'failed to load gRPC reflection');
            call.emit('error', { code: status.INTERNAL, details: 'reflection failed; see the log of the server' });
          });
      },
    });
  }
}

/** Requests and responses are decoded and encoded by the package, once it is there. */
function bytesOnly(path: string): ServiceDefinition {
  const same = (bytes: Buffer) => bytes;
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  return { [METHOD]: { path, requestStream: true, responseStream: true, ...codec } };
}

async function loadAnswers(files: readonly DescFile[]): Promise<ReadonlyMap<string, Answer>> {
  const { ReflectionService } = await import('@grpc/reflection');
  const all = new Map<string, Buffer>();
  for (const file of files) collect(file, all);
  const format = 'Protocol Buffer 3 EnumDescriptorProto' as const;
  const described = { format, type: {}, fileDescriptorProtos: [...all.values()] };
  const answers = new Map<string, Answer>();
  new ReflectionService({ described }).addToServer({
    addService(definition, implementation: Readonly<Record<string, (stream: MessageStream) => void>>) {
      for (const [name, { path, requestDeserialize, responseSerialize }] of Object.entries(definition)) {
        const answer = implementation[name];
        answers.set(path, (call) => answer?.(messageStream(call, requestDeserialize, responseSerialize)));
      }
    },
  });
  return answers;
}

/** What the package uses of a call. */
interface MessageStream {
  on(event: 'data' | 'end', listener: (message: unknown) => void): void;
  write(response: unknown): void;
  end(): void;
}

function messageStream(
  call: Call,
  decode: (bytes: Buffer) => unknown,
  encode: (response: unknown) => Buffer,
): MessageStream {
  const decoding = (listener: (message: unknown) => void) => (bytes: Buffer) => {
    let request: unknown;
    try {
      request = decode(bytes);
    } catch {
      call.emit('error', { code: status.INVALID_ARGUMENT, details: 'invalid bytes (expected a reflection request)' });
      return;
    }
    listener(request);
  };
  return {
    on: (event, listener) => {
      call.on(event, event === 'data' ? decoding(listener) : listener);
    },
    write: (response) => {
      call.write(encode(response));
    },
    end: () => {
      call.end();
    },
  };
}

function collect(file: DescFile, into: Map<string, Buffer>): void {
  if (into.has(file.proto.name)) return;
  into.set(file.proto.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collect(dependency, into);
}
