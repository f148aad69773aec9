/** Systems whose logs fold, and show errors where they are. */
export type CiSystem = "github" | "gitlab";

export function findCiSystem(env: NodeJS.ProcessEnv): CiSystem | undefined {
  if (env.GITHUB_ACTIONS === "true") return "github";
  return env.GITLAB_CI === "true" ? "gitlab" : undefined;
}

/** What a folded part of the log is called there. */
export interface LogSection {
  /** Unique in the log; letters, digits, `_`. */
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** The line that begins a section; the title is shown. */
export function openSection(system: CiSystem, { id, title, time }: LogSection): string {
  if (system === "github") return `::group::${escapeCommand(title)}\n`;
  return `\u001b[0Ksection_start:${Math.floor(time / 1000)}:${id}[collapsed=true]\r\u001b[0K${title}\n`;
}

export function closeSection(system: CiSystem, { id, time }: Pick<LogSection, "id" | "time">): string {
  if (system === "github") return "::endgroup::\n";
  return `\u001b[0Ksection_end:${Math.floor(time / 1000)}:${id}\r\u001b[0K\n`;
}

/** A line that GitHub shows at the place in the change; empty elsewhere, for GitLab has no such thing. */
export function formatAnnotation(
  system: CiSystem | undefined,
  {
    level,
    message,
    file,
    line,
  }: {
    readonly level: "error" | "warning";
    readonly message: string;
    readonly file?: string;
    readonly line?: number;
  },
): string {
  if (system !== "github") return "";
  const place = [
    ...(file === undefined ? [] : [`file=${escapeProperty(file)}`]),
    ...(line === undefined ? [] : [`line=${line}`]),
  ].join(",");
  return `::${level}${place === "" ? "" : ` ${place}`}::${escapeCommand(message)}\n`;
}

/** Whatever a message has, it stays one command. */
function escapeCommand(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeCommand(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
