/** Of each command, for its `--help`. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  build: [
    "slipway build -t app .",
    "slipway build -t app --target test --build-arg VERSION=1.2 .",
    "slipway build -t registry.example/app:1 --push .",
    "slipway build -o type=docker,dest=- . | docker load",
  ],
  check: ["slipway check .", "slipway check --format=json -f app.Dockerfile . > findings.json"],
  plan: ["slipway plan .", "slipway plan --target test --build-arg VERSION=1.2 --format json ."],
  parse: [
    "slipway parse Dockerfile",
    "slipway parse --format=json - < Dockerfile | jq '.instructions[].keyword'",
  ],
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
  completion: [
    "slipway completion bash > /etc/bash_completion.d/slipway",
    'slipway completion zsh > "${fpath[1]}/_slipway"',
    "slipway completion fish > ~/.config/fish/completions/slipway.fish",
  ],
  config: ["slipway config show"],
};

/** What follows the options in a command's `--help`. */
export function formatExamples(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  return `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`;
}
