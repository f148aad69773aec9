/** OCI image spec 1.1, image-index.md: the platform object, in its normalised spelling (`amd64`, `arm64`, `arm`/`v7`). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}
