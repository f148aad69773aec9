import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { BuildError } from "../errors/build-error.ts";
import type { ImageAccess } from "../image/image-access.ts";
import { failEvent } from "../progress/fail-event.ts";
import type { EngineAddress } from "./engine-address.ts";
import { type LayoutOptions, writeLayoutArchive } from "./write-layout.ts";

/** What an engine answers is short; more is not read. */
const ANSWER_LIMIT = 1 << 20;

/**
 * Loads an image into a docker engine that runs (Docker Engine API, `POST /images/load`): the archive goes there as a stream.
 *
 * @throws BuildError `output-failed` when the engine cannot be reached or does not take it.
 */
export async function loadIntoEngine(
  access: ImageAccess,
  engine: EngineAddress,
  layout: LayoutOptions,
): Promise<void> {
  const { emit, signal } = access;
  const id = `load ${engine.text}`;
  emit({ kind: "start", time: Date.now(), id, name: `load into docker (${engine.text})` });
  try {
    const request = openRequest(engine, signal);
    const answered = once(request, "response") as Promise<[IncomingMessage]>;
    // An engine that refuses may answer before it has read the archive.
    answered.catch(() => {});
    const sent = writeLayoutArchive(access, request, layout).then(() => request.end());
    sent.catch(() => {});
    const [response] = await Promise.race([answered, sent.then(() => answered)]);
    await checkAnswer(response, engine);
    emit({ kind: "end", time: Date.now(), id, outcome: "done" });
  } catch (error) {
    emit(failEvent(id, error, signal));
    signal.throwIfAborted();
    if (error instanceof BuildError) throw error;
    throw new BuildError(
      "output-failed",
      `Cannot load the image into docker: ${engine.text} cannot be reached (${(error as Error).message})`,
      {
        hint: "DOCKER_HOST says where the engine listens; -o type=docker,dest=FILE needs none",
        cause: error,
      },
    );
  }
}

function openRequest({ target, tls }: EngineAddress, signal: AbortSignal): ClientRequest {
  const options = {
    ...target,
    method: "POST",
    path: "/images/load?quiet=1",
    headers: { "content-type": "application/x-tar" },
    signal,
  };
  if (tls === undefined) return requestHttp(options);
  const { isVerified, ...files } = tls;
  return requestHttps({ ...options, ...files, rejectUnauthorized: isVerified });
}

async function checkAnswer(response: IncomingMessage, { text }: EngineAddress): Promise<void> {
  let answer = "";
  for await (const chunk of response) if (answer.length < ANSWER_LIMIT) answer += String(chunk);
  const problem =
    response.statusCode === 200
      ? findProblem(answer)
      : (findProblem(answer) ?? `HTTP ${response.statusCode}`);
  if (problem === undefined) return;
  throw new BuildError("output-failed", `Cannot load the image into docker: ${text} answers: ${problem}`);
}

/** A line of JSON for each thing that happened, or one object with a message. */
function findProblem(answer: string): string | undefined {
  for (const line of answer.split("\n")) {
    try {
      const { error, message } = JSON.parse(line) as { readonly error?: string; readonly message?: string };
      if (error ?? message) return error ?? message;
    } catch {
      // Not every engine answers in JSON when all is well.
    }
  }
  return undefined;
}
