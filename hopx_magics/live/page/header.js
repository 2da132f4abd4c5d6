/** The head of the table: names of columns, by which it sorts, and edges that can be dragged. */
import { NARROWEST_COLUMN } from "./columns.js";
import { el, setAttribute } from "./dom.js";

const KEY_STEP = 16;

/**
 * @typedef {{column: import("./columns.js").Column, width: number}} Placed
 * @typedef {object} HeaderHooks
 * @property {(key: string) => void} onSort
 * @property {(key: string, width: number) => void} onWidth
 * @property {(key: string) => void} onFit
 * @property {() => void} onLeave down into the rows
 */

export class Header {
  /** @param {HeaderHooks} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    this.row = el("div", { class: "hopx-head-row", role: "row", "aria-rowindex": "1" });
    this.element = el("div", { class: "hopx-head", role: "rowgroup" }, this.row);
    /** @type {Placed[]} */
    this.placed = [];
    /** @type {HTMLElement[]} */
    this.cells = [];
    this.focused = 0;
    this.row.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    this.row.addEventListener("focusin", (/** @type {FocusEvent} */ event) => this.#takeFocus(event.target));
  }

  /** @param {Placed[]} placed */
  setColumns(placed) {
    const same = placed.map(({ column }) => column.key).join() === this.placed.map(({ column }) => column.key).join();
    this.placed = placed;
    if (same) return;
    this.focused = Math.min(this.focused, placed.length - 1);
    this.cells = placed.map(({ column }, position) => this.#buildCell(column, position));
    this.row.replaceChildren(...this.cells);
  }

  /** @param {{column: string, reverse: boolean}[]} sorting */
  setSorting(sorting) {
    const [first] = sorting;
    for (const cell of this.cells) {
      const sorted = cell.dataset.column === first?.column;
      const direction = first?.reverse ? "descending" : "ascending";
      if (cell.dataset.column !== "actions") setAttribute(cell, "aria-sort", sorted ? direction : "none");
    }
  }

  focus() {
    this.cells[this.focused]?.focus();
  }

  /** @param {import("./columns.js").Column} column @param {number} position */
  #buildCell(column, position) {
    const sorts = column.key !== "actions";
    const cell = el(
      "div",
      {
        class: `hopx-cell hopx-column${column.right ? " hopx-right" : ""}`, role: "columnheader",
        "data-column": column.key, "aria-colindex": position + 1, tabindex: position === this.focused ? "0" : "-1",
        title: sorts ? `${column.label}: click to sort` : null,
      },
      el("span", { class: sorts ? "hopx-label" : "hopx-offscreen" }, column.label),
      column.short && el("span", { class: "hopx-short-label", "aria-hidden": "true" }, column.short),
      sorts && el("span", { class: "hopx-arrow", "aria-hidden": "true" }),
      sorts && this.#buildEdge(column.key),
    );
    if (sorts) cell.addEventListener("click", () => this.hooks.onSort(column.key));
    return cell;
  }

  /** @param {string} key */
  #buildEdge(key) {
    const edge = el("div", { class: "hopx-column-edge", title: "Drag to resize, double-click to fit" });
    edge.addEventListener("click", (/** @type {Event} */ event) => event.stopPropagation());
    edge.addEventListener("dblclick", (/** @type {Event} */ event) => {
      event.stopPropagation();
      this.hooks.onFit(key);
    });
    edge.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.#startDrag(event, key));
    return edge;
  }

  /** @param {PointerEvent} event @param {string} key */
  #startDrag(event, key) {
    const edge = /** @type {HTMLElement} */ (event.currentTarget);
    const width = this.#widthOf(key);
    const from = event.clientX;
    event.preventDefault();
    edge.setPointerCapture(event.pointerId);
    const move = (/** @type {PointerEvent} */ moved) => {
      if (moved.clientX !== from) this.hooks.onWidth(key, Math.max(NARROWEST_COLUMN, width + moved.clientX - from));
    };
    const stop = () => edge.removeEventListener("pointermove", move);
    edge.addEventListener("pointermove", move);
    edge.addEventListener("pointerup", stop, { once: true });
    edge.addEventListener("pointercancel", stop, { once: true });
  }

  /** @param {string} key */
  #widthOf(key) {
    return this.placed.find(({ column }) => column.key === key)?.width ?? NARROWEST_COLUMN;
  }

  /** @param {EventTarget | null} target */
  #takeFocus(target) {
    const position = this.cells.indexOf(/** @type {HTMLElement} */ (target));
    if (position < 0) return;
    this.focused = position;
    this.cells.forEach((cell, index) => setAttribute(cell, "tabindex", index === position ? "0" : "-1"));
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const key = this.placed[this.focused]?.column.key;
    if (event.ctrlKey || event.metaKey || event.altKey || !key || !this.#act(event.key, event.shiftKey, key)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {string} pressed @param {boolean} shift @param {string} key @returns {boolean} whether it was ours */
  #act(pressed, shift, key) {
    if (pressed === "ArrowLeft" || pressed === "ArrowRight") {
      const step = pressed === "ArrowLeft" ? -1 : 1;
      if (shift) this.hooks.onWidth(key, Math.max(NARROWEST_COLUMN, this.#widthOf(key) + step * KEY_STEP));
      else this.cells[this.focused + step]?.focus();
    } else if (pressed === "Enter" || pressed === " ") {
      if (key !== "actions") this.hooks.onSort(key);
    } else if (pressed === "ArrowDown") this.hooks.onLeave();
    else return false;
    return true;
  }
}
