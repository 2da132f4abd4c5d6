/** Processes in words: as `live/text.py` and `display/in_words.py` say them. Pure. */
import { formatCounting, formatDuration, formatPercent, formatRoughly } from "./format.js";
import { elapsedAt } from "./store.js";

/** @import { Row } from "./messages.js" */

/** @type {Partial<Record<import("./messages.js").Status, string>>} */
const BEFORE_SPAN = { running: "running for", completed: "completed in", failed: "failed after", killed: "killed after" };

/**
 * How long it has been running, or has run.
 * @param {Row} row @param {number} now the kernel's clock
 */
export function elapsedInWords(row, now) {
  const elapsed = elapsedAt(row, now);
  return row.status === "running" && elapsed !== null ? formatCounting(elapsed) : formatDuration(elapsed);
}

/**
 * "2 min left", "" when nobody knows.
 * @param {Row} row
 */
export function leftInWords(row) {
  return row.left !== null && row.status === "running" ? `${formatRoughly(row.left)} left` : "";
}

/**
 * "37 %, 2 min left", or "".
 * @param {Row} row
 */
export function progressInWords(row) {
  return row.progress === null ? "" : [formatPercent(row.progress), leftInWords(row)].filter(Boolean).join(", ");
}

/**
 * The state with its time and reason: "running for 12 s", "failed after 3.2 s, exit 1 (out of memory)".
 * @param {Row} row @param {number} now the kernel's clock
 */
export function stateInWords(row, now) {
  const span = elapsedInWords(row, now);
  const before = BEFORE_SPAN[row.status];
  const state = span && before ? `${before} ${span}` : row.status;
  const exit = row.status === "failed" && row.exit_code !== null ? `, exit ${row.exit_code}` : "";
  return state + exit + (row.detail ? ` (${row.detail})` : "");
}
