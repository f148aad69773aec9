import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor } from "../src/oci/descriptor.ts";
import { digestHex } from "../src/oci/digest.ts";
import { digestBytes } from "../src/oci/digest-bytes.ts";
import { MEDIA_TYPE } from "../src/oci/media-type.ts";

/** An image made by hand, for tests of transport: one uncompressed layer with one file `hello`. */
export interface TinyImage {
  readonly manifest: Uint8Array;
  readonly descriptor: Descriptor;
  readonly config: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
  readonly layer: { readonly descriptor: Descriptor; readonly bytes: Uint8Array };
}

/** `contentBytes` is the size of the file, which makes the layer as big as a test needs it. */
export function makeTinyImage(contentBytes = 10): TinyImage {
  const layer = describe(makeTar("hello", contentBytes), MEDIA_TYPE.ociLayer);
  const config = describe(
    encode({
      architecture: "amd64",
      os: "linux",
      config: { Env: ["A=b"] },
      rootfs: { type: "layers", diff_ids: [layer.descriptor.digest] },
      history: [{ created: "1970-01-01T00:00:00Z", created_by: "COPY hello / # buildkit" }],
    }),
    MEDIA_TYPE.ociConfig,
  );
  const manifest = describe(
    encode({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.ociManifest,
      config: config.descriptor,
      layers: [layer.descriptor],
    }),
    MEDIA_TYPE.ociManifest,
  );
  return { manifest: manifest.bytes, descriptor: manifest.descriptor, config, layer };
}

/** Writes it as an OCI layout that skopeo reads as `oci:DIRECTORY:latest`. */
export async function writeTinyLayout(image: TinyImage, directory: string): Promise<void> {
  const blobs = join(directory, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const all = [image.config, image.layer, { descriptor: image.descriptor, bytes: image.manifest }];
  for (const { descriptor, bytes } of all) await writeFile(join(blobs, digestHex(descriptor.digest)), bytes);
  await writeFile(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const named = { ...image.descriptor, annotations: { "org.opencontainers.image.ref.name": "latest" } };
  await writeFile(join(directory, "index.json"), encode({ schemaVersion: 2, manifests: [named] }));
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function describe(bytes: Uint8Array, mediaType: string) {
  return { bytes, descriptor: { mediaType, digest: digestBytes(bytes), size: bytes.length } };
}

/** A ustar archive (POSIX.1-1988) of one regular file. */
function makeTar(name: string, size: number): Uint8Array {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const content = Buffer.alloc(Math.ceil(size / 512) * 512);
  // Not all alike: a piece in the wrong place must change the digest.
  for (let i = 0; i < size; i++) content[i] = (i * 31 + (i >> 8) * 17) & 0xff;
  return Buffer.concat([header, content, Buffer.alloc(1024)]);
}
