import { type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ReflectionService } from "@grpc/reflection";
import { service as health } from "grpc-health-check";

/** Tells clients what is served, the health service included; off unless asked for. */
export function reflection(services: readonly DescService[]): ReflectionService {
  const entries = services.flatMap((service) => {
    const fileDescriptorProtos = filesOf(service.file).map((file) =>
      Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
    );
    const messageOf = (message: DescMessage) => ({
      format: "Protocol Buffer 3 DescriptorProto",
      type: {},
      fileDescriptorProtos,
      name: message.typeName,
    });
    const methods = Object.fromEntries(
      service.methods.map((method) => [
        method.name,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: false,
          responseStream: method.methodKind === "server_streaming",
          requestType: messageOf(method.input),
          responseType: messageOf(method.output),
        },
      ]),
    );
    return [
      [service.typeName, methods],
      ...service.methods.flatMap((method) => [
        [method.input.typeName, messageOf(method.input)],
        [method.output.typeName, messageOf(method.output)],
      ]),
    ];
  });
  // It comes described already, in another way than the contract does.
  const described = Object.values(health).flatMap(({ path, requestType, responseType }) => [
    [`${path} request`, requestType],
    [`${path} response`, responseType],
  ]);
  return new ReflectionService(Object.fromEntries([...entries, ...described]));
}

/** A file and all it depends on, each once. */
function filesOf(file: DescFile, seen = new Set<DescFile>()): DescFile[] {
  if (seen.has(file)) return [];
  seen.add(file);
  return [file, ...file.dependencies.flatMap((dependency) => filesOf(dependency, seen))];
}
