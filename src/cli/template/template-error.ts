import { BuildError } from "../../errors/build-error.ts";

/** What is wrong with a template, in the words of Go's where there are some. */
export function templateError(what: string, hint?: string): BuildError {
  return new BuildError("option-invalid", `Cannot use the template: ${what}`, { hint });
}
