/** Rows and cases for the tests. */
import { readFileSync } from "node:fs";

const NOTHING = {
  id: "proc_1", connection: "local", name: null, status: "running", detail: null, language: null, started: null,
  ended: null, began: null, elapsed: null, exit_code: null, progress: null, left: null, last: "", skipped: 0, leftovers: 0,
  paused: false, first: false, displays: false, params: {}, tags: {}, metrics: {}, metrics_cut: false, cpu: null,
  memory: null, gpu: null, gpu_memory: null, usual: "",
};

/** A row of which only some fields are given. */
export function rowOf(fields) {
  return { ...NOTHING, ...fields };
}

/** What a reset tells: one array a field. */
export function columnsOf(rows) {
  const columns = { slot: rows.map((_, slot) => slot) };
  for (const field of Object.keys(NOTHING)) columns[field] = rows.map((row) => rowOf(row)[field]);
  return columns;
}

/** Cases that Python has, too. */
export function casesOf(name) {
  return JSON.parse(readFileSync(new URL(`../cases/${name}.json`, import.meta.url), "utf-8"));
}
