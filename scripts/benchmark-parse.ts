/**
 * `npm run bench:parse`: how many megabytes of Dockerfile a second are parsed on one core. The texts are like real ones, from few long
 * instructions to many short ones; below the number that is promised the exit status is 1.
 */
import { parseDockerfile } from "../src/dockerfile/parse-dockerfile.ts";

const PROMISED_MB_PER_S = 50;
/** In bytes: of one file, and of all that a round parses. */
const FILE_SIZE = 20_000;
const TOTAL_SIZE = 8_000_000;
const ROUNDS = 7;

const PARTS: Readonly<Record<string, string>> = {
  "a service": `# syntax=docker/dockerfile:1
ARG GO_VERSION=1.23
FROM --platform=$BUILDPLATFORM golang:\${GO_VERSION}-alpine AS builder
WORKDIR /src
# Dependencies first: they change less often than the code.
COPY --link go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod \\
    go mod download
COPY . .
ARG TARGETOS TARGETARCH
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly"
RUN --mount=type=cache,target=/root/.cache/go-build \\
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -ldflags="-s -w" -o /out/service ./cmd/service

FROM gcr.io/distroless/static-debian12:nonroot AS final
LABEL org.opencontainers.image.title="service" org.opencontainers.image.licenses=Apache-2.0
COPY --from=builder --chown=65532:65532 /out/service /usr/local/bin/service
EXPOSE 8080/tcp 9090/tcp
USER 65532
HEALTHCHECK --interval=30s --timeout=3s CMD ["/usr/local/bin/service", "health"]
ENTRYPOINT ["/usr/local/bin/service"]
CMD ["serve", "--listen", ":8080"]
`,
  "packages, a long RUN": `FROM debian:12-slim
RUN set -eux; \\
    apt-get update; \\
${Array.from({ length: 60 }, (_, i) => `    apt-get install -y --no-install-recommends package-number-${i}=1.2.3-${i}; \\\n`).join("")}    # done
    rm -rf /var/lib/apt/lists/*
`,
  "scripts in heredocs": `FROM alpine
RUN <<EOF
set -e
${Array.from({ length: 40 }, (_, i) => `echo "step $i of the script number ${i}" >> /var/log/setup.log\n`).join("")}EOF
COPY <<-"CONF" /etc/app.conf
	listen = 8080
	workers = 4
CONF
`,
  "short instructions":
    "FROM scratch AS a\nENV A=1\nCOPY a b\nRUN true\nUSER app\nWORKDIR /a\nEXPOSE 80\nLABEL k=v\n",
};

/** The speed of files of a size, in megabytes a second of CPU time, the collector's threads included: the best of some rounds. */
function measure(part: string, fileSize: number): number {
  const bytes = Buffer.from(part.repeat(Math.ceil(fileSize / part.length)));
  const count = Math.ceil(TOTAL_SIZE / bytes.length);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++) parseDockerfile(bytes);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, user + system);
  }
  // Bytes a microsecond.
  return (bytes.length * count) / best;
}

for (const [name, part] of Object.entries(PARTS)) {
  const speed = measure(part, FILE_SIZE);
  console.log(`${name.padEnd(22)} ${speed.toFixed(0).padStart(5)} MB/s`);
  if (speed < PROMISED_MB_PER_S) process.exitCode = 1;
}
// Here the collector moves what the tree is made of.
console.log(`one file of 8 MB       ${measure(PARTS["a service"]!, TOTAL_SIZE).toFixed(0).padStart(5)} MB/s`);
