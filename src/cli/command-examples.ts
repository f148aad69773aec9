/** For `--help`, of commands that have no examples in their own file. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  images: ["slipway images", "slipway images -q --filter label=stage=test"],
  pull: ["slipway pull alpine:3.22", "slipway pull --platform linux/arm64 alpine"],
  push: ["slipway push registry.example/app:1"],
  tag: ["slipway tag app registry.example/app:1"],
  rmi: ["slipway rmi app:old"],
  "prune-images": ["slipway image prune -a"],
  import: ["slipway import rootfs.tar base"],
  load: ["slipway load -i app.tar"],
  save: ["slipway save -o app.tar app"],
  inspect: ["slipway inspect app", "slipway inspect --format '{{json .Config.Env}}' app"],
  history: ["slipway history app"],
  ls: ["slipway ls -lR app:/srv"],
  cat: ["slipway cat app:/etc/passwd"],
  copy: ["slipway copy registry.example/app oci:layout:1"],
  size: ["slipway size app"],
  diff: ["slipway diff app:1 app:2"],
  login: ["slipway login registry.example"],
  logout: ["slipway logout registry.example"],
  run: ["slipway run --rm app", "slipway run --rm -it --entrypoint sh app"],
  container: ["slipway container create --name c app", "slipway container cp c:/out ."],
  du: ["slipway du -v"],
  prune: ["slipway prune", "slipway prune --max-used-space 20g"],
  builds: ["slipway history show", "slipway history logs --follow"],
  explain: ["slipway explain"],
  verify: ["slipway verify"],
  config: ["slipway config show"],
};

/** What follows the options in a command's `--help`; empty where its own file has it. */
export function formatExamples(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  if (examples.length === 0) return "";
  return `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`;
}
