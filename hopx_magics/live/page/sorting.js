/** What a column sorts by, and sorted lists that stay sorted at the cost of what changed. Pure. */
import { STATUSES } from "./format.js";
import { valueIn } from "./columns.js";
import { numberIn } from "./search.js";
import { elapsedAt } from "./store.js";

/** @import { Column } from "./columns.js" */
/** @import { Row } from "./messages.js" */
/** @typedef {string | number | null} Key */

/** @typedef {{column: Pick<Column, "key" | "kind"> | {key: "standing" | "newest"}, reverse: boolean}} Level */

/** Without any sorting, and where all else is the same: what runs, what waits in its order, what has ended. @type {Level[]} */
export const DEFAULT_ORDER = [
  { column: { key: "standing" }, reverse: false },
  { column: { key: "newest" }, reverse: true },
];
/** @type {Partial<Record<import("./messages.js").Status, number>>} */
const STANDINGS = { running: 0, queued: 1 };
const ENDED_STANDING = 2;

/**
 * What a row is sorted by in a column; null when it is unknown. What waits to be started is newer than all else.
 * @param {Level["column"]} column @param {Row} row @param {number} now
 * @returns {Key}
 */
export function sortKey(column, row, now) {
  if (column.key === "standing") return STANDINGS[row.status] ?? ENDED_STANDING;
  if (column.key === "newest") return row.status === "queued" ? Number(row.first) : row.started ?? row.ended;
  const { kind } = /** @type {Column} */ (column);
  if (kind === "status") return STATUSES.indexOf(row.status);
  if (kind === "span") return elapsedAt(row, now);
  if (kind === "moment") return row.started ?? (row.status === "queued" ? Infinity : null);
  const value = kind === "share" ? row.progress : valueIn(/** @type {Column} */ (column), row, now);
  if (kind === "param" || kind === "tag") return numberIn(String(value ?? "")) ?? (naturalKey(String(value ?? "")) || null);
  if (kind === "metric") return typeof value === "number" ? value : null;
  return typeof value === "string" ? naturalKey(value) || null : Number.isFinite(value) ? Number(value) : null;
}

/**
 * What is unknown comes last, whichever way the rest is sorted.
 * @param {Key} a @param {Key} b @param {boolean} reverse
 */
export function compareKeys(a, b, reverse) {
  if (a === b) return 0;
  if (a === null) return 1;
  if (b === null) return -1;
  const before = typeof a === typeof b ? a < b : typeof a === "number";
  return before === reverse ? 1 : -1;
}

/**
 * As people sort names: "run 9" before "Run 10"; names that only differ in case are still two.
 * @param {string} a @param {string} b
 */
export function compareText(a, b) {
  return compareKeys(naturalKey(a), naturalKey(b), false) || compareKeys(a, b, false);
}

/**
 * Texts by their code units, in lower case, but with numbers by their size.
 * @param {string} text
 */
function naturalKey(text) {
  return text.toLowerCase().replace(/[0-9]+/g, (digits) => digits.padStart(20, "0"));
}

/** @template T @param {T[]} list @param {(a: T, b: T) => number} compare */
export function isSorted(list, compare) {
  for (let index = 1; index < list.length; index += 1) {
    if (compare(list[index - 1], list[index]) > 0) return false;
  }
  return true;
}

/**
 * Two sorted lists in one. Few come into many: their places are searched, the rest is copied.
 * @template T @param {T[]} many @param {T[]} few @param {(a: T, b: T) => number} compare
 */
export function insertSorted(many, few, compare) {
  if (!few.length) return many;
  /** @type {T[]} */
  const merged = [];
  let from = 0;
  for (const one of few) {
    const place = placeFor(one, many, from, compare);
    for (; from < place; from += 1) merged.push(many[from]);
    merged.push(one);
  }
  for (; from < many.length; from += 1) merged.push(many[from]);
  return merged;
}

/** @template T @param {T} one @param {T[]} many @param {number} from @param {(a: T, b: T) => number} compare */
function placeFor(one, many, from, compare) {
  let low = from;
  let high = many.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(many[middle], one) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
