/** Numbers and times as people read them, and the words and signs of the statuses. Pure. */

/** @import { Status } from "./messages.js" */

/** @type {Status[]} in the order in which they are shown everywhere */
export const STATUSES = ["queued", "running", "completed", "failed", "killed", "unknown"];

/**
 * A number as one reads it in a table: four digits, large ones whole.
 * @param {number} value
 */
export function formatNumber(value) {
  if (Number.isNaN(value)) return "nan";
  const size = Math.abs(value);
  if (size === Infinity) return value > 0 ? "inf" : "-inf";
  return size >= 1e4 && size < 1e15 ? formatCount(Math.round(value)) : String(Number(value.toPrecision(4)));
}

/** @param {number} count a whole one, with its thousands set apart */
export function formatCount(count) {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @type {Record<Status, string>} */
export const ICONS = { queued: "◌", running: "▸", completed: "✓", failed: "✗", killed: "■", unknown: "?" };

const SIGNALS = [
  "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
];

/**
 * The signal that an exit code stands for: 128 + n, as shells tell that signal n has ended a process, or -n.
 * @param {number} code
 * @returns {string | null}
 */
export function signalName(code) {
  const name = SIGNALS[(code < 0 ? -code : code - 128) - 1];
  return name ? `SIG${name}` : null;
}

const UNITS = [
  { seconds: 86400, name: "d", smaller: 3600, smallerName: "h" },
  { seconds: 3600, name: "h", smaller: 60, smallerName: "min" },
  { seconds: 60, name: "min", smaller: 1, smallerName: "s" },
];

/** Seconds of the longest span: calendars end not far beyond. */
const LONGEST = 100 * 366 * 86400;

/** @param {number} seconds @returns {number} the nearest span that means something */
function bounded(seconds) {
  return Math.min(Math.max(0, seconds || 0), LONGEST);
}

/**
 * A span that is over: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "3 d 4 h"; "" when unknown.
 * @param {number | null} seconds
 */
export function formatDuration(seconds) {
  if (seconds === null) return "";
  const span = bounded(seconds);
  const tenths = Math.floor(span * 10 + 0.5);
  return tenths < 100 ? `${Math.floor(tenths / 10)}.${tenths % 10} s` : formatWhole(Math.floor(span + 0.5));
}

/**
 * A span that is still being counted, by the whole seconds that are over: "0 s", "59 s", "1 min", "3 min 5 s".
 * @param {number} seconds
 */
export function formatCounting(seconds) {
  return formatWhole(Math.floor(bounded(seconds)));
}

/**
 * A span that is only estimated, by its largest unit: "40 s", "2 min", "3 h".
 * @param {number} seconds
 */
export function formatRoughly(seconds) {
  const whole = Math.max(1, Math.floor(bounded(seconds) + 0.5));
  if (whole < 60) return `${whole} s`;
  if (whole < 5400) return `${Math.floor(whole / 60 + 0.5)} min`;
  if (whole < 129600) return `${Math.floor(whole / 3600 + 0.5)} h`;
  return `${Math.floor(whole / 86400 + 0.5)} d`;
}

/** @param {number} seconds */
function formatWhole(seconds) {
  const unit = UNITS.find((one) => seconds >= one.seconds);
  if (!unit) return `${seconds} s`;
  const rest = Math.floor((seconds % unit.seconds) / unit.smaller);
  const whole = `${Math.floor(seconds / unit.seconds)} ${unit.name}`;
  return rest ? `${whole} ${rest} ${unit.smallerName}` : whole;
}

/**
 * The moment in the reader's time zone: "2026-03-01 14:05:09"; "" when unknown.
 * @param {number | null | undefined} moment epoch seconds
 */
export function formatClock(moment) {
  if (moment === null || moment === undefined || !Number.isFinite(moment)) return "";
  const date = new Date(moment * 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * "now", "12 s ago", "3 min ago", "in 5 s".
 * @param {number | null | undefined} moment epoch seconds
 * @param {number} now epoch seconds of the same clock
 */
export function formatRelative(moment, now) {
  if (moment === null || moment === undefined || !Number.isFinite(moment)) return "";
  const ago = now - moment;
  if (Math.abs(ago) < 1.5) return "now";
  const [unit] = UNITS.filter((one) => Math.abs(ago) >= one.seconds);
  const size = Math.floor(Math.abs(ago) / (unit?.seconds ?? 1));
  const text = `${size} ${unit?.name ?? "s"}`;
  return ago > 0 ? `${text} ago` : `in ${text}`;
}

/**
 * "24 bytes", "1.2 kB", "14.9 GB", as `size_in_words` in `words.py`; "" when unknown.
 * @param {number | null | undefined} bytes
 */
export function sizeInWords(bytes) {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return "";
  let [size, unit] = [bytes, "bytes"];
  for (const larger of ["kB", "MB", "GB", "TB"]) {
    if (size < 999.5) break;
    [size, unit] = [size / 1000, larger];
  }
  return `${size < 999.5 ? Number(size.toPrecision(3)) : Math.round(size).toLocaleString("en-US")} ${unit}`;
}

/**
 * "37 %": rounded down, so that 100 % means all of it.
 * @param {number | null | undefined} share 0 to 1
 */
export function formatPercent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "";
  return `${Math.floor(Math.min(1, Math.max(0, share)) * 100 + 1e-9)} %`;
}

/**
 * "3 completed, 1 failed", in the order of the statuses; those that don't occur are left out.
 * @param {Partial<Record<Status, number>>} counts
 */
export function formatCounts(counts) {
  const told = STATUSES.filter((status) => counts[status]);
  return told.map((status) => `${formatCount(counts[status] ?? 0)} ${status}`).join(", ");
}
