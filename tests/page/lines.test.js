/** Lines of output as elements, and which bytes they show. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHTML } from "linkedom";

import { lineElement, lineLength, lineText, sameLine, updateLine } from "../../hopx_magics/live/page/ansi.js";
import { LineWindow } from "../../hopx_magics/live/page/linewindow.js";

const { document, Text } = parseHTML("<html><body></body></html>");
Object.assign(globalThis, { document, Text });

const texts = (window) => [...window.element.querySelectorAll(".hopx-line")].map((line) => line.textContent);
const numbered = (from, to) => Array.from({ length: to - from }, (_, index) => `line ${from + index}`);

test("a line is read and compared by its text and styles", () => {
  const line = [["ab", "f1"], ["c", ""]];
  assert.deepEqual([lineText(line), lineLength(line), lineText("abc")], ["abc", 3, "abc"]);
  assert.ok(sameLine(line, [["ab", "f1"], ["c", ""]]));
  assert.ok(!sameLine(line, [["ab", "f2"], ["c", ""]]));
  assert.ok(!sameLine(line, "abc"));
});

test("styles become classes, and colours beyond the palette numbers", () => {
  const element = lineElement([["bold", "b f1 g4"], ["rgb", "Fff8000"], ["cube", "f196"], ["inverse", "r f2"]]);
  const [bold, rgb, cube, inverse] = element.children;
  assert.equal(bold.className, "hopx-b hopx-on hopx-g4 hopx-f1");
  assert.match(rgb.getAttribute("style"), /--hopx-ink:\s*rgb\(255,128,0\)/);
  assert.match(cube.getAttribute("style"), /rgb\(255,0,0\)/);
  assert.equal(inverse.className, "hopx-on hopx-g2");
});

test("web addresses become links, and nothing else does", () => {
  const link = (text) => lineElement(text).querySelector("a")?.getAttribute("href") ?? null;
  assert.equal(link("see (https://example.org/a?b=c)."), "https://example.org/a?b=c");
  assert.equal(link("https://example.org/a_(b), or"), "https://example.org/a_(b)");
  assert.equal(link("javascript://alert(1) file:///etc/passwd"), null);
  assert.equal(lineElement("<img src=x onerror=alert(1)>").innerHTML, "&lt;img src=x onerror=alert(1)&gt;");
});

test("of a long line the rest is shown when it is asked for", () => {
  const element = lineElement("x".repeat(20_000));
  const button = element.querySelector("button");
  assert.equal(button.textContent, "… 15,000 more characters");
  button.click();
  assert.equal(element.textContent.length, 20_000);
});

test("a line that changes keeps its text node", () => {
  const element = lineElement("10 %");
  const node = element.firstChild;
  updateLine(element, "20 %");
  assert.equal(element.firstChild, node);
  assert.equal(node.data, "20 %");
  updateLine(element, [["30 %", "f1"]]);
  assert.equal(element.textContent, "30 %");
});

test("lines grow at the end, and those that stay keep their elements", () => {
  const window = new LineWindow();
  window.reset(["a", "b", "c"], 10, 100, 106);
  const [first] = window.nodes;
  assert.ok(window.grow(12, ["C", "d"], 110));
  assert.deepEqual(texts(window), ["a", "b", "C", "d"]);
  assert.equal(window.nodes[0], first);
  assert.deepEqual([window.first, window.begin, window.end, window.text()], [10, 100, 110, "a\nb\nC\nd"]);
  assert.ok(!window.grow(20, ["z"], 200), "there are lines missing between");
});

test("pages come before and behind, and whole pages go at the other end", () => {
  const window = new LineWindow();
  window.reset(numbered(3000, 6000), 3000, 30_000, 60_000);
  window.prepend(numbered(0, 3000), 0);
  assert.deepEqual([window.first, window.begin, texts(window).length], [0, 0, 6000]);
  assert.ok(window.trimBottom());
  assert.deepEqual([window.end, texts(window).length], [30_000, 3000]);
  window.append(numbered(3000, 6000), 60_000);
  window.trimTop();
  assert.deepEqual([window.first, window.begin, texts(window)[0]], [3000, 30_000, "line 3000"]);
});

test("lines that the kernel has forgotten go, and one that grows too large forgets by itself", () => {
  const window = new LineWindow();
  window.reset(numbered(0, 4000), 0, 0, 40_000);
  window.dropTop(1000, 10_000);
  assert.deepEqual([window.first, window.begin, texts(window).length], [1000, 10_000, 3000]);
  window.grow(4000, numbered(4000, 9000), 90_000);
  window.trimFollowed();
  assert.deepEqual([texts(window).length, texts(window).at(-1), window.end], [5000, "line 8999", 90_000]);
});
