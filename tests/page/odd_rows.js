/** Shows rows that tests/live/test_odd_listings.py has made: `node odd_rows.js ROWS.json NOW`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { cellText } from "../../hopx_magics/live/page/cells.js";
import { Order } from "../../hopx_magics/live/page/order.js";
import { Store } from "../../hopx_magics/live/page/store.js";
import { elapsedInWords, leftInWords, progressInWords, stateInWords } from "../../hopx_magics/live/page/words.js";

const [path, moment] = process.argv.slice(2);
const columns = JSON.parse(readFileSync(path, "utf-8"));
const now = Number(moment);
const store = new Store();
store.reset(columns);
assert.equal(store.rows.size, columns.slot.length);

for (const row of store.rows.values()) {
  const said = [elapsedInWords(row, now), leftInWords(row), progressInWords(row), cellText("elapsed", row, now)];
  said.push(cellText("exit_code", row, now), cellText("started", row, now));
  for (const text of said) assert.doesNotMatch(text, /NaN|Infinity|undefined|null|e\+|\d{25}/);
  assert.ok(stateInWords(row, now));
}

for (const sort of ["progress", "-elapsed", "started", "exit_code", "-name"]) {
  const order = new Order(store);
  order.recall({ sort: [sort] });
  order.rebuild(now);
  assert.equal(order.items.length, store.rows.size);
}
