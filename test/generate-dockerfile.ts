/** Gives numbers from 0 up to, not including, `limit`. */
export type Random = (limit: number) => number;

/** A small generator of pseudo-random numbers (mulberry32): the same seed gives the same numbers everywhere. */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/**
 * A Dockerfile by the grammar of the language: every instruction, flag, form, directive and operator of expansion, in ways that
 * mostly make sense, and sometimes do not.
 */
export function generateDockerfile(random: Random): string {
  return new Generator(random).file();
}

const NAMES = ["a", "B", "VERSION", "TARGETARCH", "HTTP_PROXY", "PATH", "x_1", "SOURCE_DATE_EPOCH"];
const WORDS = [
  "a",
  "app",
  "1.2",
  "/usr/bin",
  "src/",
  ".",
  "é",
  "a b",
  "http://h/x",
  "*.txt",
  "[a-c]?",
  "80",
  "true",
  "",
];
const KEYWORDS = [
  "RUN",
  "COPY",
  "ADD",
  "ARG",
  "ENV",
  "LABEL",
  "CMD",
  "ENTRYPOINT",
  "HEALTHCHECK",
  "SHELL",
  "USER",
].concat(["WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "MAINTAINER", "ONBUILD"]);
const MOUNTS = [
  "type=cache,target=/c,id=$a,sharing=locked,mode=0700,uid=1",
  "type=bind,from=s0,source=/,target=/m,rw",
  "target=/m",
  "type=tmpfs,target=/t,size=64m",
  "type=secret,id=s,env=T,required",
  "type=ssh,required=true,mode=0600",
  "type=cache",
  "type=what,target=/x",
];

class Generator {
  readonly #random: Random;
  #escape = "\\";
  #stages = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  file(): string {
    const parts = [this.#directives()];
    while (this.#chance(4)) parts.push(`ARG ${this.#assignment()}\n`);
    const stages = 1 + this.#random(3);
    for (let stage = 0; stage < stages; stage++) {
      parts.push(this.#trivia(), this.#from());
      for (let count = this.#random(8); count > 0; count--)
        parts.push(this.#trivia(), this.#instruction(true));
    }
    const text = parts.join("");
    return this.#chance(8) ? this.#damage(text) : text;
  }

  #directives(): string {
    let text = this.#chance(30) ? "#!/usr/bin/env slipway\n" : "";
    if (this.#chance(12)) text += "# syntax=docker/dockerfile:1\n";
    if (this.#chance(12)) {
      this.#escape = "`";
      text += "# escape=`\n";
    }
    if (this.#chance(12)) {
      text += `# check=${this.#pick(["skip=all", "skip=StageNameCasing,FromAsCasing;error=true", "experimental=all", "erorr=1"])}\n`;
    }
    return text;
  }

  #from(): string {
    const number = this.#stages++;
    const flag = this.#chance(6)
      ? `--platform=${this.#pick(["linux/arm64", "$BUILDPLATFORM", "linux/$TARGETARCH", this.#chance(4) ? "$NONE" : "linux/amd64"])} `
      : "";
    const earlier = `s${this.#random(number + 1)}`;
    const base = this.#pick([
      "scratch",
      "alpine",
      "alpine:3.20",
      "img:${VERSION:-1}",
      earlier,
      earlier,
      "img$a",
      this.#chance(4) ? "$a" : "scratch",
      this.#chance(4) ? "a/b@sha256:00" : "a/b",
    ]);
    const name = this.#chance(2)
      ? ` ${this.#pick(["AS", "as"])} s${number}`
      : this.#chance(10)
        ? " AS Bad_Name"
        : "";
    return `${this.#case("FROM")} ${flag}${base}${name}\n`;
  }

  #instruction(mayTrigger: boolean): string {
    const keyword = this.#chance(200) ? "RNU" : this.#pick(KEYWORDS);
    return `${this.#case(keyword)} ${this.#rest(keyword, mayTrigger)}\n`;
  }

  #rest(keyword: string, mayTrigger: boolean): string {
    switch (keyword) {
      case "RUN":
        return (
          this.#flags([
            `--mount=${this.#pick(MOUNTS)}`,
            "--network=none",
            "--security=insecure",
            "--device=d",
          ]) + this.#run()
        );
      case "COPY":
      case "ADD":
        return this.#transfer(keyword);
      case "ARG":
        return this.#chance(3) ? this.#pick(NAMES) : this.#assignment();
      case "ENV":
      case "LABEL":
        if (this.#chance(6)) return `${this.#pick(NAMES)} ${this.#word()} ${this.#word()}`;
        return this.#many(() => this.#assignment());
      case "CMD":
      case "ENTRYPOINT":
      case "VOLUME":
        return this.#chance(2) ? this.#json() : this.#many(() => this.#word());
      case "SHELL":
        return this.#chance(20) ? this.#word() : '["/bin/sh", "-c"]';
      case "HEALTHCHECK":
        if (this.#chance(4)) return "NONE";
        return `${this.#flags(["--interval=1m30s", "--timeout=2s", "--retries=3", "--start-period=0s", "--retries=x"])}CMD ${this.#json()}`;
      case "EXPOSE":
        return this.#many(() =>
          this.#pick(["80", "80/tcp", "1000-1010/udp", "$a", "80:80", "80/TCP", "99999", this.#word()]),
        );
      case "STOPSIGNAL":
        return this.#pick(["SIGTERM", "9", "SIGRTMIN+3", "$a", "NOPE"]);
      case "USER":
        return this.#pick(["root", "1000:1000", "${a:-nobody}", this.#word()]);
      case "ONBUILD":
        return mayTrigger ? this.#instruction(false).trimEnd() : "ONBUILD RUN x";
      default:
        return this.#word();
    }
  }

  #run(): string {
    if (this.#chance(5)) return this.#heredocs(this.#chance(2) ? "" : "cat ");
    if (this.#chance(3)) return this.#json();
    return this.#many(
      () => this.#pick(["make", "&&", "echo", "$PATH", '"a b"', "'x'", "|", this.#word()]),
      this.#break(),
    );
  }

  #transfer(keyword: string): string {
    const flags = this.#flags([
      ...(keyword === "COPY" ? [`--from=${this.#pick(["s0", "0", "9", "nginx", "$a"])}`, "--parents"] : []),
      ...(keyword === "ADD" ? ["--checksum=sha256:00", "--keep-git-dir=true", "--unpack"] : []),
      `--chown=${this.#pick(["1:2", "app", "$a:$B"])}`,
      `--chmod=${this.#pick(["755", "u=rwX,go=rX", "$a", "999"])}`,
      "--link",
      "--exclude=*.md",
      this.#chance(10) ? "--chwon=1" : "--link=false",
    ]);
    if (this.#chance(8)) return `${flags}${this.#heredocs("", " /dest/")}`;
    if (this.#chance(6)) return `${flags}${this.#json()}`;
    if (this.#chance(8)) return `${flags}https://github.com/a/b.git?ref=main&subdir=x /src`;
    return `${flags}${this.#many(() => this.#word(), this.#break())} /to/${this.#chance(2) ? "" : "x"}`;
  }

  #heredocs(before: string, after = ""): string {
    const names = ["EOF", "E2"].slice(0, 1 + this.#random(2));
    const chomp = this.#chance(3) ? "-" : "";
    const quote = this.#chance(3) ? '"' : "";
    const starts = names.map((name) => `<<${chomp}${quote}${name}${quote}`).join(" ");
    const bodies = names.map((name) => {
      const lines = Array.from(
        { length: this.#random(4) },
        () => `${chomp && "\t"}${this.#word()} # not a comment`,
      );
      return [...lines, this.#chance(40) ? "lost" : name].join("\n");
    });
    return `${before}${starts}${after}\n${bodies.join("\n")}`;
  }

  #json(): string {
    const items = Array.from({ length: this.#chance(30) ? 0 : 2 + this.#random(2) }, () =>
      JSON.stringify(this.#chance(30) ? "" : `w${this.#pick(WORDS)}`),
    );
    return `[${items.join(", ")}${this.#chance(20) ? "," : ""}]${this.#chance(30) ? " x" : ""}`;
  }

  #flags(all: readonly string[]): string {
    let text = "";
    while (this.#chance(3)) text += `${this.#pick(all)} `;
    return text;
  }

  #assignment(): string {
    return `${this.#pick(NAMES)}=${this.#word()}`;
  }

  #word(): string {
    const text = this.#pick(WORDS);
    switch (this.#random(8)) {
      case 0:
        return this.#variable(2);
      case 1:
        return `"${text}${this.#variable(1)}"`;
      case 2:
        return `'${text}$a'`;
      case 3:
        return `${text.replaceAll(" ", "")}${this.#variable(2)}/${this.#escape}$x`;
      default:
        return text.includes(" ") || text === "" ? `"${text}"` : text;
    }
  }

  #variable(depth: number): string {
    const name = this.#pick(NAMES);
    if (this.#chance(2)) return `$${name}`;
    const inner =
      depth > 0 && this.#chance(2) ? this.#variable(depth - 1) : this.#pick(["w", "*", "a?", "*/"]);
    const operator = this.#pick([":-", "-", ":+", "+", ":?", "?", "#", "##", "%", "%%", "/", "//", "!"]);
    const replaced = operator.startsWith("/") ? "/r" : "";
    return this.#chance(4) ? `\${${name}}` : `\${${name}${operator}${inner}${replaced}}`;
  }

  #many(make: () => string, between = " "): string {
    return Array.from({ length: 1 + this.#random(4) }, make).join(between);
  }

  /** A blank, or the end of a line that goes on. */
  #break(): string {
    if (!this.#chance(5)) return " ";
    return ` ${this.#escape}\n${this.#chance(4) ? "  # between\n" : ""}${this.#chance(12) ? "\n" : ""}  `;
  }

  #trivia(): string {
    if (!this.#chance(5)) return "";
    return this.#pick(["\n", "# a comment\n", "# check=skip=all\n", "# s1 is a stage\n", "   \n", "#\n"]);
  }

  #case(keyword: string): string {
    return this.#chance(12) ? keyword.toLowerCase() : keyword;
  }

  /** What a slip of the hand does. */
  #damage(text: string): string {
    const at = this.#random(text.length + 1);
    switch (this.#random(4)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + text.slice(at + 1 + this.#random(5));
      case 2:
        return (
          text.slice(0, at) +
          this.#pick(["\0", '"', "'", "${", "\\\n", "<<", "\r\n", "\uFEFF", "[", "\uD800"]) +
          text.slice(at)
        );
      default:
        return text.slice(0, at) + text.slice(this.#random(text.length + 1));
    }
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random(values.length)]!;
  }

  /** One time in `count`. */
  #chance(count: number): boolean {
    return this.#random(count) === 0;
  }
}
