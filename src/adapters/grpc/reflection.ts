// Server reflection (v1 and v1alpha) of the generated services. The package reads nothing of a package definition but the file descriptors,
// so they are handed over as the generated code holds them: no .proto file of ours is needed at run time.
import { type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

/** Describes these files and all that they import. */
export function addReflection(server: Server, files: readonly DescFile[]): void {
  const all = new Map<string, Buffer>();
  for (const file of files) collect(file, all);
  const format = 'Protocol Buffer 3 EnumDescriptorProto' as const;
  const described = { format, type: {}, fileDescriptorProtos: [...all.values()] };
  new ReflectionService({ described }).addToServer(server);
}

function collect(file: DescFile, into: Map<string, Buffer>): void {
  if (into.has(file.proto.name)) return;
  into.set(file.proto.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collect(dependency, into);
}
