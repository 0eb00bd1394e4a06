// Server reflection (v1 and v1alpha) of the generated services. The package only reads the file descriptors of a
// package definition, and the generated code has them: no .proto file is needed at run time.
import { type DescFile, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

/** Describes these files and all their imports. */
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
