/** Lines below cells: what is put into the notebook's model, and which of the kernel's HTML is drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHTML } from "linkedom";

import { boxed, HeldLines } from "../../hopx_magics/live/page/heldlines.js";
import { renew } from "../../hopx_magics/live/page/linebox.js";
import { elementsOf } from "../../hopx_magics/live/page/linemarkup.js";
import { casesOf } from "./rows.js";

const { document, DOMParser, Element, HTMLDetailsElement, Node } = parseHTML("<!DOCTYPE html><html><body></body></html>");
/** A browser puts what it parses into a body, whatever it is. */
class BrowsersParser extends DOMParser {
  parseFromString(html, type) {
    return super.parseFromString(`<!DOCTYPE html><html><body>${html}</body></html>`, type);
  }
}
Object.assign(globalThis, { document, DOMParser: BrowsersParser, Element, HTMLDetailsElement, Node });

test("boxes", () => {
  for (const { line, head, below, html } of casesOf("boxes")) assert.equal(boxed(line, head, below), html);
});

/** A notebook as JupyterLab has it, whose cell has an output for each of these. */
function notebookWith({ trusted, hopx }) {
  const outputs = hopx.map((kept) => ({ metadata: { hopx: kept }, toJSON: () => ({ data: { "text/html": "old" }, metadata: { hopx: kept } }) }));
  const shared = outputs.map((output) => output.toJSON());
  const written = [];
  const cell = {
    type: "code",
    trusted,
    outputs: { length: outputs.length, get: (index) => outputs[index], set: (index, made) => written.push(["drawn", index, made]) },
    sharedModel: {
      outputs: shared,
      updateOutputs(start, end, [made], origin) {
        written.push([origin, start, made]);
        shared[start] = made;
      },
    },
  };
  return { held: new HeldLines({ model: { cells: [{ type: "markdown" }, cell], dirty: false } }), written };
}

test("a notebook's lines are found, whatever else stands there", () => {
  const odd = [undefined, {}, { run: 5 }, { run: "x".repeat(201) }, { run: { a: 1 } }];
  const { held } = notebookWith({ trusted: true, hopx: [...odd, { run: "r1", name: "n".repeat(300), ended: true }, { sweep: "s1", connection: 3 }] });
  const [run, sweep, ...others] = held.all();
  assert.deepEqual([run.line, run.sweep, run.name.length, run.ended], ["r1", false, 200, true]);
  assert.deepEqual([sweep.line, sweep.sweep, sweep.connection, sweep.ended], ["s1", true, null, false]);
  assert.equal(others.length, 0);
});

test("what is there already is left alone, and what is not trusted is drawn by the notebook", () => {
  const shown = { head: "<div>new</div>", below: "", text: "new", ended: true };
  const { held, written } = notebookWith({ trusted: true, hopx: [{ run: "r1" }] });
  held.write(() => null);
  assert.equal(written.length, 0);
  held.write(() => shown);
  held.write(() => shown);
  assert.equal(written.length, 1);
  assert.equal(written[0][0], "silent-change");
  assert.equal(written[0][2].data["text/html"], boxed("r1", shown.head, ""));
  assert.equal(written[0][2].metadata.hopx.ended, true);
  const other = notebookWith({ trusted: false, hopx: [{ run: "r1" }] });
  other.held.write((line, drawn) => (drawn ? null : shown));
  assert.equal(other.written[0][0], "drawn");
  assert.equal(other.held.someUntrusted, true);
});

test("only what does nothing is drawn of the kernel's HTML", () => {
  const hostile = `<div class="a" onclick="x()">t<script>x()</script><img src=x onerror=x()><img src="data:image/png;base64,AA==">`
    + `<a href="javascript:x()">j</a><iframe srcdoc="a"></iframe><iframe sandbox="allow-same-origin allow-scripts" srcdoc="b"></iframe>`
    + `<iframe sandbox="" srcdoc="c"></iframe><svg onload="x()"><text>s</text></svg><form action="/x"><input name="i">f</form></div>`;
  const host = document.createElement("div");
  host.append(elementsOf(hostile));
  const html = host.innerHTML;
  for (const word of ["onclick", "script>", "onerror", "src=\"x\"", "javascript", "same-origin", "<svg", "<form", "<input", "onload"]) {
    assert.ok(!html.includes(word), word);
  }
  for (const word of ['class="a"', "data:image/png;base64,AA==", 'srcdoc="c"', "t", "f"]) assert.ok(html.includes(word), word);
  assert.equal(host.querySelectorAll("iframe").length, 1);
});

test("what has not changed is left alone in the page", () => {
  const elementOf = (/** @type {string} */ html) => elementsOf(html).firstElementChild;
  const old = elementOf(`<div><b>1 s</b> text<div><img src="data:image/png;base64,AA=="></div><iframe sandbox="" srcdoc="c"></iframe></div>`);
  const host = document.createElement("div");
  host.append(old);
  const [picture, frame] = [host.querySelector("img"), host.querySelector("iframe")];
  const now = `<div><b>2 s</b> more<div><img src="data:image/png;base64,AA=="></div><iframe sandbox="" srcdoc="c"></iframe><p>new</p></div>`;
  renew(old, elementOf(now));
  assert.equal(host.textContent, "2 s morenew");
  assert.equal(host.querySelector("img"), picture);
  assert.equal(host.querySelector("iframe"), frame);
  renew(host.firstElementChild, elementOf("<div><b>3 s</b></div>"));
  assert.equal(host.textContent, "3 s");
  renew(host.firstElementChild, elementOf(`<div style="color:red">4 s</div>`));
  assert.equal(host.innerHTML, `<div style="color:red">4 s</div>`);
});
