/** Which rows are shown where, as they come, change and go. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { isGroup, Order, summarize } from "../../hopx_magics/live/page/order.js";
import { Store } from "../../hopx_magics/live/page/store.js";
import { columnsOf, rowOf } from "./rows.js";

const STATUSES = ["queued", "running", "completed", "failed", "killed", "unknown"];

function orderOf(rows, view = {}, now = 1000) {
  const store = new Store();
  store.reset(columnsOf(rows));
  const order = new Order(store);
  order.recall(view);
  order.rebuild(now);
  return { store, order };
}

/** Numbers that look random and are the same each time. */
function* numbers(most) {
  for (let value = 1; ; value = (value * 48271) % 2147483647) yield value % most;
}

function lines(order) {
  return order.items.map((item) => (isGroup(item) ? `${item.group}:` : item.slot));
}

for (const view of [{}, { sort: ["name"] }, { sort: ["-elapsed", "id"], group: "status" }, { group: "name", search: "1" }]) {
  test(`changes lead where all anew leads: ${JSON.stringify(view)}`, () => {
    const some = numbers(97);
    const next = () => some.next().value;
    const row = () => rowOf({ id: `p${next()}`, name: `run ${next() % 7}`, status: STATUSES[next() % 6], started: next(), elapsed: next() });
    const { store, order } = orderOf(Array.from({ length: 60 }, row), view);
    for (let turn = 0; turn < 30; turn += 1) {
      const changes = Array.from({ length: 5 }, () => [next() % 80, row()]);
      const gone = [next() % 80].filter((slot) => changes.every(([other]) => other !== slot));
      store.apply(changes, gone);
      order.update(new Set([...gone, ...changes.map(([slot]) => slot)]), 1000);
      const anew = new Order(store);
      anew.recall(view);
      anew.rebuild(1000);
      assert.deepEqual(lines(order), lines(anew));
    }
  });
}

test("an update tells which rows came, went or moved", () => {
  const { store, order } = orderOf([rowOf({ name: "b" }), rowOf({ name: "a" })], { sort: ["name"] });
  store.apply([[0, { last: "more" }]], []);
  assert.deepEqual(order.update(new Set([0]), 1000), new Set());
  store.apply([[0, { name: "0" }]], [1]);
  assert.deepEqual(order.update(new Set([0, 1]), 1000), new Set([0, 1]));
  assert.deepEqual(lines(order), [0]);
});

test("what runs gets longer and overtakes what has ended", () => {
  const rows = [rowOf({ status: "completed", elapsed: 10 }), rowOf({ began: 995 })];
  const { order } = orderOf(rows, { sort: ["-elapsed"] });
  assert.deepEqual(lines(order), [0, 1]);
  assert.equal(order.advance(1004), false);
  assert.equal(order.advance(1006), true);
  assert.deepEqual(lines(order), [1, 0]);
});

test("groups stand in the order of the statuses or of names, and fold", () => {
  const rows = [rowOf({ name: "run 10", status: "failed" }), rowOf({ name: "Run 9" }), rowOf({ status: "failed" })];
  const { order } = orderOf(rows, { group: "status" });
  assert.deepEqual(lines(order), ["running:", 1, "failed:", 0, 2]);
  order.toggleFold("failed");
  assert.deepEqual(lines(order), ["running:", 1, "failed:"]);
  order.grouping = "name";
  order.rebuild(1000);
  assert.deepEqual(lines(order), ["Run 9:", 1, "run 10:", 0, ":", 2]);
  assert.equal(order.items.at(-2).label, "(no name)");
});

test("a group tells of its rows", () => {
  const rows = [rowOf({ began: 990 }), rowOf({ status: "completed", elapsed: 30 }), rowOf({ status: "queued" })];
  const { store, order } = orderOf(rows, { group: "connection" });
  const { counts, total, longest } = summarize(order.items[0], store, 1000);
  assert.deepEqual([counts.running, counts.completed, counts.failed, total, longest], [1, 1, 0, 40, 30]);
});

test("a click sorts by a column, a second one the other way round, and what was before decides between equals", () => {
  const { order } = orderOf([]);
  order.sortBy("name");
  order.sortBy("status");
  order.sortBy("status");
  assert.deepEqual(order.remember().sort, ["-status", "name"]);
});

test("a third click leads back to the default order", () => {
  const { order } = orderOf([rowOf({ status: "queued" }), rowOf({ status: "failed" }), rowOf({ status: "running" })]);
  for (let click = 0; click < 3; click += 1) order.sortBy("status");
  order.rebuild(1000);
  assert.deepEqual([order.remember().sort, lines(order)], [[], [2, 0, 1]]);
});

test("what was remembered is taken over as far as it can be used", () => {
  const { order } = orderOf([], { sort: ["actions", 3, "nonsense"], group: "language", folded: 7, filters: null, search: {} });
  assert.deepEqual(order.remember(), { sort: [], group: "none", folded: [], filters: [], search: "" });
});
