/** The cells of a row: built once, then changed in place and only where they differ. */
import { nameIn } from "./columns.js";
import { drawing, el, setAttribute, setText } from "./dom.js";
import { ICONS, sizeInWords, formatClock, formatCount, formatNumber, formatPercent, formatRelative } from "./format.js";
import { sparkline } from "./sparkline.js";
import { givenOf, isOpenStatus, titleOf } from "./store.js";
import { elapsedInWords, leftInWords, progressInWords, queuedInWords, statusInWords } from "./words.js";

/** @import { Row } from "./messages.js" */
/**
 * @typedef {object} Surroundings what a cell's text depends on beside its row
 * @property {number} now the kernel's clock
 * @property {boolean} reachable whether the button of the row can be reached by Tab
 * @property {boolean} copied whether the id of this row has just been copied
 * @property {number | undefined} place in the queue of its agent
 * @property {import("./known.js").Known} known what the rows have
 * @property {string | undefined} found the line of its output in which the search is
 * @typedef {Record<string, any>} Parts the elements of a cell that change
 * @typedef {{build: () => Parts, paint: (parts: Parts, row: Row, around: Surroundings) => void}} CellKind
 */

/** Characters of what a process was given that are always seen: where there is no room, the middle is cut. */
const GIVEN_END = 8;

/** @param {(row: Row, around: Surroundings) => string} read @param {(row: Row) => string} [hover] @returns {CellKind} */
function textCell(read, hover) {
  return {
    build: () => ({ cell: el("div", {}) }),
    paint: ({ cell }, row, around) => {
      const text = read(row, around);
      setText(cell, text);
      setAttribute(cell, "title", (hover ? hover(row) : text) || null);
    },
  };
}

/** @type {CellKind} */
const statusCell = {
  build: () => {
    const icon = el("span", { class: "hopx-icon", "aria-hidden": "true" });
    const word = el("span", { class: "hopx-word" });
    return { cell: el("div", {}, icon, word), icon, word };
  },
  paint: ({ cell, icon, word }, row, { place }) => {
    setText(icon, ICONS[row.status]);
    setText(word, statusInWords(row));
    setAttribute(cell, "data-status", row.status);
    setAttribute(cell, "title", (row.status === "queued" ? queuedInWords(place, row.detail) : row.detail) || statusInWords(row));
  },
};

/** @type {CellKind} */
const nameCell = {
  build: () => {
    const name = el("span", { class: "hopx-name" });
    const [given, end, rest] = ["hopx-given", "hopx-given-end", "hopx-given-rest"].map((name) => el("span", { class: name }));
    const button = el("button", { type: "button", class: "hopx-action hopx-has", "data-action": "displays", tabindex: "-1" });
    button.append(drawing("displays"));
    return { cell: el("div", {}, name, given, end, rest, button), name, given, end, rest, button };
  },
  paint: ({ cell, name, given, end, rest, button }, row, { reachable, known }) => {
    const [told, others] = [givenOf(row, known.varies), givenOf(row, (one) => !known.varies(one))];
    const middle = Math.max(0, told.length - GIVEN_END);
    setText(name, row.name || row.id);
    setText(given, told.slice(0, middle));
    setText(end, told.slice(middle));
    setText(rest, others && (told ? ` ${others}` : others));
    setAttribute(cell, "title", titleOf(row));
    setAttribute(button, "hidden", row.displays ? null : "");
    if (row.displays) label(button, `Displays of ${titleOf(row)}`, "Its displays", reachable);
    setAttribute(cell, "data-unnamed", row.name ? null : "");
  },
};

/** @type {CellKind} */
const progressCell = {
  build: () => {
    const done = el("div", { class: "hopx-done" });
    const bar = el("div", { class: "hopx-bar", "aria-hidden": "true" }, done);
    const percent = el("span", { class: "hopx-percent" });
    const left = el("span", { class: "hopx-left" });
    const turn = el("span", { class: "hopx-turn" });
    const why = el("span", { class: "hopx-why" });
    const queued = el("span", { class: "hopx-queued" }, turn, why);
    return { cell: el("div", {}, bar, percent, left, queued), bar, done, percent, left, queued, turn, why };
  },
  paint: ({ cell, bar, done, percent, left, queued, turn, why }, row, { place }) => {
    const waits = row.status === "queued" ? queuedInWords(place, row.detail) : "";
    setAttribute(queued, "hidden", !waits);
    setText(turn, waits && queuedInWords(place, null));
    setText(why, waits.slice(turn.textContent.length));
    const known = row.progress !== null;
    setAttribute(bar, "hidden", !known);
    setAttribute(bar, "data-status", row.status);
    const width = `${known ? Math.round(Math.min(1, Math.max(0, /** @type {number} */ (row.progress))) * 1000) / 10 : 0}%`;
    if (done.style.width !== width) done.style.width = width;
    setText(percent, formatPercent(row.progress));
    setText(left, leftInWords(row));
    setAttribute(cell, "title", waits || progressInWords(row) || null);
  },
};

/** @type {CellKind} */
const idCell = {
  build: () => {
    const button = el("button", { type: "button", class: "hopx-id", "data-action": "copy-id", tabindex: "-1" });
    return { cell: el("div", {}, button), button };
  },
  paint: ({ cell, button }, row, { reachable, copied }) => {
    setText(button, copied ? "copied" : row.id);
    setAttribute(cell, "title", row.id);
    setAttribute(button, "aria-label", `Copy process id ${row.id}`);
    setAttribute(button, "tabindex", reachable ? "0" : "-1");
  },
};

/** The last line, or that in which the search was found. @type {CellKind} */
const lastCell = {
  build: () => ({ cell: el("div", {}) }),
  paint: ({ cell }, row, { found }) => {
    setText(cell, found ?? row.last);
    setAttribute(cell, "title", (found ?? row.last) || null);
    setAttribute(cell, "data-found", found === undefined ? null : "");
  },
};

/** @type {CellKind} */
const actionsCell = {
  build: () => {
    const button = (/** @type {"open" | "kill" | "rerun" | "copy"} */ action) =>
      el("button", { type: "button", class: "hopx-action", "data-action": action, tabindex: "-1" }, drawing(action));
    const [open, kill, rerun, copy] = [button("open"), button("kill"), button("rerun"), button("copy")];
    return { cell: el("div", {}, kill, rerun, open, copy), open, kill, rerun, copy };
  },
  paint: ({ open, kill, rerun, copy }, row, { reachable }) => {
    const title = titleOf(row);
    label(open, `Open ${title}`, "Open output (Enter)", reachable);
    label(copy, `Copy id of ${title}`, `Copy ${row.id}`, reachable);
    label(kill, `Kill ${title}`, "Kill (k)", reachable);
    label(rerun, `Launch ${title} again`, "Launch again (r)", reachable);
    const killable = isKillable(row);
    setAttribute(kill, "hidden", killable ? null : "");
    setAttribute(rerun, "hidden", killable ? "" : null);
  },
};

/** @param {Element} button @param {string} name @param {string} hover @param {boolean} reachable */
function label(button, name, hover, reachable) {
  setAttribute(button, "aria-label", name);
  setAttribute(button, "title", hover);
  setAttribute(button, "tabindex", reachable ? "0" : "-1");
}

/**
 * Whether there may be something to kill.
 * @param {Row} row
 */
export function isKillable(row) {
  return isOpenStatus(row.status) || row.status === "unknown" || row.leftovers > 0;
}

/** @type {Record<string, CellKind>} */
const CELLS = {
  status: statusCell,
  name: nameCell,
  progress: progressCell,
  elapsed: textCell((row, { now }) => elapsedInWords(row, now)),
  started: textCell((row, { now }) => startedText(row, now), (row) => formatClock(row.started)),
  exit_code: textCell((row) => (row.exit_code === null ? "" : String(row.exit_code))),
  language: textCell((row) => row.language ?? ""),
  id: idCell,
  cpu: textCell((row) => (row.cpu === null ? "" : `${formatCount(row.cpu)} %`)),
  gpu: textCell((row) => (row.gpu === null ? "" : `${formatCount(row.gpu)} %`)),
  gpu_memory: textCell((row) => (row.gpu_memory === null ? "" : sizeInWords(row.gpu_memory)), (row) => (isOpenStatus(row.status) ? "" : "the most that it took")),
  memory: textCell((row) => (row.memory === null ? "" : sizeInWords(row.memory)), (row) => (isOpenStatus(row.status) ? "" : "the most that it took")),
  connection: textCell((row) => row.connection),
  last: lastCell,
  actions: actionsCell,
};

/** @type {Map<string, CellKind>} of columns that not all tables have */
const ownCells = new Map();

/** @param {string} key of a column @returns {CellKind} */
export function cellOf(key) {
  const known = CELLS[key] ?? ownCells.get(key);
  if (known) return known;
  const made = key.startsWith("metric.") ? metricCell(nameIn(key)) : textCell((row) => givenText(key, row));
  ownCells.set(key, made);
  return made;
}

/** @param {string} key @param {Row} row */
function givenText(key, row) {
  return (key.startsWith("param.") ? row.params : row.tags)[nameIn(key)] ?? "";
}

/** @param {string} name @returns {CellKind} */
function metricCell(name) {
  return {
    build: () => {
      const curve = sparkline();
      const number = el("span", { class: "hopx-number" });
      return { cell: el("div", {}, curve.picture, number), curve, number };
    },
    paint: ({ cell, curve, number }, row) => {
      const points = row.metrics[name] ?? [];
      curve.draw(points);
      setText(number, points.length ? formatNumber(Number(points[points.length - 1])) : "");
      const more = row.metrics_cut ? "\nIt has more metrics: 100 are followed" : "";
      setAttribute(cell, "title", points.length ? `${name}: ${points[points.length - 1]}${more}` : null);
    },
  };
}

/**
 * How long ago it started. The agent's clock may differ from the kernel's: where the start is known by both,
 * the kernel's is compared with the kernel's.
 * @param {Row} row @param {number} now
 */
function startedText(row, now) {
  if (row.started === null) return "";
  return formatRelative(row.status === "running" && row.began !== null ? row.began : row.started, now);
}

/**
 * What a cell says as one text, to measure how wide it would like to be.
 * @param {string} key @param {Row} row @param {number} now
 */
export function cellText(key, row, now) {
  if (key === "status") return `${ICONS[row.status]}  ${statusInWords(row)}`;
  if (key === "started") return startedText(row, now);
  if (key === "elapsed") return elapsedInWords(row, now);
  if (key.startsWith("metric.")) return row.metrics[nameIn(key)]?.length ? formatNumber(Number(row.metrics[nameIn(key)].at(-1))) : "";
  if (key.includes(".")) return givenText(key, row);
  if (key === "memory" || key === "gpu_memory") return row[key] === null ? "" : sizeInWords(Number(row[key]));
  const value = /** @type {any} */ (row)[key];
  return value === null || value === undefined ? "" : String(value);
}
