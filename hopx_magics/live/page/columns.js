/** The columns: what they are called, how wide they want to be, and which give way where it is narrow. Pure. */

/** @import { Row } from "./messages.js" */
import { KINDS } from "./known.js";
import { elapsedAt } from "./store.js";

/**
 * @typedef {object} Column
 * @property {string} key the field of a row, or its kind and name: "param.lr"; and `data-column` in the page
 * @property {string} label
 * @property {"status" | "text" | "number" | "span" | "moment" | "share" | "param" | "tag" | "metric"} [kind] of its values
 * @property {number} width pixels that suit most contents
 * @property {number} least pixels under which it says nothing
 * @property {number} most pixels over which it gains nothing, while others could use them
 * @property {string} [short] the label where it is narrow
 * @property {boolean} [right] numbers stand right
 * @property {"chosen" | "differs"} [when] it is shown: only when chosen, or when rows differ in it; else always
 * @property {boolean} [fixed] always there
 */

/** @type {Column[]} */
export const COLUMNS = [
  { key: "status", label: "Status", kind: "status", width: 104, least: 92, most: 104, fixed: true },
  { key: "name", label: "Name", kind: "text", width: 150, least: 84, most: 420, fixed: true },
  { key: "progress", label: "Progress", kind: "share", short: "%", width: 176, least: 92, most: 240 },
  { key: "elapsed", label: "Elapsed", kind: "span", width: 92, least: 78, most: 100, right: true },
  { key: "started", label: "Started", kind: "moment", width: 104, least: 96, most: 104, when: "chosen" },
  { key: "exit_code", label: "Exit", kind: "number", width: 52, least: 46, most: 52, right: true, when: "differs" },
  { key: "cpu", label: "CPU", kind: "number", width: 70, least: 60, most: 70, right: true, when: "chosen" },
  { key: "memory", label: "Memory", kind: "number", width: 84, least: 76, most: 84, right: true, when: "chosen" },
  { key: "gpu", label: "GPU", kind: "number", width: 70, least: 60, most: 70, right: true, when: "chosen" },
  { key: "gpu_memory", label: "GPU memory", kind: "number", short: "GPU mem.", width: 104, least: 84, most: 104, right: true, when: "chosen" },
  { key: "language", label: "Language", kind: "text", width: 92, least: 88, most: 92, when: "differs" },
  { key: "id", label: "Process id", kind: "text", width: 118, least: 100, most: 150, when: "differs" },
  { key: "connection", label: "Connection", kind: "text", width: 110, least: 106, most: 160, when: "differs" },
  { key: "last", label: "Last line", kind: "text", width: 220, least: 100, most: 4000 },
  { key: "actions", label: "Actions", width: 84, least: 56, most: 84, fixed: true },
];

/** What all rows can be grouped by. */
export const GROUPS = ["status", "name", "connection"];

/** What columns are called in a DataFrame. @type {Record<string, string>} */
const FRAME_NAMES = { elapsed: "execution_time", cpu: "cpu_percent", memory: "memory_bytes", gpu: "gpu_percent", gpu_memory: "gpu_memory_bytes", id: "process_id" };
/** Where columns stand that not all tables have. */
const BEHIND_NAME = COLUMNS.findIndex(({ key }) => key === "name") + 1;
/** @type {Map<string, Column>} */
const madeColumns = new Map();

/**
 * The column of that key, also one that not all tables have: "param.lr", "tag.exp", "metric.loss".
 * @param {string} key
 * @returns {Column | undefined}
 */
export function columnOf(key) {
  const found = COLUMNS.find((column) => column.key === key) ?? madeColumns.get(key);
  const kind = KINDS.find((one) => key.startsWith(`${one}.`));
  if (found || !kind || key.length === kind.length + 1) return found;
  const name = key.slice(kind.length + 1);
  const label = COLUMNS.some((column) => column.key === name) ? key : name;
  const width = kind === "metric" ? { width: 116, least: 62, most: 130, right: true } : { width: 72, least: 48, most: 160 };
  /** @type {Column} */
  const column = { key, label, kind, ...width };
  madeColumns.set(key, column);
  return column;
}

/** @param {string} key @returns {string} the name of a parameter, tag or metric */
export function nameIn(key) {
  return key.slice(key.indexOf(".") + 1);
}

/**
 * The column that a person means: by its key or label, or by the bare name of what was given, or of a metric.
 * @param {string} name @param {import("./known.js").Known} known
 * @returns {Column | undefined}
 */
export function columnNamed(name, known) {
  const plain = COLUMNS.find(({ key, kind, label }) => kind && kind !== "moment" && (key === name || label.toLowerCase() === name || FRAME_NAMES[key] === name));
  if (plain) return plain;
  const keys = [name, ...KINDS.map((kind) => `${kind}.${name}`)];
  const key = keys.find((one) => KINDS.some((kind) => one.startsWith(`${kind}.`) && known.names[kind].has(nameIn(one))));
  return key === undefined ? undefined : columnOf(key);
}

/**
 * What a row has in a column, as people write it: a share in percent, a span in seconds.
 * @param {Column} column @param {Row} row @param {number} now
 * @returns {string | number | null}
 */
export function valueIn({ key, kind }, row, now) {
  if (kind === "param") return row.params[nameIn(key)] ?? null;
  if (kind === "tag") return row.tags[nameIn(key)] ?? null;
  if (kind === "metric") return metricIn(row, nameIn(key));
  if (kind === "span") return elapsedAt(row, now);
  if (kind === "share") return row.progress === null ? null : row.progress * 100;
  return /** @type {any} */ (row)[key];
}

/** @param {Row} row @param {string} name @returns {string | number | null} the last point: "nan" is a text */
function metricIn(row, name) {
  const value = row.metrics[name]?.at(-1);
  return value === undefined ? null : value === "NaN" ? "nan" : Number(value);
}

/**
 * All columns of a table, in their order.
 * @param {import("./known.js").Known} known @param {string[] | null} only an order that was asked for
 * @returns {Column[]}
 */
export function allColumns(known, only) {
  const keys = [...new Set([...known.keys, ...(only ?? [])])].filter((key) => !COLUMNS.some((column) => column.key === key));
  const own = keys.flatMap((key) => columnOf(key) ?? []);
  const all = [...COLUMNS.slice(0, BEHIND_NAME), ...own, ...COLUMNS.slice(BEHIND_NAME)]
    .filter(({ key }) => known.gpus || only?.includes(key) || (key !== "gpu" && key !== "gpu_memory"));
  if (!only) return all;
  const place = (/** @type {Column} */ { key }) => (key === "actions" ? Infinity : only.includes(key) ? only.indexOf(key) : key === "status" || key === "name" ? -1 : only.length);
  return all.map((column, index) => ({ column, index })).sort((a, b) => place(a.column) - place(b.column) || a.index - b.index)
    .map(({ column }) => column);
}

export const NARROWEST_COLUMN = 40;
/** Under this width rows keep to what matters most. */
export const NARROW = 480;
const NARROW_SAVES = 6;
/** @type {Record<string, number>} */
const NARROW_LEAST = { name: 70, progress: 54 };
const WHOLE = new Set(["status", "elapsed"]);

const GIVE_WAY = ["language", "id", "started", "cpu", "memory", "gpu", "gpu_memory", "tag", "exit_code", "last", "param", "connection", "metric", "progress", "elapsed"];
const MAKE_ROOM = ["language", "id", "started", "tag"];
/** @type {Record<string, number>} */
const COMFORT = { name: 190, progress: 110, last: 120 };
/** Pixels at which a column that not all tables have is cut, if there is no room. */
const OWN_LEAST = 74;
const TAKE_ROOM = ["last", "name", "progress"];

/**
 * Which columns are wanted: as chosen, else those that were asked for, else as it is by default.
 * @param {{known: import("./known.js").Known, connections: number, chosen: Record<string, boolean>, only: string[] | null}} wishes
 * @returns {Column[]}
 */
export function wantedColumns({ known, connections, chosen, only }) {
  const differs = {
    connection: connections > 1, language: known.languages.size > 1, id: known.sameTitles, exit_code: known.fails,
  };
  const { defaults } = known;
  return allColumns(known, only).filter(({ key, kind, when, fixed }) => {
    if (fixed) return true;
    if (key in chosen) return chosen[key];
    if (only) return only.includes(key);
    if (kind === "param" || kind === "tag" || kind === "metric") return defaults.includes(key);
    return when === "differs" ? differs[/** @type {keyof typeof differs} */ (key)] : !when;
  });
}

/**
 * The columns that find room, with their widths: first everything shrinks, then the less important leave,
 * then what is left over goes where it helps.
 * @param {{room: number, columns: Column[], chosen: Record<string, boolean>, widths: Record<string, number>,
 *   contents: Record<string, number>}} wishes `widths`: by hand; `contents`: as measured
 * @returns {{column: Column, width: number}[]}
 */
export function fitColumns({ room, columns, chosen, widths, contents }) {
  const narrow = room < NARROW;
  let fitting = columns.map((column) => ({
    column,
    least: widths[column.key] ?? leastOf(column, contents, narrow),
    comfort: widths[column.key] ?? comfortable(column, contents, narrow),
    width: widths[column.key] ?? preferred(column, contents, narrow),
  }));
  const leave = (/** @type {string[]} */ order, /** @type {"least" | "comfort"} */ field) => {
    const last = [...fitting].reverse();
    const leaving = order.flatMap((word) => last.filter(({ column }) => column.key === word || column.kind === word));
    for (const one of leaving) {
      if (sum(fitting, field) <= room) return;
      if (field === "least" || !chosen[one.column.key]) fitting = fitting.filter((other) => other !== one);
    }
  };
  leave(MAKE_ROOM, "comfort");
  leave(GIVE_WAY, "least");
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
  const comfort = column.key.includes(".") ? column.width : COMFORT[column.key];
  if (narrow || !comfort) return least;
  return Math.max(least, Math.min(preferred(column, contents, narrow), comfort));
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
  if (key.includes(".")) return Math.max(least, Math.min(contents[key] ?? least, OWN_LEAST));
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
