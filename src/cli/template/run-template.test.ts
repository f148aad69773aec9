import assert from "node:assert/strict";
import { test } from "node:test";
import { makeList, makeMap } from "./go-value.ts";
import { parseTemplate } from "./parse-template.ts";
import { runTemplate } from "./run-template.ts";

const value = {
  Os: "linux",
  Size: 6,
  Tags: ["demo:1", "b:2"],
  Config: {
    Env: ["A=b", "C=d e"],
    Labels: makeMap({ two: "x y", l: "1" }, ""),
    Volumes: makeMap(null, {}),
    Entrypoint: makeList(null),
    Healthcheck: null,
  },
};

// What Go's text/template with docker's functions gives for the same data.
const FILLED: readonly (readonly [template: string, filled: string])[] = [
  ["a {{.Os}} b", "a linux b"],
  ["{{.Config.Env}}", "[A=b C=d e]"],
  ["{{.Config.Labels}}", "map[l:1 two:x y]"],
  ["{{.Config.Labels.two}}|{{.Config.Labels.no}}", "x y|<no value>"],
  ['{{index .Config.Labels "two"}}|{{index .Config.Labels "no"}}|{{index .Config "Env" 0}}', "x y||A=b"],
  ["{{.Config.Healthcheck}}|{{.Config.Entrypoint}}|{{.Config.Volumes}}", "<nil>|[]|map[]"],
  ["{{json .Config.Entrypoint}}|{{json .Config.Volumes}}|{{len .Config.Volumes}}", "null|null|0"],
  ["{{json .Config.Labels}}", '{"two":"x y","l":"1"}'],
  ["{{range .Config.Env}}{{println .}}{{end}}", "A=b\nC=d e\n"],
  ["{{range $i, $e := .Config.Env}}{{$i}}={{$e}};{{end}}", "0=A=b;1=C=d e;"],
  ["{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "l=1;two=x y;"],
  ["{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none"],
  ["{{range .Tags}}{{if eq . `b:2`}}{{break}}{{end}}{{.}}{{end}}", "demo:1"],
  ["{{range .Tags}}{{if eq . `demo:1`}}{{continue}}{{end}}{{.}}{{end}}", "b:2"],
  ["{{with .Config.Entrypoint}}a{{else}}b{{end}}", "b"],
  ["{{with .Config}}{{.Env}} {{$.Os}}{{end}}", "[A=b C=d e] linux"],
  ["{{if .Config.Volumes}}a{{else if eq .Os `linux`}}b{{else}}c{{end}}", "b"],
  ["{{$x := .Os}}{{if true}}{{$x = `a`}}{{$x := `b`}}{{$x}}{{end}}{{$x}}", "ba"],
  ["x {{- .Os -}} \n y", "xlinuxy"],
  ["{{/* c */}}x{{- /* c */ -}} y", "xy"],
  ['{{.Os | upper | printf "%s-%s" "a"}}', "a-LINUX"],
  ['{{printf "%d" .Os}}|{{printf "%s" .Size}}', "%!d(string=linux)|%!s(int64=6)"],
  [
    '{{printf "%5s|%-5s|%05d|%.2f|%x|%q|%v|%%" "a" "b" 3 1.5 "hi" "q" .Tags}}',
    '    a|b    |00003|1.50|6869|"q"|[demo:1 b:2]|%',
  ],
  ['{{"a" | len}} {{not true}} {{and 1 0}} {{or "" "b"}} {{slice .Os 1 3}}', "1 false 0 b in"],
  ['{{print 1 2 "a" "b" 3}}', "1 2ab3"],
  [
    "{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{ge `b` `a`}} {{eq nil .Config.Healthcheck}}",
    "true true true true true",
  ],
  ["{{and .Config.Healthcheck .Config.Healthcheck.Test}}", "<nil>"],
  [
    '{{join .Tags ", "}}|{{index (split "a,b" ",") 1}}|{{title "a bc"}}|{{pad "x" 1 2}}|{{truncate "abcdef" 3}}',
    "demo:1, b:2|b|A Bc| x  |abc",
  ],
  ['{{html "<a>"}} {{urlquery "a b&"}} {{js "a\\"b"}}', '&lt;a&gt; a+b%26 a\\"b'],
  [
    '{{"tab\\tand\\u00e9"}}|{{`a\\t`}}|{{(index .Tags 0)}}|{{len (printf "%v" .Os)}}',
    "tab\tandé|a\\t|demo:1|5",
  ],
  ["{{.}}", "{linux 6 [demo:1 b:2] {[A=b C=d e] map[l:1 two:x y] map[] [] <nil>}}"],
];

for (const [template, filled] of FILLED) {
  test(`a template as Go fills it: ${template}`, () => {
    assert.equal(runTemplate(parseTemplate(template), value), filled);
  });
}

const REFUSED: readonly (readonly [template: string, message: RegExp])[] = [
  ["{{.Foo}}", /\{\{\.Foo\}\}: there is no field "Foo"/],
  ["{{.Config.Healthcheck.Test}}", /can't evaluate field Test in type nil/],
  ["{{.Size.Foo}}", /can't evaluate field Foo in type int/],
  ["{{foo .}}", /function "foo" not defined/],
  ["{{if}}x{{end}}", /missing value for if/],
  ["{{.Os", /unclosed action/],
  ["{{end}}", /unexpected \{\{end\}\}/],
  ["{{.Os}}{{if .Os}}x", /unexpected EOF/],
  ["{{if .Os}}{{else}}{{else}}{{end}}", /unexpected \{\{else\}\}/],
  ["{{index .Tags 7}}", /index out of range: 7/],
  ['{{eq 1 "1"}}', /incompatible types for comparison/],
  ["{{range .Os}}x{{end}}", /range can't iterate over linux/],
  ["{{break}}", /outside \{\{range\}\}/],
  ["{{$x}}", /undefined variable "\$x"/],
  ["{{len}}", /wrong number of arguments for len: want 1, got 0/],
  ["{{.Os .Size}}", /can't give argument to non-function/],
  ['{{define "a"}}{{end}}', /define is not supported/],
  ["{{.Os | }}", /unexpected end/],
  ["{{upper .Size}}", /expected string; got int/],
];

for (const [template, message] of REFUSED) {
  test(`a template that is refused: ${template}`, () => {
    assert.throws(() => runTemplate(parseTemplate(template), value), { code: "option-invalid", message });
  });
}

test("an unknown function is answered with the nearest", () => {
  assert.throws(() => runTemplate(parseTemplate("{{uper .Os}}"), value), { hint: 'Did you mean "upper"?' });
});

test("a field of an object's prototype is no field", () => {
  for (const name of ["constructor", "__proto__", "toString"])
    assert.throws(() => runTemplate(parseTemplate(`{{.${name}}}`), value), /there is no field/);
  assert.equal(runTemplate(parseTemplate("{{.Config.Volumes.toJSON}}"), value), "<no value>");
});
