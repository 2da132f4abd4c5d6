/** What is said in words and figures, and how the columns share the room. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { columnOf, fitColumns, wantedColumns } from "../../hopx_magics/live/page/columns.js";
import { Known } from "../../hopx_magics/live/page/known.js";
import { curveOf } from "../../hopx_magics/live/page/sparkline.js";
import { formatClock, formatNumber, formatPercent, formatRelative } from "../../hopx_magics/live/page/format.js";
import { freshnessOf } from "../../hopx_magics/live/page/freshness.js";
import { sentencesOf } from "../../hopx_magics/live/page/notify.js";
import { noCounts } from "../../hopx_magics/live/page/store.js";
import { rowOf } from "./rows.js";

test("shares are rounded down: 100 % is all of it", () => {
  assert.deepEqual([0, 0.29, 0.999, 1, 7, null].map(formatPercent), ["0 %", "29 %", "99 %", "100 %", "100 %", ""]);
});

test("moments", () => {
  assert.equal(formatClock(new Date(2026, 2, 1, 14, 5, 9).getTime() / 1000), "2026-03-01 14:05:09");
  assert.deepEqual([formatClock(null), formatRelative(null, 0)], ["", ""]);
  const ago = [1, 2, 59.9, 60, 7300, -5].map((seconds) => formatRelative(1000 - seconds, 1000));
  assert.deepEqual(ago, ["now", "2 s ago", "59 s ago", "1 min ago", "2 h ago", "in 5 s"]);
});

test("of many ends only the counts are told", () => {
  const failed = { slot: 1, row: rowOf({ name: "train", status: "failed", elapsed: 185, exit_code: 1 }) };
  assert.deepEqual(sentencesOf([failed]), ["train failed after 3 min 5 s, exit 1"]);
  assert.deepEqual(sentencesOf(Array(4).fill(failed)), ["4 processes ended: 4 failed"]);
});

const CONNECTION = { name: "local", state: "live", updated: 990, since: null, error: null, interval: 1, ends: null };
const KNOWN = {
  ready: true, closed: false, kernel: "live", connections: [CONNECTION], counts: noCounts(), anyOpen: true, now: 1000,
  heard: 1000,
};

/** How fresh a table is whose knowledge differs so. */
function fresh(known, ...connections) {
  const given = connections.length ? { connections: connections.map((one) => ({ ...CONNECTION, ...one })) } : {};
  return freshnessOf({ ...KNOWN, ...given, ...known }).text;
}

test("how fresh the table is: the worst is said", () => {
  assert.equal(fresh({}), "live");
  assert.equal(fresh({}, { state: "polling", updated: 997 }), "updated 3 s ago");
  assert.equal(fresh({}, {}, { state: "silent", updated: 940.4 }, { state: "polling" }), "no answer for 1 min: retrying");
  assert.equal(fresh({}, { state: "connecting", updated: null }), "connecting…");
  assert.equal(fresh({ ready: false }), "connecting…");
  assert.equal(fresh({ kernel: "busy" }), "kernel busy");
  assert.equal(fresh({ anyOpen: false, counts: { ...noCounts(), failed: 1200 } }), "ended: 1,200 failed");
  assert.equal(fresh({ kernel: "gone" }, { ends: 1010 }), "kernel gone, run the cell again");
  assert.equal(fresh({ closed: true }), "closed");
  assert.equal(fresh({}, { ends: 1100.2 }, { name: "far", ends: 1059.9 }), "live, far expires in 1 min");
  assert.equal(fresh({}, { ends: 999 }), "live, local has expired");
});

test("what varies and the first metrics are columns, others when they are asked for", () => {
  const known = new Known();
  const wanted = (wishes = {}) =>
    wantedColumns({ known, connections: 1, chosen: {}, only: null, ...wishes }).map(({ key }) => key);
  known.see({ params: { lr: "0.1", epochs: "5" }, tags: { exp: "a" }, metrics: { acc: [1], loss: [1], a: [1], b: [1] } });
  known.see({ params: { lr: "0.2", epochs: "5" }, language: "python", exit_code: 0 });
  assert.deepEqual(wanted().slice(2, 6), ["param.lr", "metric.acc", "metric.loss", "metric.a"]);
  assert.deepEqual(known.groups, ["param.lr"]);
  assert.ok(!wanted().some((key) => ["exit_code", "language", "id"].includes(key)));
  known.see({ language: "bash", exit_code: 1, metrics: { "min loss": [1] } });
  known.rename(null, "fit");
  known.rename(null, "fit");
  assert.ok(["exit_code", "language", "id", "metric.min loss"].every((key) => wanted().includes(key)));
  known.rename("fit", "fit  lr=1");
  assert.ok(!wanted().includes("id"));
  const only = ["metric.b", "memory", "param.later"];
  assert.deepEqual(wanted({ only }), ["status", "name", "metric.b", "memory", "param.later", "actions"]);
  assert.ok(!wanted({ chosen: { gpu: true } }).includes("gpu"), "nothing of GPUs where no row was seen on one");
  assert.ok(wanted({ only, chosen: { "param.epochs": true } }).includes("param.epochs"));
  known.see({ metrics: Object.fromEntries(Array.from({ length: 10_000 }, (_, number) => [`wild ${number}`, [1]])) });
  assert.deepEqual([known.names.metric.size, known.leftOut], [200, true]);
});

test("wild metrics are bounded, and names that are those of columns are prefixed", () => {
  const known = new Known();
  for (let number = 0; number < 10_000; number += 1) known.see({ metrics: { [`m${number}`]: [1] } });
  assert.deepEqual([known.keys.length, known.leftOut], [200, true]);
  assert.equal(columnOf("metric.status").label, "metric.status");
  assert.equal(columnOf("metric."), undefined);
});

test("numbers, and curves of points with gaps", () => {
  const told = [0.123456, 1e-7, 123456.7, -20000, NaN, -Infinity, 3].map(formatNumber);
  assert.deepEqual(told, ["0.1235", "1e-7", "123,457", "-20,000", "nan", "-inf", "3"]);
  assert.equal(curveOf([1, 3, 2]), "M2.0 14.0L24.0 2.0L46.0 8.0");
  assert.equal(curveOf([1, NaN, 1, 1]), "M2.0 8.0M31.3 8.0L46.0 8.0");
  assert.equal(curveOf([1.7e308, 0, -1.7e308]), "M2.0 2.0L24.0 8.0L46.0 14.0");
});

test("columns find their room, and give way by their weight where it is narrow", () => {
  const known = new Known();
  const fit = (room, wishes = {}) => {
    const all = { room, chosen: {}, widths: {}, contents: {}, connections: 1, only: null, known, ...wishes };
    return fitColumns({ ...all, columns: wantedColumns(all) });
  };
  const keys = (placed) => placed.map(({ column }) => column.key);
  const sum = (placed) => placed.reduce((total, { width }) => total + width, 0);
  for (let room = 320; room < 2400; room += 40) assert.ok(sum(fit(room)) <= room, `${room}`);
  assert.deepEqual(keys(fit(1200)), ["status", "name", "progress", "elapsed", "last", "actions"]);
  assert.deepEqual(keys(fit(320)), ["status", "name", "elapsed", "actions"]);
  assert.ok(keys(fit(1200, { connections: 2 })).includes("connection"));
  assert.ok(!keys(fit(1200, { chosen: { last: false } })).includes("last"));
  assert.equal(fit(1200, { chosen: { id: true }, widths: { id: 133 } }).find(({ column }) => column.key === "id").width, 133);
});
