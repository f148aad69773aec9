import { BuildError } from "../errors/build-error.ts";

const MAX_PORT = 65_535;

/**
 * The ports of one word of EXPOSE, as `80/tcp`: `[[ip:]host:]port[-port][/proto]`. Address and host ports are checked and
 * left out, as docker does.
 *
 * @throws BuildError `dockerfile-syntax`.
 */
export function parsePorts(word: string): readonly string[] {
  const refuse = (problem: string): never => {
    throw new BuildError(
      "dockerfile-syntax",
      `Cannot expose "${word}": invalid port: "${word}": ${problem}`,
      {
        hint: "Write a number up to 65535 or a range like 8000-8010, then /tcp, /udp or /sctp if it is not tcp",
      },
    );
  };
  const parts = word.split(":");
  const [container, protocolText = ""] = cut(parts.at(-1)!, "/");
  const host = parts.length > 1 ? parts.at(-2)! : "";
  const address = parts.slice(0, -2).join(":");
  if (container === "") refuse("no port specified");
  const protocol = protocolText.toLowerCase() || "tcp";
  if (!["tcp", "udp", "sctp"].includes(protocol)) refuse(`invalid proto: ${protocol}`);
  if (address !== "" && !isIpAddress(address)) refuse(`invalid IP address: ${address}`);
  const ports = parseRange(container) ?? refuse(`invalid containerPort: ${container}`);
  if (host !== "") {
    const hosts = parseRange(host) ?? refuse(`invalid hostPort: ${host}`);
    const isRange = ports.last !== ports.first;
    if (isRange && ports.last - ports.first !== hosts.last - hosts.first) {
      refuse(`invalid ranges specified for container and host Ports: ${container} and ${host}`);
    }
  }
  return Array.from({ length: ports.last - ports.first + 1 }, (_, i) => `${ports.first + i}/${protocol}`);
}

function cut(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function parseRange(text: string): { first: number; last: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return last > MAX_PORT || first > last ? undefined : { first, last };
}

function isIpAddress(text: string): boolean {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  if (!bare.includes(":")) {
    const bytes = bare.split(".");
    return (
      bytes.length === 4 && bytes.every((byte) => /^(?:0|[1-9]\d{0,2})$/.test(byte) && Number(byte) < 256)
    );
  }
  return isIpv6Address(bare);
}

function isIpv6Address(text: string): boolean {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) return isIpAddress(dotted[2]!) && isIpv6Address(`${dotted[1]}0:0`);
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  return (
    groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group)) &&
    (halves.length === 2 ? groups.length < 8 : groups.length === 8)
  );
}
