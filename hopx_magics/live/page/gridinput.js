/** Mouse and keyboard in the rows of the table. */
import { isGroup } from "./order.js";

/**
 * @typedef {object} GridHooks
 * @property {(slot: number, tab?: import("./viewer.js").Tab) => void} onOpen
 * @property {(slot: number) => boolean} onEscape closes what is open for this row; whether there was anything
 * @property {() => void} onSearch
 */

export class GridInput {
  /** @param {import("./table.js").Table} table @param {GridHooks} hooks */
  constructor(table, hooks) {
    this.table = table;
    this.hooks = hooks;
    const { body } = table;
    body.addEventListener("mousedown", (/** @type {MouseEvent} */ event) => this.#onMouseDown(event));
    body.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#onClick(event));
    body.addEventListener("dblclick", (/** @type {MouseEvent} */ event) => this.#onDoubleClick(event));
    body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    body.addEventListener("focusin", (/** @type {FocusEvent} */ event) => this.#onFocus(event));
  }

  /** @param {Event} event @returns {HTMLElement | null} */
  #lineOf(event) {
    return /** @type {Element} */ (event.target).closest(".hopx-row, .hopx-group");
  }

  /** @param {HTMLElement} line @returns {number | string} */
  #keyOf(line) {
    return line.dataset.slot === undefined ? `group ${line.dataset.group}` : Number(line.dataset.slot);
  }

  /** @param {MouseEvent} event a second click, or one with Shift, would mark text */
  #onMouseDown(event) {
    if (event.shiftKey || event.detail > 1) event.preventDefault();
  }

  /** @param {FocusEvent} event */
  #onFocus(event) {
    const line = this.#lineOf(event);
    if (!line) return;
    const key = this.#keyOf(line);
    if (key === this.table.active) return;
    this.table.activate(key);
    this.table.render();
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const line = this.#lineOf(event);
    if (!line) return;
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("button"));
    if (line.dataset.slot === undefined) this.#clickGroup(line);
    else if (button) this.#press(Number(line.dataset.slot), button.dataset.action ?? "");
    else this.#clickRow(line, Number(line.dataset.slot), event);
  }

  /** @param {HTMLElement} line */
  #clickGroup(line) {
    line.focus({ preventScroll: true });
    this.table.toggleFold(line.dataset.group ?? "");
  }

  /** @param {HTMLElement} line @param {number} slot @param {MouseEvent} event */
  #clickRow(line, slot, event) {
    const { table } = this;
    if (/** @type {Element} */ (event.target).closest(".hopx-ask")) return;
    const marked = document.getSelection();
    // Whoever has just marked text in the row wants to copy it.
    if (marked && !marked.isCollapsed && line.contains(marked.anchorNode) && event.detail < 2) return;
    line.focus({ preventScroll: true });
    table.actions.dismiss(slot);
    if (event.shiftKey) table.selection.extend(slot, table.shownSlots());
    else if (event.ctrlKey || event.metaKey) table.selection.toggle(slot);
    else table.selection.only(slot);
    table.render();
  }

  /** @param {MouseEvent} event */
  #onDoubleClick(event) {
    const line = this.#lineOf(event);
    if (!line || line.dataset.slot === undefined) return;
    if (/** @type {Element} */ (event.target).closest("button, .hopx-ask")) return;
    this.hooks.onOpen(Number(line.dataset.slot));
  }

  /** @param {number} slot @param {string} action */
  #press(slot, action) {
    const { table } = this;
    if (action.endsWith("-yes") || action.endsWith("-no")) {
      table.answer(action.endsWith("-yes"));
      return;
    }
    table.actions.dismiss(slot);
    if (action === "open") this.hooks.onOpen(slot);
    else if (action === "displays") this.hooks.onOpen(slot, action);
    else if (action === "kill" || action === "rerun") table.ask(slot, action);
    else if (action === "copy" || action === "copy-id") table.actions.copyId(slot);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.altKey || event.isComposing || event.defaultPrevented) return;
    const line = this.#lineOf(event);
    if (!line) return;
    const onButton = /** @type {Element} */ (event.target).closest("button") !== null;
    if (onButton && (event.key === "Enter" || event.key === " ")) {
      event.stopPropagation();
      return;
    }
    if (!this.#move(event) && !this.#act(event, this.#keyOf(line))) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether it moved */
  #move(event) {
    const { table } = this;
    const index = table.indexOfActive();
    const last = table.order.items.length - 1;
    const wanted = {
      ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last,
      PageDown: Math.min(last, index + table.pageRows), PageUp: Math.max(0, index - table.pageRows),
    }[event.key];
    if (wanted === undefined) return false;
    if (event.key === "ArrowUp" && index <= 0) table.header.focus();
    else table.moveTo(Math.min(last, wanted));
    if (event.shiftKey) this.#extendTo(table.active);
    return true;
  }

  /** @param {number | string | null} key */
  #extendTo(key) {
    const { selection } = this.table;
    if (typeof key !== "number") return;
    selection.extend(key, this.table.shownSlots());
    this.table.render();
  }

  /** @param {KeyboardEvent} event @param {number | string} key @returns {boolean} whether it meant anything here */
  #act(event, key) {
    if (event.ctrlKey || event.metaKey) return this.#actWithControl(event, key);
    if (event.key === "/") this.hooks.onSearch();
    else if (typeof key === "string") return this.#actOnGroup(event.key, key.slice("group ".length));
    else return this.#actOnRow(event.key, key);
    return true;
  }

  /** @param {KeyboardEvent} event @param {number | string} key */
  #actWithControl(event, key) {
    const { table } = this;
    if (event.key === " " && typeof key === "number") table.selection.toggle(key);
    else if (event.key === "a") table.selection.replace(table.shownSlots());
    else return false;
    table.render();
    return true;
  }

  /** @param {string} pressed @param {string} group */
  #actOnGroup(pressed, group) {
    const { table } = this;
    const folded = table.order.folded.has(group);
    const closes = pressed === "ArrowLeft" && !folded;
    const opens = pressed === "ArrowRight" && folded;
    if (closes || opens || pressed === "Enter" || pressed === " ") table.toggleFold(group);
    else if (pressed === "Escape") return this.hooks.onEscape(-1);
    return ["ArrowLeft", "ArrowRight", "Enter", " "].includes(pressed);
  }

  /** @param {string} pressed @param {number} slot */
  #actOnRow(pressed, slot) {
    const { table } = this;
    if (pressed === "Enter") this.hooks.onOpen(slot);
    else if (pressed === "k") table.ask(slot, "kill");
    else if (pressed === "r") table.ask(slot, "rerun");
    else if (pressed === " ") {
      table.selection.toggle(slot);
      table.render();
    } else if (pressed === "ArrowLeft") this.#toGroupOf(slot);
    else if (pressed === "Escape") this.#escape(slot);
    else return pressed === "ArrowRight";
    return true;
  }

  /** @param {number} slot */
  #escape(slot) {
    const { table } = this;
    if (table.question.asked) table.answer(false);
    else if (table.actions.notes.has(slot)) table.actions.dismiss(slot);
    else this.hooks.onEscape(slot);
  }

  /** @param {number} slot */
  #toGroupOf(slot) {
    const { order } = this.table;
    const entry = order.entries.get(slot);
    if (order.grouping === "none" || !entry) return;
    this.table.moveTo(order.items.findIndex((item) => isGroup(item) && item.group === entry.group));
  }
}
