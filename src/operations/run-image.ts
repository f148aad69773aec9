import { randomBytes } from "node:crypto";
import type { Session } from "../build/open-session.ts";
import { resolveImage } from "../image/resolve-image.ts";
import { parseWantedPlatform } from "../oci/machine-platform.ts";
import type { ContainerExit } from "../sandbox/holder-protocol.ts";
import { runContainer } from "../sandbox/run-container.ts";
import { removeTree } from "../store/remove-tree.ts";
import { type CommandOptions, containerCommand } from "./container-command.ts";
import { findImage } from "./find-image.ts";

export interface RunImageOptions extends CommandOptions {
  readonly platform?: string;
  /** When to ask the registry; `missing` when absent. */
  readonly pull?: "missing" | "always" | "never";
  /** `host` when absent. */
  readonly network?: "host" | "none";
  /** The command has stdin, stdout and stderr of this process; else its stdin is empty. */
  readonly isAttached?: boolean;
  /** Called when everything is fetched, just before the command starts. */
  readonly onStart?: () => void;
  /** What the command prints, unless it is attached. */
  readonly onOutput?: (stream: "stdout" | "stderr", data: Uint8Array) => void;
}

/**
 * Runs a command in an image and throws its changes away.
 *
 * @param image a name or an id; pulled when it is not here.
 * @throws BuildError `sandbox` when it cannot be started, `variable-invalid` for an unknown user, `option-invalid` when nothing says what
 * to run; as `pullImage`.
 */
export async function runImage(
  session: Session,
  image: string,
  options: RunImageOptions = {},
): Promise<ContainerExit> {
  const { signal } = session;
  const { pull = "missing", network = "host", hasTerminal = false, onStart, onOutput = () => {} } = options;
  const platform = parseWantedPlatform(options.platform);
  if (pull === "never") findImage(session, image, options);
  const resolved = await resolveImage(session, image, { platform, pull: pull === "always" });
  const layers = await Promise.all(resolved.layers.map((layer) => layer.load()));
  onStart?.();
  const stdio = options.isAttached || hasTerminal ? "inherit" : "pipe";
  const sandbox = session.openSandbox({ stdio });
  const directory = sandbox.directories.take();
  try {
    return await runContainer(
      sandbox,
      {
        ...containerCommand(resolved, options),
        layers,
        hostname: randomBytes(6).toString("hex"),
        network,
        extraHosts: [],
        ulimits: [],
        mounts: [],
        trees: [],
        memoryFiles: [],
        directory,
        stdio,
        terminal: hasTerminal,
      },
      { signal, onOutput },
    );
  } finally {
    await removeTree(directory);
  }
}
