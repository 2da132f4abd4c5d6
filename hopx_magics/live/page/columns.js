/** The columns: what they are called, how wide they want to be, and which give way where it is narrow. Pure. */

/** @import { Row } from "./messages.js" */
/**
 * @typedef {object} Column
 * @property {keyof Row | "actions"} key the field of a row, and `data-column` in the page
 * @property {string} label
 * @property {"status" | "text" | "number" | "span" | "moment" | "share"} [kind] of its values
 * @property {number} width pixels that suit most contents
 * @property {number} least pixels under which it says nothing
 * @property {number} most pixels over which it gains nothing, while others could use them
 * @property {string} [short] the label where it is narrow
 * @property {boolean} [right] numbers stand right
 * @property {boolean} [optional] shown only when chosen
 * @property {boolean} [fixed] always there
 */

/** @type {Column[]} */
export const COLUMNS = [
  { key: "status", label: "Status", kind: "status", width: 104, least: 92, most: 104, fixed: true },
  { key: "name", label: "Name", kind: "text", width: 150, least: 84, most: 420, fixed: true },
  { key: "progress", label: "Progress", kind: "share", short: "%", width: 176, least: 92, most: 240 },
  { key: "elapsed", label: "Elapsed", kind: "span", width: 92, least: 78, most: 100, right: true },
  { key: "started", label: "Started", kind: "moment", width: 104, least: 96, most: 104 },
  { key: "exit_code", label: "Exit", kind: "number", width: 52, least: 46, most: 52, right: true },
  { key: "language", label: "Language", kind: "text", width: 92, least: 88, most: 92 },
  { key: "id", label: "Process id", kind: "text", width: 118, least: 100, most: 150 },
  { key: "connection", label: "Connection", kind: "text", width: 110, least: 106, most: 160 },
  { key: "last", label: "Last line", kind: "text", width: 220, least: 100, most: 4000, optional: true },
  { key: "actions", label: "Actions", width: 84, least: 56, most: 84, fixed: true },
];

/** What rows can be grouped by. */
export const GROUPS = ["status", "name", "connection"];

export const NARROWEST_COLUMN = 40;
/** Under this width rows keep to what matters most. */
export const NARROW = 480;
const NARROW_SAVES = 6;
/** @type {Record<string, number>} */
const NARROW_LEAST = { name: 70, progress: 54 };
const WHOLE = new Set(["status", "elapsed"]);

const GIVE_WAY = ["language", "id", "last", "started", "exit_code", "connection", "progress", "elapsed"];
const MAKE_ROOM = ["language", "id", "started"];
/** @type {Record<string, number>} */
const COMFORT = { name: 190, progress: 165, last: 160 };
const TAKE_ROOM = ["last", "name", "progress"];

/**
 * Whether a column is wanted: as chosen, else as it is by default.
 * @param {Column} column @param {Record<string, boolean>} chosen @param {number} connections
 */
export function isWanted(column, chosen, connections) {
  if (column.fixed) return true;
  if (column.key in chosen) return chosen[column.key];
  if (column.key === "connection") return connections > 1;
  return !column.optional;
}

/**
 * The columns that find room, with their widths: first everything shrinks, then the less important leave,
 * then what is left over goes where it helps.
 * @param {{room: number, chosen: Record<string, boolean>, widths: Record<string, number>,
 *   contents: Record<string, number>, connections: number}} wishes `widths`: by hand; `contents`: as measured
 * @returns {{column: Column, width: number}[]}
 */
export function fitColumns({ room, chosen, widths, contents, connections }) {
  const narrow = room < NARROW;
  let fitting = COLUMNS.filter((column) => isWanted(column, chosen, connections)).map((column) => ({
    column,
    least: widths[column.key] ?? leastOf(column, contents, narrow),
    comfort: widths[column.key] ?? comfortable(column, contents, narrow),
    width: widths[column.key] ?? preferred(column, contents, narrow),
  }));
  const without = (/** @type {string} */ key) => fitting.filter(({ column }) => column.key !== key);
  for (const key of MAKE_ROOM) {
    if (sum(fitting, "comfort") <= room) break;
    if (!chosen[key]) fitting = without(key);
  }
  for (const key of GIVE_WAY) {
    if (sum(fitting, "least") <= room) break;
    fitting = without(key);
  }
  shrink(fitting, sum(fitting, "width") - room, ({ comfort }) => comfort);
  shrink(fitting, sum(fitting, "width") - room, ({ least }) => least);
  grow(fitting, room - sum(fitting, "width"), narrow ? { ...widths, progress: 0 } : widths, contents);
  return fitting.map(({ column, width }) => ({ column, width: Math.floor(width) }));
}

/** @typedef {{column: Column, least: number, comfort: number, width: number}} Fitting */

/**
 * Where most names and the time that is left can be read whole.
 * @param {Column} column @param {Record<string, number>} contents @param {boolean} narrow
 */
function comfortable(column, contents, narrow) {
  const least = leastOf(column, contents, narrow);
  if (narrow || !(column.key in COMFORT)) return least;
  return Math.min(preferred(column, contents, narrow), COMFORT[column.key]);
}

/** @param {Column} column @param {Record<string, number>} contents @param {boolean} narrow */
function preferred(column, contents, narrow) {
  if (narrow && column.key !== "name") return leastOf(column, contents, narrow);
  if (WHOLE.has(column.key)) return leastOf(column, contents, narrow);
  const content = contents[column.key];
  return content ? Math.min(column.most, Math.max(column.least, content)) : column.width;
}

/**
 * The word of a status and a time that counts are never cut off: less than that says nothing.
 * @param {Column} column @param {Record<string, number>} contents @param {boolean} narrow
 */
function leastOf({ key, least, width }, contents, narrow) {
  if (key === "actions" && !narrow) return width;
  if (narrow && key in NARROW_LEAST) return NARROW_LEAST[key];
  return WHOLE.has(key) && contents[key] ? contents[key] - (narrow ? NARROW_SAVES : 0) : least;
}

/**
 * Takes what is missing from all columns that are wider than they must be, each in proportion to what it can give.
 * @param {Fitting[]} fitting @param {number} missing @param {(one: Fitting) => number} limitOf
 */
function shrink(fitting, missing, limitOf) {
  const slacks = fitting.map((one) => Math.max(0, one.width - limitOf(one)));
  const slack = slacks.reduce((total, one) => total + one, 0);
  if (missing <= 0 || !slack) return;
  const share = Math.min(1, missing / slack);
  fitting.forEach((one, index) => (one.width -= slacks[index] * share));
}

/**
 * @param {Fitting[]} fitting @param {number} left
 * @param {Record<string, number>} widths @param {Record<string, number>} contents
 */
function grow(fitting, left, widths, contents) {
  const free = TAKE_ROOM.map((key) => fitting.find(({ column }) => column.key === key && !(key in widths)));
  let rest = left;
  for (const one of free) {
    if (!one || rest <= 0) continue;
    const most = one.column.key === "name" ? Math.max(contents.name ?? 0, one.width) : one.column.most;
    const more = Math.min(rest, Math.max(0, most - one.width));
    one.width += more;
    rest -= more;
  }
  const name = fitting.find(({ column }) => column.key === "name");
  if (name && rest > 0) name.width += rest;
}

/** @param {Fitting[]} fitting @param {"least" | "comfort" | "width"} field */
function sum(fitting, field) {
  return fitting.reduce((total, one) => total + one[field], 0);
}
