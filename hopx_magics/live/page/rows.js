/** One line of the table in the page: of a process, or the headline of a group. */
import { cellOf } from "./cells.js";
import { el, setAttribute, setText } from "./dom.js";
import { ICONS, STATUSES, formatCounting, formatCounts, formatDuration } from "./format.js";
import { summarize } from "./order.js";

export const ROW_HEIGHT = 28;

/**
 * @typedef {import("./columns.js").Column} Column
 * @typedef {{text: string, title: string, kind: "busy" | "error" | "info"}} Note
 * @typedef {object} LineState how a line stands in its table
 * @property {number} index
 * @property {boolean} selected
 * @property {boolean} active
 * @property {number} level 0 when not grouped
 * @property {number} now
 * @property {boolean} copied
 * @property {boolean} opened whether its viewer is open
 * @property {number | undefined} place in the queue of its agent
 * @property {import("./known.js").Known} known what the rows have
 * @property {string | undefined} found the line of its output in which the search is
 * @property {Note | undefined} note
 * @property {{text: string, action: import("./rowactions.js").Action} | null} asking
 */

class TableLine {
  /** @param {string} className */
  constructor(className) {
    /** @type {HTMLElement} */
    this.element = el("div", { class: className, role: "row", tabindex: "-1" });
    /** @type {number | string} */
    this.key = "";
    this.index = -1;
  }

  /** @param {number} index @param {boolean} active */
  place(index, active) {
    setAttribute(this.element, "tabindex", active ? "0" : "-1");
    if (this.index === index) return;
    this.index = index;
    this.element.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    // The first line is the header's.
    setAttribute(this.element, "aria-rowindex", index + 2);
  }
}

export class RowLine extends TableLine {
  /** @param {Column[]} columns */
  constructor(columns) {
    super("hopx-row");
    /** @type {{key: string, parts: import("./cells.js").Parts}[]} */
    this.cells = columns.map((column, position) => {
      const parts = cellOf(column.key).build();
      parts.cell.classList.add("hopx-cell");
      if (column.right) parts.cell.classList.add("hopx-right");
      setAttribute(parts.cell, "role", "gridcell");
      setAttribute(parts.cell, "data-column", column.key);
      setAttribute(parts.cell, "data-kind", column.key.includes(".") ? column.kind : null);
      setAttribute(parts.cell, "aria-colindex", position + 1);
      this.element.append(parts.cell);
      return { key: column.key, parts };
    });
    /** @type {HTMLElement | null} */
    this.aside = null;
  }

  /** @param {number} slot @param {import("./messages.js").Row} row @param {LineState} state */
  update(slot, row, state) {
    this.key = slot;
    this.place(state.index, state.active);
    setAttribute(this.element, "data-slot", slot);
    setAttribute(this.element, "data-status", row.status);
    setAttribute(this.element, "aria-selected", String(state.selected));
    setAttribute(this.element, "aria-level", state.level || null);
    this.element.classList.toggle("hopx-opened", state.opened);
    const around = { now: state.now, reachable: state.active, copied: state.copied, place: state.place, known: state.known, found: state.found };
    for (const { key, parts } of this.cells) cellOf(key).paint(parts, row, around);
    this.#updateAside(state);
  }

  /** @param {LineState} state a question comes before a note: it waits for an answer */
  #updateAside({ asking, note }) {
    const wanted = asking ? `ask ${asking.text}` : note ? `note ${note.kind} ${note.title} ${note.text}` : "";
    if ((this.aside?.dataset.shows ?? "") === wanted) return;
    this.aside?.remove();
    this.aside = asking ? questionAside(asking) : note ? noteAside(note) : null;
    if (!this.aside) return;
    this.aside.dataset.shows = wanted;
    this.cells[this.cells.length - 1].parts.cell.append(this.aside);
  }
}

/** @param {NonNullable<LineState["asking"]>} asking */
function questionAside({ text, action: { name, verb, no } }) {
  return el(
    "div", { class: "hopx-ask", role: "group", "aria-label": text },
    el("span", { class: "hopx-question", title: text }, text),
    el("button", { type: "button", class: `hopx-button hopx-yes-${name}`, "data-action": `${name}-yes` }, verb),
    el("button", { type: "button", class: "hopx-button", "data-action": `${name}-no` }, no),
  );
}

/** @param {Note} note */
function noteAside(note) {
  const text = el("span", {}, note.text);
  return el("div", { class: "hopx-row-note", "data-kind": note.kind, title: note.title }, text);
}

export class GroupLine extends TableLine {
  constructor() {
    super("hopx-group");
    this.caret = el("span", { class: "hopx-caret", "aria-hidden": "true" }, "▾");
    this.label = el("span", { class: "hopx-group-label" });
    this.size = el("span", { class: "hopx-group-size" });
    this.counts = el("span", { class: "hopx-group-counts" });
    this.times = el("span", { class: "hopx-group-times" });
    this.cell = el("div", { role: "gridcell", class: "hopx-group-cell", "aria-colindex": "1" },
      this.caret, this.label, this.size, this.counts, this.times);
    this.element.append(this.cell);
  }

  /**
   * @param {import("./order.js").Group} group @param {boolean} folded
   * @param {import("./store.js").Store} store @param {LineState} state @param {number} columns
   */
  update(group, folded, store, state, columns) {
    const { counts, total, longest } = summarize(group, store, state.now);
    this.key = `group ${group.group}`;
    this.place(state.index, state.active);
    setAttribute(this.element, "data-group", group.group);
    setAttribute(this.element, "aria-expanded", String(!folded));
    setAttribute(this.element, "aria-level", 1);
    setAttribute(this.cell, "aria-colspan", columns);
    setText(this.label, group.label);
    setAttribute(this.label, "title", group.label);
    setText(this.size, String(group.entries.length));
    this.#updateCounts(counts);
    const spanOf = counts.running ? formatCounting : formatDuration;
    setText(this.times, total ? `${spanOf(total)} in all, longest ${spanOf(longest)}` : "");
  }

  /** @param {Record<import("./messages.js").Status, number>} counts */
  #updateCounts(counts) {
    const occurring = STATUSES.filter((status) => counts[status]);
    const shown = [...this.counts.children].map((chip) => /** @type {HTMLElement} */ (chip).dataset.status);
    if (occurring.join() !== shown.join()) {
      this.counts.replaceChildren(...occurring.map((status) => el("span", { "data-status": status }, "")));
    }
    occurring.forEach((status, index) => setText(this.counts.children[index], `${ICONS[status]} ${counts[status]}`));
    setAttribute(this.counts, "title", formatCounts(counts));
  }
}
