/** What a column sorts by, and sorted lists that stay sorted at the cost of what changed. Pure. */
import { STATUSES } from "./format.js";
import { elapsedAt } from "./store.js";

/** @import { Row } from "./messages.js" */

/** @typedef {string | number | null} Key */

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const NOT_STARTED = Number.POSITIVE_INFINITY;

/** @type {Record<string, (row: Row, now: number) => Key>} */
export const SORT_KEYS = {
  status: (row) => STATUSES.indexOf(row.status),
  name: (row) => row.name || null,
  progress: (row) => row.progress,
  elapsed: (row, now) => elapsedAt(row, now),
  started: (row) => row.started ?? (row.status === "queued" ? NOT_STARTED : null),
  exit_code: (row) => row.exit_code,
  language: (row) => row.language,
  id: (row) => row.id,
  connection: (row) => row.connection,
  last: (row) => row.last || null,
};

/**
 * What is unknown comes last, whichever way the rest is sorted.
 * @param {Key} a @param {Key} b @param {boolean} reverse
 */
export function compareKeys(a, b, reverse) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  const order = typeof a === "string" || typeof b === "string" ? compareText(String(a), String(b)) : a - b;
  return reverse ? -order : order;
}

/**
 * As people sort names: "run 9" before "run 10"; names that only differ in case are still two.
 * @param {string} a @param {string} b
 */
export function compareText(a, b) {
  return collator.compare(a, b) || Number(a > b) - Number(a < b);
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
