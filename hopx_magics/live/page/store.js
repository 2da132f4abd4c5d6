/** The processes that a table knows, as the kernel told them. Pure: no page, no clock. */
import { STATUSES } from "./format.js";
import { Known } from "./known.js";

/** @import { Changes, Row, Status } from "./messages.js" */
/** @typedef {{slot: number[]} & {[Field in keyof Row]: Row[Field][]}} Columns all rows, as one array per field */

const OPEN_STATUSES = new Set(["queued", "running"]);
/** @type {Row} */
const EMPTY_ROW = {
  id: "", connection: "", name: null, status: "unknown", detail: null, language: null, started: null, ended: null,
  began: null, elapsed: null, exit_code: null, progress: null, left: null, last: "", skipped: 0, leftovers: 0,
  paused: false, first: false, displays: false, params: {}, tags: {}, metrics: {}, metrics_cut: false, cpu: null,
  memory: null, gpu: null, gpu_memory: null, usual: "",
};
/** Points of a metric that are kept. */
const POINTS = 60;

/**
 * Whether a process with this status may still change.
 * @param {string} status
 */
export function isOpenStatus(status) {
  return OPEN_STATUSES.has(status);
}

/**
 * Seconds that a process has run, at a moment of the kernel's clock; null when nobody knows.
 * @param {Row} row @param {number} now
 */
export function elapsedAt(row, now) {
  if (row.status === "running" && row.began !== null) return Math.max(0, now - row.began);
  return row.elapsed;
}

/**
 * What a process was given, by which it is told from others: "lr=0.1 seed=2".
 * @param {Row} row @param {(name: string) => boolean} [isMeant] of which parameters that is to be told
 */
export function givenOf(row, isMeant = () => true) {
  return Object.entries(row.params).filter(([name]) => isMeant(name)).map(([name, value]) => `${name}=${value}`).join(" ");
}

/**
 * What a process is called: "fit  lr=0.1 seed=2".
 * @param {Row} row
 */
export function titleOf(row) {
  return [row.name || row.id, givenOf(row)].filter(Boolean).join("  ");
}

/**
 * The points of metrics with those that came.
 * @param {Row["metrics"]} before @param {Row["metrics"]} told
 */
function withPoints(before, told) {
  const after = { ...before };
  for (const [name, points] of Object.entries(told)) after[name] = (before[name] ?? []).concat(points).slice(-POINTS);
  return after;
}

/**
 * @typedef {{slot: number[]} & Record<string, any>} Alike rows of which the same is told: a list a field, and of a field
 *   that has names itself a list a name
 */

/**
 * The fields of each of the rows that are told alike.
 * @param {Alike} alike @returns {[number, Partial<Row>][]}
 */
function changesIn({ slot, ...fields }) {
  return slot.map((one, place) => [one, fieldsAt(fields, place)]);
}

/** @param {Record<string, any>} named @param {number} place @returns {Partial<Row>} */
function fieldsAt(named, place) {
  return Object.fromEntries(Object.entries(named).map(([name, values]) => [name, Array.isArray(values) ? values[place] : fieldsAt(values, place)]));
}

export class Store {
  /** @type {Map<number, number> | null} null: to be found out anew */
  #queue = null;

  constructor() {
    /** @type {Map<number, Row>} */
    this.rows = new Map();
    /** @type {string[]} */
    this.connections = [];
    this.known = new Known();
    this.ready = false;
    /** @type {Record<Status, number>} */
    this.counts = noCounts();
    /** @type {Set<(slots: Set<number> | null) => void>} */
    this.listeners = new Set();
    /** @type {Set<(rows: {slot: number, row: Row}[]) => void>} */
    this.endListeners = new Set();
  }

  /**
   * All rows anew.
   * @param {Columns} columns
   */
  reset(columns) {
    const before = this.rows;
    const { slot: slots, ...fields } = columns;
    const named = Object.entries(fields);
    this.rows = new Map();
    this.known = new Known();
    this.counts = noCounts();
    slots.forEach((slot, index) => {
      const row = /** @type {any} */ ({ ...EMPTY_ROW });
      for (const [field, values] of named) row[field] = values[index];
      this.#add(slot, row);
      this.known.see(row);
      this.known.rename(null, titleOf(row));
    });
    this.ready = true;
    this.#tellEnds([...this.rows].filter(([slot, row]) => hasEnded(before.get(slot), row)));
    this.#tell(null);
  }

  /** What the kernel tells of rows. @param {Changes & {buffers: DataView[]}} changes */
  take({ gone, buffers }) {
    /** @type {Alike[]} */
    const rows = JSON.parse(new TextDecoder().decode(buffers[0]));
    this.apply(rows.flatMap(changesIn), gone);
  }

  /**
   * Changed fields of some rows, new rows with all of theirs, and rows that are no more.
   * @param {[number, Partial<Row>][]} changes @param {number[]} gone
   */
  apply(changes, gone) {
    const slots = new Set(gone);
    /** @type {[number, Row][]} */
    const ended = [];
    for (const slot of gone) this.#remove(slot);
    for (const [slot, fields] of changes) {
      const before = this.rows.get(slot);
      const row = { ...(before ?? EMPTY_ROW), ...fields };
      if (fields.metrics) row.metrics = withPoints(before?.metrics ?? {}, fields.metrics);
      if (before) this.#count(before.status, -1);
      this.#add(slot, row);
      this.known.see(fields);
      this.known.rename(before ? titleOf(before) : null, titleOf(row));
      slots.add(slot);
      if (hasEnded(before, row)) ended.push([slot, row]);
    }
    this.#tellEnds(ended);
    if (slots.size) this.#tell(slots);
  }

  /** The places of the queued processes in the queues of their agents, by their slots. @returns {Map<number, number>} */
  get queue() {
    this.#queue ??= queueOf(this.rows);
    return this.#queue;
  }

  /** Whether any process is waiting or running. */
  get anyOpen() {
    return this.counts.queued + this.counts.running > 0;
  }

  /**
   * @param {(slots: Set<number> | null) => void} listener gets the slots that changed, or null for all
   * @returns {() => void} ends it
   */
  onChange(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * @param {(ended: {slot: number, row: Row}[]) => void} listener gets the processes that were seen to end
   * @returns {() => void} ends it
   */
  onEnd(listener) {
    this.endListeners.add(listener);
    return () => this.endListeners.delete(listener);
  }

  /** @param {number} slot @param {Row} row */
  #add(slot, row) {
    if (!STATUSES.includes(row.status)) row.status = "unknown";
    this.rows.set(slot, row);
    this.#count(row.status, 1);
  }

  /** @param {number} slot */
  #remove(slot) {
    const row = this.rows.get(slot);
    if (!row) return;
    this.rows.delete(slot);
    this.known.rename(titleOf(row), null);
    this.#count(row.status, -1);
  }

  /** @param {Status} status @param {number} by */
  #count(status, by) {
    this.counts[status] += by;
  }

  /** @param {Set<number> | null} slots */
  #tell(slots) {
    this.#queue = null;
    for (const listener of this.listeners) listener(slots);
  }

  /** @param {[number, Row][]} ended */
  #tellEnds(ended) {
    if (!ended.length) return;
    for (const listener of this.endListeners) listener(ended.map(([slot, row]) => ({ slot, row })));
  }
}

/** @param {Map<number, Row>} rows @returns {Map<number, number>} */
function queueOf(rows) {
  const queued = [...rows].filter(([, row]) => row.status === "queued" && !row.paused)
    .sort(([one, { first }], [other, row]) => Number(row.first) - Number(first) || one - other);
  /** @type {Record<string, number>} */
  const lengths = {};
  return new Map(queued.map(([slot, { connection, skipped }]) => {
    lengths[connection] = (lengths[connection] ?? 0) + skipped + 1;
    return [slot, lengths[connection]];
  }));
}

/** @returns {Record<Status, number>} */
export function noCounts() {
  return { queued: 0, running: 0, completed: 0, failed: 0, killed: 0, unknown: 0 };
}

/** @param {Row | undefined} before @param {Row} after */
function hasEnded(before, after) {
  return before !== undefined && isOpenStatus(before.status) && !isOpenStatus(after.status) && after.status !== "unknown";
}
