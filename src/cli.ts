import { main } from "./cli/main.ts";

// Without await at the top: the bundle is a function.
void main(process.argv.slice(2), process).then((status) => {
  process.exitCode = status;
});
