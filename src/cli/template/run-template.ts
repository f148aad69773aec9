import { formatGo, GoMap, type GoValue, isTrue, typeOf } from "./go-value.ts";
import type { Operand, Pipeline, Template, TemplateNode } from "./parse-template.ts";
import { templateError } from "./template-error.ts";
import { callFunction, type TemplateFunctions } from "./template-functions.ts";

/** How a body ended: at its end, or at a `break` or `continue` of the range around it. */
type Outcome = "done" | "break" | "continue";

/**
 * Fills a template in with a value. `own` functions stand in place of those of the same name.
 *
 * @throws BuildError `option-invalid` for a field that is not there and for what a function does not take.
 */
export function runTemplate(template: Template, value: GoValue, own: TemplateFunctions = {}): string {
  const run = new TemplateRun(value, own);
  run.nodes(template, value);
  return run.text;
}

class TemplateRun {
  text = "";
  /** The innermost are last: a declaration hides those before it until its block ends. */
  readonly #variables: { readonly name: string; value: GoValue }[];

  readonly #own: TemplateFunctions;

  constructor(value: GoValue, own: TemplateFunctions) {
    this.#own = own;
    this.#variables = [{ name: "$", value }];
  }

  nodes(nodes: Template, dot: GoValue): Outcome {
    for (const node of nodes) {
      const outcome = this.#node(node, dot);
      if (outcome !== "done") return outcome;
    }
    return "done";
  }

  #node(node: TemplateNode, dot: GoValue): Outcome {
    switch (node.kind) {
      case "text":
        this.text += node.text;
        return "done";
      case "action": {
        const value = this.#pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length === 0) this.text += formatGo(value);
        return "done";
      }
      case "break":
      case "continue":
        return node.kind;
      case "if":
      case "with":
        return this.#inBlock(() => {
          const value = this.#pipeline(node.pipeline, dot);
          if (!isTrue(value)) return this.nodes(node.otherwise, dot);
          return this.nodes(node.body, node.kind === "with" ? value : dot);
        });
      case "range":
        return this.#inBlock(() => this.#range(node, dot));
    }
  }

  #range(node: Extract<TemplateNode, { kind: "if" | "with" | "range" }>, dot: GoValue): Outcome {
    const { pipeline, body, otherwise } = node;
    const entries = listEntries(this.#pipeline({ ...pipeline, variables: [] }, dot), pipeline);
    if (entries.length === 0) return this.nodes(otherwise, dot);
    for (const [key, value] of entries) {
      const outcome = this.#inBlock(() => {
        const [first, second] = pipeline.variables;
        if (first !== undefined) this.#set(first, second === undefined ? value : key, pipeline);
        if (second !== undefined) this.#set(second, value, pipeline);
        return this.nodes(body, value);
      });
      if (outcome === "break") break;
    }
    return "done";
  }

  #inBlock<T>(work: () => T): T {
    const count = this.#variables.length;
    const result = work();
    this.#variables.length = count;
    return result;
  }

  #pipeline(pipeline: Pipeline, dot: GoValue): GoValue {
    let last: readonly GoValue[] = [];
    for (const command of pipeline.commands) last = [this.#command(command, { dot, last, pipeline })];
    for (const name of pipeline.variables) this.#set(name, last[0], pipeline);
    return last[0];
  }

  #command(
    [first, ...rest]: readonly Operand[],
    {
      dot,
      last,
      pipeline,
    }: { readonly dot: GoValue; readonly last: readonly GoValue[]; readonly pipeline: Pipeline },
  ): GoValue {
    const { base, fields } = first!;
    const find = (operand: Operand) => this.#operand(operand, dot, pipeline);
    if (base.kind !== "function") {
      if (rest.length === 0 && last.length === 0) return find(first!);
      throw templateError(`${pipeline.source}: can't give argument to non-function`);
    }
    if (base.name === "and" || base.name === "or") {
      const given = [...rest.map((operand) => () => find(operand)), ...last.map((value) => () => value)];
      if (given.length === 0)
        throw templateError(`wrong number of arguments for ${base.name}: want at least 1, got 0`);
      return chooseFirst(given, base.name);
    }
    const args = [...rest.map(find), ...last];
    return lookUp(callFunction(base.name, args, this.#own), fields, pipeline);
  }

  #operand({ base, fields }: Operand, dot: GoValue, pipeline: Pipeline): GoValue {
    switch (base.kind) {
      case "literal":
        return base.value;
      case "dot":
        return lookUp(dot, fields, pipeline);
      case "variable":
        return lookUp(this.#find(base.name, pipeline).value, fields, pipeline);
      case "pipeline":
        return lookUp(
          this.#inBlock(() => this.#pipeline(base.pipeline, dot)),
          fields,
          pipeline,
        );
      case "function":
        return lookUp(callFunction(base.name, [], this.#own), fields, pipeline);
    }
  }

  #set(name: string, value: GoValue, pipeline: Pipeline): void {
    if (pipeline.declares) this.#variables.push({ name, value });
    else this.#find(name, pipeline).value = value;
  }

  #find(name: string, { source }: Pipeline): { value: GoValue } {
    const found = this.#variables.findLast((variable) => variable.name === name);
    if (found === undefined) throw templateError(`${source}: undefined variable "${name}"`);
    return found;
  }
}

/** The first argument that decides `and` or `or`; those after it are not looked at. */
function chooseFirst(given: readonly (() => GoValue)[], name: "and" | "or"): GoValue {
  let value: GoValue;
  for (const find of given) {
    value = find();
    if (isTrue(value) === (name === "or")) break;
  }
  return value;
}

function lookUp(start: GoValue, fields: readonly string[], { source }: Pipeline): GoValue {
  let value = start;
  for (const field of fields) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw templateError(`${source}: can't evaluate field ${field} in type ${typeOf(value)}`);
    }
    const isThere = Object.hasOwn(value, field) && field !== "toJSON";
    if (!isThere && !(value instanceof GoMap)) throw templateError(`${source}: there is no field "${field}"`);
    value = isThere ? (value as Record<string, unknown>)[field] : undefined;
  }
  return value;
}

function listEntries(value: GoValue, { source }: Pipeline): (readonly [GoValue, GoValue])[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === "object")
    return Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  throw templateError(`${source}: range can't iterate over ${formatGo(value)}`);
}
