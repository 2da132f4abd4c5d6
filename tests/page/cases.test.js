/** What Python does as well: tests/live/test_cases.py holds it to the same cases. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { formatCounting, formatCounts, formatDuration, formatRoughly, sizeInWords } from "../../hopx_magics/live/page/format.js";
import { Order } from "../../hopx_magics/live/page/order.js";
import { Store } from "../../hopx_magics/live/page/store.js";
import { elapsedInWords, nothingInWords, progressInWords, queuedInWords, stateInWords } from "../../hopx_magics/live/page/words.js";
import { casesOf, columnsOf, rowOf } from "./rows.js";

const NOW = 1_000_000;

test("durations", () => {
  for (const { seconds, over, counting, roughly } of casesOf("durations")) {
    assert.deepEqual([formatDuration(seconds), formatCounting(seconds), formatRoughly(seconds)], [over, counting, roughly]);
  }
});

test("sizes", () => {
  for (const { size, words } of casesOf("sizes")) assert.equal(sizeInWords(size), words);
});

test("counts", () => {
  for (const { counts, words } of casesOf("counts")) assert.equal(formatCounts(counts), words);
});

test("why there is nothing", () => {
  for (const { asked, listed, filters, words } of casesOf("nothing")) {
    assert.equal(nothingInWords(asked, listed, filters), words);
  }
});

test("why something is queued", () => {
  for (const { place, reason, words } of casesOf("queued")) assert.equal(queuedInWords(place, reason), words);
});

test("states in words", () => {
  for (const { seconds, state, elapsed_in_words, progress_in_words, ...fields } of casesOf("states")) {
    const runs = fields.status === "running" && !fields.paused;
    const began = runs && seconds !== null ? NOW - seconds : null;
    const row = rowOf({ ...fields, began, elapsed: runs ? null : seconds });
    assert.deepEqual(
      [stateInWords(row, NOW), elapsedInWords(row, NOW), progressInWords(row)],
      [state, elapsed_in_words, progress_in_words],
    );
  }
});

test("order", () => {
  const { now, rows: told, views } = casesOf("order");
  const metricsOf = ({ metrics = {} }) => Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, [1, value]]));
  const rows = told.map((row) => ({ ...row, metrics: metricsOf(row) }));
  for (const { view, ids } of views) {
    const store = new Store();
    store.reset(columnsOf(rows));
    const order = new Order(store);
    order.recall(view);
    order.rebuild(now);
    assert.deepEqual(order.items.map(({ slot }) => rows[slot].id), ids, JSON.stringify(view));
  }
});
