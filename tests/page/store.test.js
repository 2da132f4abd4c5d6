/** The rows as the kernel tells them, and which of them are chosen. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { Selection } from "../../hopx_magics/live/page/selection.js";
import { elapsedAt, Store } from "../../hopx_magics/live/page/store.js";
import { casesOf, columnsOf, rowOf } from "./rows.js";

function storeOf(...rows) {
  const store = new Store();
  store.reset(columnsOf(rows));
  return store;
}

test("changes are fields of rows, all fields of new ones, and slots that are gone", () => {
  const store = storeOf({ id: "a" }, { id: "b", status: "queued" });
  const told = [];
  store.onChange((slots) => told.push(slots));
  store.apply([[0, { last: "more" }], [7, rowOf({ id: "c", status: "failed" })]], [1]);
  assert.deepEqual([...store.rows.keys()], [0, 7]);
  assert.deepEqual([store.rows.get(0).id, store.rows.get(0).last], ["a", "more"]);
  assert.deepEqual(told, [new Set([0, 1, 7])]);
});

test("rows that are told alike become fields of each", () => {
  const { known, packed, rows } = casesOf("changes");
  const store = new Store();
  store.apply(Object.entries(known).map(([slot, fields]) => [Number(slot), rowOf(fields)]), []);
  store.take({ kind: "changes", gone: [], buffers: [new DataView(new TextEncoder().encode(JSON.stringify(packed)).buffer)] });
  assert.deepEqual(Object.fromEntries(store.rows), Object.fromEntries(Object.entries(rows).map(([slot, row]) => [slot, rowOf(row)])));
});

test("it counts statuses, and takes a word that it does not know as unknown", () => {
  const store = storeOf({ status: "queued" }, { status: "hibernating" });
  assert.equal(store.anyOpen, true);
  store.apply([[0, { status: "completed" }]], []);
  assert.deepEqual([store.counts.completed, store.counts.unknown, store.counts.queued], [1, 1, 0]);
  assert.equal(store.anyOpen, false);
});

test("an end is told once, also one that was missed", () => {
  const store = storeOf({ id: "a" }, { id: "b" }, { id: "c" });
  const ended = [];
  store.onEnd((rows) => ended.push(rows.map(({ row }) => row.id)));
  store.apply([[0, { status: "failed" }], [1, { status: "unknown" }]], []);
  store.apply([[0, { last: "more" }]], []);
  store.reset(columnsOf([{ id: "a", status: "failed" }, { id: "b" }, { id: "c", status: "killed" }]));
  assert.deepEqual(ended, [["a"], ["c"]]);
});

test("a running process is counted by the kernel's clock, never below nothing", () => {
  assert.equal(elapsedAt(rowOf({ began: 990 }), 1000), 10);
  assert.equal(elapsedAt(rowOf({ began: 1001 }), 1000), 0);
  assert.equal(elapsedAt(rowOf({ status: "failed", elapsed: 3 }), 1000), 3);
  assert.equal(elapsedAt(rowOf({}), 1000), null);
});

test("a choice extends from where it began, in the order that is shown", () => {
  let changes = 0;
  const selection = new Selection(() => (changes += 1));
  selection.extend(4, [1, 4, 2, 3]);
  selection.extend(3, [1, 4, 2, 3]);
  assert.deepEqual(selection.slots, new Set([4, 2, 3]));
  selection.extend(1, [1, 4, 2, 3]);
  assert.deepEqual(selection.slots, new Set([1, 4]));
  selection.toggle(1);
  selection.keepOnly((slot) => slot !== 4);
  assert.deepEqual([selection.slots.size, changes], [0, 5]);
  selection.clear();
  assert.equal(changes, 5, "nothing has changed");
});

test("the places of what is queued, also where the table does not show all of the queue", () => {
  const store = new Store();
  const queued = { status: "queued" };
  store.reset(columnsOf([rowOf(queued), rowOf({}), rowOf({ ...queued, connection: "far" }), rowOf({ ...queued, skipped: 2 })]));
  assert.deepEqual([...store.queue], [[0, 1], [2, 1], [3, 4]]);
  store.apply([[0, { status: "running" }], [3, { skipped: 1 }]], []);
  assert.deepEqual([...store.queue], [[2, 1], [3, 2]]);
  store.apply([[3, { skipped: 0 }], [4, rowOf({ ...queued, paused: true })], [5, rowOf({ ...queued, first: true })]], []);
  assert.deepEqual([...store.queue], [[5, 1], [2, 1], [3, 2]], "what is first is ahead, and what is paused has no place");
});
