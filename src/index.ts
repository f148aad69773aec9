// biome-ignore-all lint/performance/noBarrelFile: the library's entry is what the package exports, and all that src/cli may use

// A build, and questions about one
export { type Build, type BuildRequest, build, type SecretValue, type SshValue } from "./build/build.ts";
export type { BuildOptions, BuildResult, BuiltImage, StepFacts } from "./build/build-options.ts";
export type { ArchiveOutput, BuildOutput, ImageForm } from "./build/build-output.ts";
export { type CheckedBuild, checkBuild, readOutline, readTargets } from "./build/inspect-build.ts";
export { openSession, type Session, type SessionOptions } from "./build/open-session.ts";
export { predictBuild } from "./build/predict-build.ts";
export type { ProvenanceOptions } from "./build/provenance.ts";
export type { Reproduction } from "./build/reproduce.ts";
export { type StoreProblem, type VerifyOptions, verifyStore } from "./build/verify-store.ts";
export type { FileMap } from "./build/write-file-map.ts";
export type { KeyChange } from "./cache/explain-miss.ts";
export { formatChanges } from "./cache/format-changes.ts";
export {
  BuildError,
  type BuildErrorCode,
  type BuildErrorDetail,
  type SourceSpan,
} from "./errors/build-error.ts";
export { type EngineAddress, findEngine } from "./export/engine-address.ts";
export type { Annotation } from "./image/annotations.ts";
export type { ImageDifference } from "./image/compare-images.ts";
// Operations on a session
export { addTag } from "./operations/add-tag.ts";
export type { CommandOptions } from "./operations/container-command.ts";
export {
  type Container,
  createContainer,
  findContainer,
  listContainers,
  removeContainer,
} from "./operations/containers.ts";
export { type CopyFromContainerOptions, copyFromContainer } from "./operations/copy-from-container.ts";
export { type CopyImageOptions, copyImage } from "./operations/copy-image.ts";
export { diffImages, type LayeredChange } from "./operations/diff-images.ts";
export type { ImageFilters } from "./operations/filter-images.ts";
export type { BuildChoice } from "./operations/find-build.ts";
export { findImage, type PlatformChoice } from "./operations/find-image.ts";
export { type ListedFile, type ListFilesOptions, listFiles, openFile } from "./operations/image-files.ts";
export { type ImportOptions, importImage } from "./operations/import-image.ts";
export { type InspectedContainer, inspectContainer } from "./operations/inspect-container.ts";
export { type InspectedImage, inspectImage } from "./operations/inspect-image.ts";
export { type HistoryStep, listHistory } from "./operations/list-history.ts";
export { type ListedImage, type ListImagesOptions, listImages } from "./operations/list-images.ts";
export { loadImages } from "./operations/load-images.ts";
export type { LoadedImage } from "./operations/load-unpacked-images.ts";
export { type ImageMeasure, type MeasureOptions, measureImage } from "./operations/measure-image.ts";
export { type PruneImagesOptions, pruneImages } from "./operations/prune-images.ts";
export { pullAllTags, pullImage } from "./operations/pull-images.ts";
export { type PushedImage, pushAllTags, pushImage } from "./operations/push-images.ts";
export { type BuildLogsOptions, readBuildLogs } from "./operations/read-build-logs.ts";
export {
  forgetBuilds,
  listBuilds,
  type RememberedBuild,
  type RememberedStep,
  readBuild,
} from "./operations/remembered-builds.ts";
export { type RemovedImages, removeImage } from "./operations/remove-image.ts";
export { type RunImageOptions, runImage } from "./operations/run-image.ts";
export { saveImages } from "./operations/save-images.ts";
export { listStoreItems, type PruneOptions, pruneStore } from "./operations/store-contents.ts";
export type { Outline } from "./plan/outline-build.ts";
export type { BuildEvent, EventSink } from "./progress/event.ts";
export {
  type Credentials,
  type CredentialsProvider,
  makeStoredCredentials,
  type StoredCredentialsOptions,
} from "./registry/credentials.ts";
export { type LoginOptions, login, logout } from "./registry/login.ts";
export type { RegistryClientOptions } from "./registry/registry-client.ts";
export type { RegistryRule } from "./registry/rewrite-reference.ts";
export type { CacheForm, CacheSource, CacheTarget } from "./remote-cache/cache-places.ts";
export type { ImageChange, ImageFile } from "./rootfs/image-file.ts";
export type { PredictedStep } from "./solve/predict-plan.ts";
export { defaultStoreRoot } from "./store/open-store.ts";
export type { Reclaimed } from "./store/reclaim.ts";
export type { StoreItem } from "./store/store-items.ts";
