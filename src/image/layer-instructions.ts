import type { ImageConfig } from "../oci/image-config.ts";
import { cleanText } from "../progress/clean-text.ts";

/** What made each layer, bottom first, by the config's history; "" where that does not say. */
export function listLayerInstructions(config: ImageConfig): readonly string[] {
  const made = (config.history ?? []).filter((entry) => !entry.empty_layer);
  return config.rootfs.diff_ids.map((_, position) =>
    cleanText((made[position]?.created_by ?? "").replace(/\s+/g, " ")),
  );
}
