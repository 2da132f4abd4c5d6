/** Processes in words: as `live/text.py` and `display/in_words.py` say them. Pure. */
import { formatCount, formatCounting, formatDuration, formatPercent, formatRoughly, signalName } from "./format.js";
import { elapsedAt } from "./store.js";

/** @import { Row } from "./messages.js" */

/** @type {Partial<Record<import("./messages.js").Status, string>>} */
const BEFORE_SPAN = { running: "running for", completed: "completed in", failed: "failed after", killed: "killed after" };
const NO_PROCESSES = "No processes yet. %%hopx_bg launches one.";

/**
 * How long it has been running, or has run.
 * @param {Row} row @param {number} now the kernel's clock
 */
export function elapsedInWords(row, now) {
  const elapsed = elapsedAt(row, now);
  return row.status === "running" && elapsed !== null ? formatCounting(elapsed) : formatDuration(elapsed);
}

/**
 * "2 min left", or of what prints nothing of its progress "usually 4 min"; "" when nobody knows.
 * @param {Row} row
 */
export function leftInWords(row) {
  if (row.status !== "running") return "";
  if (row.progress === null) return row.usual;
  return row.left === null ? "" : `${formatRoughly(row.left)} left`;
}

/**
 * "37 %, 2 min left", "usually 4 min", or "".
 * @param {Row} row
 */
export function progressInWords(row) {
  return [row.progress === null ? "" : formatPercent(row.progress), leftInWords(row)].filter(Boolean).join(", ");
}

/**
 * Why there is nothing to show: the connections `asked` have not answered yet, or none of those `listed` is meant.
 * @param {string[]} asked @param {number} listed @param {string} filters which processes were asked for
 */
export function nothingInWords(asked, listed, filters) {
  if (asked.length) return `asking ${asked.join(", ")} ...`;
  return listed && filters ? `none of ${formatCount(listed)} matches ${filters}` : NO_PROCESSES;
}

/**
 * That no row has something of a name, and which names are like it.
 * @param {string} name @param {import("./known.js").Known} known
 */
export function unknownInWords(name, known) {
  const names = Object.values(known.names).flatMap((kind) => [...kind.keys()]);
  const near = names.map((one) => ({ one, far: editsBetween(one.toLowerCase(), name.toLowerCase()) }))
    .filter(({ one, far }) => far <= Math.max(1, one.length / 3)).sort((a, b) => a.far - b.far).slice(0, 3);
  const hint = near.length ? `: did you mean ${near.map(({ one }) => one).join(" or ")}?` : "";
  return `no row has ${name.slice(0, 40)}${hint}`;
}

/** @param {string} a @param {string} b @returns {number} letters to be changed, at least */
function editsBetween(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...a].entries()) {
    const next = [index + 1];
    for (let at = 0; at < b.length; at += 1) {
      next.push(Math.min(next[at] + 1, row[at + 1] + 1, row[at] + Number(letter !== b[at])));
    }
    row = next;
  }
  return row[b.length];
}

/**
 * Where something stands in its agent's queue, and why it waits: "place 3: 4 of 4 running on this machine".
 * @param {number | undefined} place @param {string | null} reason
 */
export function queuedInWords(place, reason) {
  return [place ? `place ${formatCount(place)}` : "", reason].filter(Boolean).join(": ");
}

/**
 * The state with its time and reason: "running for 12 s", "paused after 12 s", "failed after 3.2 s, exit 1 (out of memory)".
 * @param {Row} row @param {number} now the kernel's clock
 */
export function stateInWords(row, now) {
  const span = elapsedInWords(row, now);
  if (row.paused && row.status === "running") return span ? `paused after ${span}` : "paused";
  const before = BEFORE_SPAN[row.status];
  const state = span && before ? `${before} ${span}` : row.status;
  const leftovers = row.leftovers ? `, ${formatCount(row.leftovers)} left running` : "";
  return state + reasonInWords(row) + leftovers;
}

/**
 * What stands behind a status: ", exit 1", ", SIGSEGV", " (timed out after 2 s)", ", exit 1 (out of quota)". Of a signal
 * its reason says all, where there is one: a time limit is one, and ends by a signal.
 * @param {Row} row
 */
function reasonInWords(row) {
  const reason = row.detail ? ` (${row.detail})` : "";
  if (row.status !== "failed" || row.exit_code === null) return reason;
  if (!signalName(row.exit_code)) return `, ${exitInWords(row)}${reason}`;
  return reason || `, ${exitInWords(row)}`;
}

/**
 * "exit 1", "SIGSEGV", "" while nobody knows.
 * @param {Row} row
 */
export function exitInWords(row) {
  return row.exit_code === null ? "" : (signalName(row.exit_code) ?? `exit ${row.exit_code}`);
}

/**
 * The status, with a mark where the process has left others running: "completed, 2 left"; "paused" if it is.
 * @param {Row} row
 */
export function statusInWords(row) {
  if (row.paused && row.status === "running") return "paused";
  return row.leftovers ? `${row.status}, ${formatCount(row.leftovers)} left` : row.status;
}
