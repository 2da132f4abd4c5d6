/** How wide the columns of one table are: as chosen by hand, as its contents ask for, as there is room. */
import { cellText } from "./cells.js";
import { allColumns, columnOf, fitColumns, nameIn, wantedColumns } from "./columns.js";
import { STATUSES } from "./format.js";
import { titleOf } from "./store.js";

const STATUS_ICON = 20;
const LONG_ELAPSED = "59 min 59 s";
const MEASURED_TEXTS = 40;
const CELL_PADDING = 18;
const ARROW = 10;
const WIDEST = 1200;

/** @import { Row } from "./messages.js" */

export class Layout {
  /** @param {HTMLElement} element whose font the table has */
  constructor(element) {
    this.element = element;
    /** @type {Record<string, boolean>} columns chosen or dropped by hand */
    this.chosen = {};
    /** @type {Record<string, number>} widths by hand */
    this.widths = {};
    /** @type {Record<string, number>} widths by content */
    this.contents = {};
    /** @type {{column: import("./columns.js").Column, width: number}[]} */
    this.placed = [];
    /** @type {string[] | null} columns that were asked for, in their order; null: as it is by default */
    this.only = null;
    /** @type {{store: import("./store.js").Store | null, version: number}} for which columns it was laid out */
    this.fitted = { store: null, version: -1 };
    this.longest = 0;
    /** @type {CanvasRenderingContext2D | null | undefined} */
    this.pencil = undefined;
  }

  /** @param {number} room pixels, 0 while nobody sees it @param {import("./store.js").Store} store */
  fit(room, store) {
    const { chosen, widths, contents, only } = this;
    const { known, connections } = store;
    this.fitted = { store, version: known.version };
    const columns = wantedColumns({ known, connections: connections.length, chosen, only });
    for (const column of columns) if (column.key.includes(".")) contents[column.key] = this.#ownWidth(column, known);
    contents.status = this.#textWidth(STATUSES) + STATUS_ICON;
    contents.elapsed = this.#textWidth([LONG_ELAPSED]);
    this.placed = fitColumns({ room: room || 900, columns, chosen, widths, contents });
  }

  /** Whether other columns may be wanted than when it was laid out. @param {import("./store.js").Store} store */
  isStale(store) {
    return this.fitted.store !== store || this.fitted.version !== store.known.version;
  }

  /** What a column asks for that not all tables have. @param {import("./columns.js").Column} column @param {import("./known.js").Known} known */
  #ownWidth({ key, kind, label, width }, known) {
    const texts = kind === "metric" ? [] : [known.names[/** @type {"param" | "tag"} */ (kind)].get(nameIn(key))?.longest ?? ""];
    return Math.max(this.#textWidth([label]) + ARROW, this.#textWidth(texts), kind === "metric" ? width : 0);
  }

  /** The columns that a person may choose. */
  choices() {
    const shown = new Set(this.placed.map(({ column }) => column.key));
    const { store } = this.fitted;
    if (!store) return [];
    const { known, connections } = store;
    const wishes = { known, connections: connections.length, chosen: this.chosen, only: this.only };
    const chosen = new Set(wantedColumns(wishes).map(({ key }) => key));
    return allColumns(known, null).filter((column) => !column.fixed).map((column) => {
      const wanted = chosen.has(column.key);
      return { key: column.key, label: column.label, wanted, crowdedOut: wanted && !shown.has(column.key) };
    });
  }

  /**
   * Names longer than all before may need more room; none asks for less, or the columns would jump.
   * @param {Iterable<Row>} rows
   * @returns {boolean} whether they do
   */
  growForNames(rows) {
    const longer = Array.from(rows, titleOf).filter((name) => name.length > this.longest);
    if (!longer.length) return false;
    const measured = longestOf(longer);
    this.longest = measured[0].length;
    const widest = Math.max(this.contents.name ?? 0, this.#textWidth(measured));
    const grows = widest > (this.contents.name ?? 0);
    this.contents.name = widest;
    return grows;
  }

  /**
   * The width at which nothing of these rows is cut off.
   * @param {string} key @param {Row[]} rows @param {number} now
   */
  contentWidth(key, rows, now) {
    const column = columnOf(key);
    if (!column || key === "progress") return column?.width ?? 0;
    const texts = rows.map((row) => (key === "name" ? titleOf(row) : cellText(key, row, now)));
    const label = this.#textWidth([column.label]) + CELL_PADDING;
    return Math.min(WIDEST, Math.max(label, this.#textWidth(longestOf(texts), key === "id")));
  }

  /** @param {string[]} texts @param {boolean} [code] in the font of code */
  #textWidth(texts, code = false) {
    this.pencil ??= document.createElement("canvas").getContext("2d");
    const { pencil } = this;
    if (!pencil || !texts.length) return 0;
    const style = getComputedStyle(this.element);
    const family = code ? style.getPropertyValue("--hopx-code-font") || "monospace" : style.fontFamily;
    pencil.font = `${style.fontSize} ${family}`;
    return Math.ceil(Math.max(...texts.map((text) => pencil.measureText(text.slice(0, 400)).width))) + CELL_PADDING;
  }
}

/** @param {string[]} texts the few that can be the widest */
function longestOf(texts) {
  return texts.sort((a, b) => b.length - a.length).slice(0, MEASURED_TEXTS);
}
