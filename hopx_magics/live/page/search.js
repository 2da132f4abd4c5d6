/** What is written into the search: texts, and conditions such as `lr=0.1` and `loss<0.3`. Pure. `live/search.py` is the same. */
import { columnNamed, valueIn } from "./columns.js";

/** @import { Row } from "./messages.js" */
/** @typedef {(row: Row, now: number) => boolean} Condition */

const CONDITION = /(?:"([^"]+)"|([^\s"<>=!]+))\s*(<=|>=|!=|==?|<|>)\s*(?:"([^"]*)"|([^\s"<>=!]+))/g;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * What a text says as a number, null where it says none.
 * @param {string} text
 */
export function numberIn(text) {
  return NUMBER.test(text) ? Number(text) : null;
}

/**
 * @param {string} text @param {import("./known.js").Known} known
 * @returns {{words: string, conditions: Condition[], unknown: string[]}} `unknown`: names that no row has
 */
export function readSearch(text, known) {
  /** @type {Condition[]} */
  const conditions = [];
  /** @type {string[]} */
  const unknown = [];
  const words = text.replace(CONDITION, (whole, quoted, bare, operator, quotedValue, bareValue) => {
    const column = columnNamed(quoted ?? bare, known);
    if (column) conditions.push((row, now) => holds(valueIn(column, row, now), operator, quotedValue ?? bareValue));
    else unknown.push(quoted ?? bare);
    return column ? " " : whole;
  });
  return { words: words.trim().toLowerCase(), conditions, unknown };
}

/** @param {string | number | null} value @param {string} operator @param {string} wanted */
function holds(value, operator, wanted) {
  if (value === null) return operator === "!=";
  const [one, other] = [typeof value === "number" ? value : numberIn(value), numberIn(wanted)];
  const both = one !== null && other !== null;
  const equal = both ? one === other : String(value).toLowerCase() === wanted.toLowerCase();
  if (operator === "!=") return !equal;
  if (operator.startsWith("=")) return equal;
  if (!both) return false;
  return (operator.endsWith("=") && equal) || (operator.startsWith("<") ? one < other : one > other);
}
