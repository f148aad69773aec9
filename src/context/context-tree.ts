/** A directory that COPY takes files from: the build context or a named one. */
export interface ContextTree {
  readonly kind: "directory";
  readonly directory: string;
  /** Lines of its ignore file, parsed. */
  readonly ignorePatterns: readonly string[];
  /** As messages name the ignore file; absent when there is none. */
  readonly ignoreFile?: string;
}
