// biome-ignore-all lint/performance/noBarrelFile: the library's entry is what the package exports
export { type Build, type BuildRequest, build, type SecretValue, type SshValue } from "./build/build.ts";
export type { BuildOptions, BuildResult, BuiltImage, StepFacts } from "./build/build-options.ts";
export type { BuildOutput } from "./build/build-output.ts";
export type { FileMap } from "./build/write-file-map.ts";
export {
  BuildError,
  type BuildErrorCode,
  type BuildErrorDetail,
  type SourceSpan,
} from "./errors/build-error.ts";
export type { BuildEvent, EventSink } from "./progress/event.ts";
export type { Credentials, CredentialsProvider } from "./registry/credentials.ts";
