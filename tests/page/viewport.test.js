/** The lines that can be seen, as elements. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHTML } from "linkedom";

import { COLUMNS } from "../../hopx_magics/live/page/columns.js";
import { Order } from "../../hopx_magics/live/page/order.js";
import { GroupLine, ROW_HEIGHT } from "../../hopx_magics/live/page/rows.js";
import { Store } from "../../hopx_magics/live/page/store.js";
import { Viewport } from "../../hopx_magics/live/page/viewport.js";
import { columnsOf } from "./rows.js";

const { document } = parseHTML("<html><body></body></html>");
document.getSelection = () => null;
Object.assign(globalThis, { document });

const STATE = { selected: false, active: false, level: 0, now: 0, copied: false, opened: false, note: undefined, asking: null };

function shown(view = {}) {
  const store = new Store();
  store.reset(columnsOf(Array.from({ length: 1000 }, (_, n) => ({ id: `p${n}`, started: n, status: n % 2 ? "failed" : "killed" }))));
  const order = new Order(store);
  order.recall(view);
  order.rebuild(0);
  const body = document.createElement("div");
  const viewport = new Viewport(body, (line, item, index) => {
    const state = { ...STATE, known: store.known, index };
    if (line instanceof GroupLine) line.update(item, false, store, state, COLUMNS.length);
    else line.update(item.slot, store.rows.get(item.slot), state);
  });
  viewport.setColumns(COLUMNS);
  const ids = () => [...body.children].map((line) => line.dataset.group ?? line.querySelector(".hopx-id").textContent);
  return { order, body, viewport, ids };
}

test("only lines that can be seen have elements, which stand in their order", () => {
  const { order, body, viewport, ids } = shown();
  viewport.render(order.items, 0, 10 * ROW_HEIGHT);
  assert.equal(body.style.height, `${1000 * ROW_HEIGHT}px`);
  assert.deepEqual(ids(), Array.from({ length: 14 }, (_, n) => `p${999 - n}`));
  viewport.render(order.items, 500 * ROW_HEIGHT, 10 * ROW_HEIGHT);
  assert.deepEqual(ids(), Array.from({ length: 18 }, (_, n) => `p${503 - n}`));
});

test("a row keeps its element while it can be seen, and those that left serve the others", () => {
  const { order, body, viewport } = shown();
  viewport.render(order.items, 0, 10 * ROW_HEIGHT);
  const before = new Set(body.children);
  const kept = viewport.elementOf(990);
  viewport.render(order.items, 8 * ROW_HEIGHT, 10 * ROW_HEIGHT);
  assert.equal(viewport.elementOf(990), kept);
  assert.equal(kept.style.transform, `translateY(${9 * ROW_HEIGHT}px)`);
  assert.ok([...body.children].filter((line) => before.has(line)).length >= 14);
});

test("headlines of groups are lines of their own", () => {
  const { order, viewport, ids } = shown({ group: "status" });
  viewport.render(order.items, 0, 4 * ROW_HEIGHT);
  assert.deepEqual(ids().slice(0, 3), ["failed", "p999", "p997"]);
});
