import { BuildError, type BuildErrorCode, type BuildErrorDetail } from "../errors/build-error.ts";

/** What the main thread sends to a worker. `id` names one run of a task. */
export type MessageToWorker =
  | {
      readonly kind: "run";
      readonly id: number;
      readonly name: string;
      readonly input: unknown;
      /** One Int32: not 0 once the run is aborted, so that a task in a synchronous loop can see it. */
      readonly aborted: SharedArrayBuffer;
      readonly hasBytes: boolean;
    }
  | { readonly kind: "bytes"; readonly id: number; readonly chunk: Uint8Array }
  | { readonly kind: "bytes-end"; readonly id: number; readonly error?: SentError }
  | { readonly kind: "abort"; readonly id: number; readonly reason: SentError }
  | { readonly kind: "subtask-end"; readonly subtask: number; readonly outcome: Outcome };

/** What a worker sends to the main thread. */
export type MessageToPool =
  | { readonly kind: "end"; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: "event"; readonly id: number; readonly event: unknown }
  /** So many bytes were taken; or the task wants no more. */
  | { readonly kind: "credit"; readonly id: number; readonly sizeBytes: number }
  | {
      readonly kind: "subtask";
      readonly id: number;
      readonly subtask: number;
      readonly name: string;
      readonly input: unknown;
    };

export type Outcome =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "error"; readonly error: SentError };

/** An error in a form that a structured clone keeps whole: a clone of a subclass loses its class and fields. */
export type SentError =
  | {
      readonly kind: "build";
      readonly code: BuildErrorCode;
      readonly message: string;
      readonly detail: Omit<BuildErrorDetail, "cause">;
      readonly cause?: SentError;
    }
  | {
      readonly kind: "other";
      readonly name: string;
      readonly message: string;
      readonly stack?: string;
      readonly code?: string;
      readonly cause?: SentError;
    };

export function sendError(error: unknown): SentError {
  if (error instanceof BuildError) {
    const { code, message, span, hint, exitCode, logTail } = error;
    return {
      kind: "build",
      code,
      message,
      detail: { span, hint, exitCode, logTail },
      ...sendCause(error.cause),
    };
  }
  if (error instanceof Error) {
    const code = (error as { code?: unknown }).code;
    return {
      kind: "other",
      name: error.name,
      message: error.message,
      stack: error.stack,
      ...(typeof code === "string" ? { code } : {}),
      ...sendCause(error.cause),
    };
  }
  return { kind: "other", name: "Error", message: String(error) };
}

function sendCause(cause: unknown): { cause?: SentError } {
  return cause === undefined ? {} : { cause: sendError(cause) };
}

export function receiveError(sent: SentError): Error {
  const cause = sent.cause === undefined ? undefined : receiveError(sent.cause);
  if (sent.kind === "build") return new BuildError(sent.code, sent.message, { ...sent.detail, cause });
  const error = new Error(sent.message, cause === undefined ? undefined : { cause });
  error.name = sent.name;
  if (sent.stack !== undefined) error.stack = sent.stack;
  return sent.code === undefined ? error : Object.assign(error, { code: sent.code });
}
