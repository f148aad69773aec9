import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatOptionsPage, OPTIONS_PAGE } from "../../scripts/write-options.ts";
import { makeBuildOptions } from "../../src/cli/build-flags.ts";
import { makeGlobalOptions } from "../../src/cli/global-options.ts";

/** For each option of `build`, the test of what it does: a file and a name in it. */
const EFFECTS: Readonly<Record<string, readonly [file: string, name: string]>> = {
  "--file": ["test/cli/build.test.ts", "-f - reads the Dockerfile on stdin, and errors point into it"],
  "--target": ["test/outputs/outputs.test.ts", "of several targets come from one build"],
  "--build-arg": ["test/cli/build.test.ts", "--build-arg takes a value, or the environment's, or nothing"],
  "--build-arg-file": [
    "test/cli/build-inputs.test.ts",
    "--build-arg-file takes lines of --build-arg, which wins",
  ],
  "--ignorefile": [
    "test/cli/build-inputs.test.ts",
    "--ignorefile replaces .dockerignore, also of a tar on stdin",
  ],
  "--normalize-modes": [
    "test/cli/build-inputs.test.ts",
    "--normalize-modes makes two checkouts with other umasks the same, and leaves other stages alone",
  ],
  "--build-context": ["test/run/mounts.test.ts", "shows the context, a stage, an image and a named context"],
  "--platform": ["test/outputs/platforms.test.ts", "need nothing where nothing is RUN, whatever the system"],
  "--pull": ["test/cli/build-inputs.test.ts", "--pull asks the registry also for an image that is here"],
  "--tag": ["test/outputs/push.test.ts", "pushes an index by digest only, and several names"],
  "--label": ["test/cli/build.test.ts", "--label, --target, --platform and --pull=false reach the build"],
  "--unsetlabel": [
    "test/cli/build-inputs.test.ts",
    "--unsetenv and --unsetlabel take from the image what RUNs still see",
  ],
  "--unsetenv": [
    "test/cli/build-inputs.test.ts",
    "--unsetenv and --unsetlabel take from the image what RUNs still see",
  ],
  "--output": [
    "test/cli/build.test.ts",
    "outputs: an OCI archive, a directory, docker's archive on stdout, and cacheonly",
  ],
  "--push": [
    "test/outputs/push.test.ts",
    "mounts the layers of a base from the same registry, and does not fetch them",
  ],
  "--load": ["test/outputs/peers.test.ts", "docker loads it, runs it and exports the same files"],
  "--annotation": ["test/outputs/outputs.test.ts", "are annotated at every level"],
  "--squash": ["test/outputs/outputs.test.ts", "squash to one layer, and leave the cache as it is"],
  "--reproduce": ["test/outputs/reproduce.test.ts", "says equal for the same inputs, in another store"],
  "--squash-stage": ["test/outputs/outputs.test.ts", "squash what one stage did, and keep what stands on it"],
  "--squash-new": ["test/outputs/outputs.test.ts", "squash the new layers and keep the base's"],
  "--source-date-epoch": [
    "test/outputs/reproducible.test.ts",
    "takes the time of an output before that of the build",
  ],
  "--rewrite-timestamp": ["test/outputs/reproducible.test.ts", "leaves the base's layers as they are"],
  "--timestamp": [
    "test/outputs/reproducible.test.ts",
    "takes the time of an output before that of the build",
  ],
  "--iidfile": [
    "test/cli/build.test.ts",
    "-q prints the image id and nothing else; --iidfile writes the same",
  ],
  "--metadata-file": ["test/cli/build.test.ts", "--metadata-file tells digests and names"],
  "--no-cache": ["test/cli/build.test.ts", "--no-cache and --no-cache-filter run again what they name"],
  "--no-cache-filter": [
    "test/cli/build.test.ts",
    "--no-cache and --no-cache-filter run again what they name",
  ],
  "--cache-from": [
    "test/cache/local-cache.test.ts",
    "lets a clean store build the same image without a step that runs",
  ],
  "--cache-to": [
    "test/cache/local-cache.test.ts",
    "lets a clean store build the same image without a step that runs",
  ],
  "--cache-ttl": ["test/cache/explain.test.ts", "--cache-ttl takes no results that are older"],
  "--timeout": [
    "test/run/stop.test.ts",
    "--timeout: the whole tree is dead before slipway ends, and the message says why",
  ],
  "--secret": ["test/cli/build.test.ts", "--secret gives a file or a variable"],
  "--allow": ["test/run/permission.test.ts", "is asked for also when the result is known already"],
  "--ssh": ["test/run/ssh.test.ts", "reaches an agent that runs, by SSH_AUTH_SOCK and by path"],
  "--network": ["test/cli/build.test.ts", "--network none takes the network away, host gives the host's"],
  "--add-host": ["test/cli/build.test.ts", "--add-host, --shm-size and --ulimit are what RUN sees"],
  "--shm-size": ["test/cli/build.test.ts", "--add-host, --shm-size and --ulimit are what RUN sees"],
  "--ulimit": ["test/cli/build.test.ts", "--add-host, --shm-size and --ulimit are what RUN sees"],
  "--resource": ["test/run/limits.test.ts", "sets shares and quota"],
  "--memory": ["test/run/limits.test.ts", "says that a command ran out of memory"],
  "--memory-swap": ["test/run/limits.test.ts", "takes each limit in an option of its own"],
  "--cpu-shares": ["test/run/limits.test.ts", "takes each limit in an option of its own"],
  "--cpu-period": ["test/run/limits.test.ts", "takes each limit in an option of its own"],
  "--cpu-quota": ["test/run/limits.test.ts", "sets shares and quota"],
  "--cpuset-cpus": ["test/run/limits.test.ts", "takes each limit in an option of its own"],
  "--cpuset-mems": ["test/run/limits.test.ts", "takes each limit in an option of its own"],
  "--cgroup-parent": [
    "test/run/limits.test.ts",
    "is held by the limits of its --cgroup-parent, and leaves nothing there",
  ],
  "--volume": [
    "test/run/confinement.test.ts",
    "--volume shows a directory or file of this machine, and leaves nothing of it in the layer",
  ],
  "--cap-add": [
    "test/run/confinement.test.ts",
    "--cap-add and --cap-drop change docker's capabilities, and are in the key",
  ],
  "--cap-drop": [
    "test/run/confinement.test.ts",
    "--cap-add and --cap-drop change docker's capabilities, and are in the key",
  ],
  "--security-opt": [
    "test/run/confinement.test.ts",
    "--security-opt switches seccomp off, and privileges of files",
  ],
  "--isolation": ["test/run/confinement.test.ts", "has one isolation and no builders, and says so"],
  "--builder": ["test/run/confinement.test.ts", "has one isolation and no builders, and says so"],
  "--jobs": ["test/cli/build-inputs.test.ts", "--jobs says how many RUNs go on at once"],
  "--authfile": [
    "test/cli/login.test.ts",
    "--authfile keeps the credentials elsewhere, for login, pull and logout",
  ],
  "--tls-verify": [
    "test/cli/registry-settings.test.ts",
    "--tls-verify=false takes any certificate, and only what it is asked for",
  ],
  "--no-tls-verify": [
    "test/cli/registry-settings.test.ts",
    "--tls-verify=false takes any certificate, and only what it is asked for",
  ],
  "--cert-dir": [
    "test/cli/registry-settings.test.ts",
    "a private authority and a client certificate come from --cert-dir, the settings or certs.d",
  ],
  "--retry": ["test/cli/registry-settings.test.ts", "--retry and retry say how often a request is repeated"],
  "--retry-delay": [
    "test/cli/registry-settings.test.ts",
    "--retry and retry say how often a request is repeated",
  ],
  "--progress": [
    "test/cli/progress.test.ts",
    "rawjson: every line of stderr is a SolveStatus, and vertexes end",
  ],
  "--explain": ["test/cache/explain.test.ts", "as JSON, and with build --explain"],
  "--quiet": ["test/cli/build.test.ts", "-q prints the image id and nothing else; --iidfile writes the same"],
  "--check": ["test/cli/check.test.ts", "--check shows each finding with its lines, and ends with 1"],
  "--call": ["test/cli/check.test.ts", "--call outline tells what the target takes"],
  "--rm": ["test/cli/build-inputs.test.ts", "--rm, --force-rm and --compress have no effect, and -D says so"],
  "--force-rm": [
    "test/cli/build-inputs.test.ts",
    "--rm, --force-rm and --compress have no effect, and -D says so",
  ],
  "--compress": [
    "test/cli/build-inputs.test.ts",
    "--rm, --force-rm and --compress have no effect, and -D says so",
  ],
  "--attest": ["test/outputs/provenance.test.ts", "of SLSA 1, with what the user says of it"],
  "--provenance": [
    "test/outputs/provenance.test.ts",
    "stands beside the image in an index, at a registry, and other tools still take the image",
  ],
  "--sbom": ["test/cli/usage.test.ts", "attestations: what cannot be made is refused, what is wrong is told"],
  "--root": [
    "test/cli/usage.test.ts",
    "--root, SLIPWAY_ROOT and a --root after the command choose the store",
  ],
  "--store-max": [
    "test/cache/prune.test.ts",
    "--store-max keeps the store below it, also while a build runs",
  ],
  "--limit": [
    "test/cli/config.test.ts",
    "the command line wins over the environment, that over the project's file, that over the user's",
  ],
  "--debug": ["test/cli/usage.test.ts", "--debug tells the cause"],
};

test("every option of build has a test of its effect, and there is no other option", () => {
  const options = [...makeBuildOptions(), ...makeGlobalOptions()].map(({ long }) => long!);
  assert.deepEqual(Object.keys(EFFECTS).sort(), options.sort());
  for (const [option, [file, name]] of Object.entries(EFFECTS)) {
    const text = readFileSync(join(import.meta.dirname, "../..", file), "utf8");
    assert.ok(text.includes(JSON.stringify(name)), `${file} has no test "${name}" for ${option}`);
  }
});

test("docs/options.md is what the tables say (npm run docs:options writes it)", async () => {
  assert.equal(readFileSync(OPTIONS_PAGE, "utf8"), await formatOptionsPage());
});

/** docker's short names, as scripts use them. */
const SHORT = {
  "-t": "--tag",
  "-f": "--file",
  "-o": "--output",
  "-q": "--quiet",
  "-m": "--memory",
  "-c": "--cpu-shares",
};

test("docker's short names are there", () => {
  const shorts = Object.fromEntries(
    makeBuildOptions().flatMap(({ short, long }) => (short ? [[short, long]] : [])),
  );
  assert.deepEqual(shorts, { ...SHORT, "-v": "--volume" });
});
