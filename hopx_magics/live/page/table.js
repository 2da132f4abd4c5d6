/** The grid: which rows it shows where, what is active and chosen in it, and how it keeps its place. */
import { el, setAttribute } from "./dom.js";
import { Header } from "./header.js";
import { Layout } from "./layout.js";
import { isGroup, itemKey } from "./order.js";
import { ACTIONS, Question } from "./rowactions.js";
import { GroupLine, ROW_HEIGHT } from "./rows.js";
import { Viewport } from "./viewport.js";

const MOST_ROWS = 12;
const LEAST_ROWS = 3;

/** @typedef {number | string} Key a slot, or a group's name behind "group " */

export class Table {
  /**
   * @param {object} parts
   * @param {import("./store.js").Store} parts.store
   * @param {import("./order.js").Order} parts.order
   * @param {import("./selection.js").Selection} parts.selection
   * @param {import("./rowactions.js").RowActions} parts.actions
   * @param {() => number} parts.now the clock by which times are shown
   * @param {(slot: number) => boolean} parts.isOpened
   * @param {() => void} parts.onView what shall be remembered has changed
   */
  constructor(parts) {
    this.store = parts.store;
    this.order = parts.order;
    this.selection = parts.selection;
    this.actions = parts.actions;
    this.now = parts.now;
    this.isOpened = parts.isOpened;
    this.onView = parts.onView;
    this.question = new Question(parts.store);
    /** @type {string | null} the id of what was launched from here, until its row is there */
    this.launched = null;
    /** @type {Key | null} */
    this.active = null;
    /** The line that was active last, by its number. */
    this.lastIndex = 0;
    this.top = 0;
    this.size = { width: 0, height: 0 };
    this.rowsHigh = LEAST_ROWS;
    /** @type {number | null} pixels, when a person chose the height */
    this.height = null;
    /** @type {Key | null} */
    this.reachable = null;
    this.header = new Header({
      onSort: (key) => this.sortBy(key),
      onWidth: (key, width) => this.setWidth(key, width),
      onFit: (key) => this.fitWidth(key),
      onLeave: () => this.moveTo(Math.max(0, this.indexOfActive())),
    });
    this.body = el("div", { class: "hopx-body", role: "rowgroup" });
    this.grid = el("div", { class: "hopx-grid", role: "grid", "aria-label": "Processes", "aria-multiselectable": "true" },
      this.header.element, this.body);
    this.element = el("div", { class: "hopx-scroll" }, this.grid);
    this.layout = new Layout(this.element);
    this.viewport = new Viewport(this.body, (line, item, index) => this.#paint(line, item, index));
    this.element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.observer = new ResizeObserver(([{ contentRect }]) => this.#resized(contentRect));
    this.observer.observe(this.element);
  }

  destroy() {
    this.observer.disconnect();
  }

  /** Everything anew: after a reset, a filter, another grouping. */
  rebuild() {
    this.order.rebuild(this.now());
    this.layout.growForNames(this.store.rows.values());
    this.layOut();
    this.render();
  }

  /**
   * Takes in changed rows; what is seen stays where it is, unless the table is at its top.
   * @param {Set<number>} slots
   */
  update(slots) {
    const seen = this.#seen();
    const moved = this.order.update(slots, this.now());
    this.question.drop();
    const grows = this.layout.growForNames(this.#rowsOf(slots));
    if (grows || this.layout.isStale(this.store)) this.layOut();
    if (moved.size) this.#keepPlace(seen, moved);
    this.render();
    this.#selectLaunched(slots);
  }

  /** A second has passed. */
  tick() {
    const seen = this.#seen();
    if (this.order.advance(this.now())) this.#keepPlace(seen, new Set());
    this.render();
  }

  render() {
    const hadFocus = this.body.contains(document.activeElement);
    this.#setHeight();
    setAttribute(this.grid, "role", this.order.grouping === "none" ? "grid" : "treegrid");
    setAttribute(this.grid, "aria-rowcount", this.order.items.length + 1);
    this.reachable = this.#reachableKey();
    this.viewport.render(this.order.items, this.top, this.size.height);
    if (hadFocus && !this.body.contains(document.activeElement)) this.moveTo(this.indexOfActive(), true);
  }

  // -- what a person does --

  /** @param {string} key */
  sortBy(key) {
    this.order.sortBy(key);
    this.rebuildAtTop();
  }

  /** Shows the table from its top, since what stood there is elsewhere now. */
  rebuildAtTop() {
    this.rebuild();
    this.scrollTo(0);
    this.render();
    this.onView();
  }

  /** @param {string} key @param {number} width */
  setWidth(key, width) {
    this.layout.widths[key] = Math.round(width);
    this.layOut();
    this.render();
    this.onView();
  }

  /** @param {string} key */
  fitWidth(key) {
    const width = this.layout.contentWidth(key, this.#rowsOf(this.shownSlots()), this.now());
    if (width) this.setWidth(key, width);
  }

  /** @param {string} key @param {boolean} wanted */
  choose(key, wanted) {
    this.layout.chosen[key] = wanted;
    this.layOut();
    this.render();
    this.onView();
  }

  resetColumns() {
    this.layout.chosen = {};
    this.layout.only = null;
    this.layout.widths = {};
    this.layOut();
    this.render();
    this.onView();
  }

  /** @param {number | null} height pixels by hand; null: as its rows need */
  setOwnHeight(height) {
    this.height = height === null ? null : Math.round(Math.max(LEAST_ROWS * ROW_HEIGHT, height));
    this.render();
    this.onView();
  }

  /** @param {string} group */
  toggleFold(group) {
    const seen = this.#seen();
    this.order.toggleFold(group);
    this.#keepPlace(seen, new Set());
    this.render();
    this.onView();
  }

  /**
   * Asks in the row whether to do it, to all chosen ones if it is one of them.
   * @param {number} slot @param {"kill" | "rerun"} name
   */
  ask(slot, name) {
    if (!this.question.ask(ACTIONS[name], slot, this.selection.slots)) {
      this.actions.tell(slot, name === "kill" ? "has already ended" : "has not ended yet");
      return;
    }
    this.actions.dismiss(slot);
    this.render();
    /** @type {HTMLElement | null | undefined} */ (this.viewport.elementOf(slot)?.querySelector(`[data-action=${name}-yes]`))?.focus();
  }

  /** @param {boolean} yes */
  answer(yes) {
    const asked = this.question.take();
    if (!asked) return;
    if (yes) for (const slot of asked.slots) this.#act(asked.action.name, slot);
    this.render();
    this.focusKey(asked.slot);
  }

  /** @param {"kill" | "rerun"} name @param {number} slot */
  async #act(name, slot) {
    if (name === "kill") {
      this.actions.kill(slot);
      return;
    }
    this.launched = (await this.actions.rerun(slot)) ?? this.launched;
    this.#selectLaunched(this.store.rows.keys());
  }

  /** What was launched again is what one goes on with. @param {Iterable<number>} slots among which its row may be */
  #selectLaunched(slots) {
    if (this.launched === null) return;
    const slot = [...slots].find((one) => this.store.rows.get(one)?.id === this.launched);
    const index = slot === undefined ? -1 : this.order.indexOf(slot);
    if (slot === undefined || index < 0) return;
    this.launched = null;
    this.selection.only(slot);
    if (this.body.contains(document.activeElement)) this.moveTo(index);
    else {
      this.activate(slot);
      this.reveal(index);
      this.render();
    }
  }

  // -- the active line --

  indexOfActive() {
    return this.active === null ? -1 : this.order.indexOf(this.active);
  }

  /** @param {Key} key */
  activate(key) {
    this.active = key;
    this.lastIndex = this.order.indexOf(key);
  }

  /** @param {number} index @param {boolean} [stay] without scrolling to it */
  moveTo(index, stay = false) {
    const wanted = index < 0 ? this.lastIndex : index;
    const item = this.order.items[Math.min(this.order.items.length - 1, Math.max(0, wanted))];
    if (!item) return;
    this.activate(itemKey(item));
    if (!stay) this.reveal(this.lastIndex);
    this.render();
    this.focusKey(itemKey(item));
  }

  /** @param {Key} key */
  focusKey(key) {
    this.viewport.elementOf(key)?.focus({ preventScroll: true });
  }

  get pageRows() {
    return Math.max(1, Math.floor((this.size.height - ROW_HEIGHT) / ROW_HEIGHT) - 1);
  }

  /** @returns {number[]} */
  shownSlots() {
    return this.order.items.flatMap((item) => (isGroup(item) ? [] : [item.slot]));
  }

  // -- the place --

  /** @param {number} index */
  reveal(index) {
    const above = index * ROW_HEIGHT;
    const below = above + 2 * ROW_HEIGHT - this.size.height;
    if (this.top > above) this.scrollTo(above);
    else if (this.top < below) this.scrollTo(below);
  }

  /** @param {number} top */
  scrollTo(top) {
    this.viewport.setLength(this.order.items.length);
    this.element.scrollTop = top;
    this.top = this.element.scrollTop;
  }

  #seen() {
    const first = Math.floor(this.top / ROW_HEIGHT);
    const count = Math.ceil(this.size.height / ROW_HEIGHT);
    return this.order.items.slice(first, first + count).map((item, index) => ({ key: itemKey(item), line: first + index }));
  }

  /** @param {{key: Key, line: number}[]} seen @param {Set<number>} moved */
  #keepPlace(seen, moved) {
    if (this.top < 1) return;
    for (const { key, line } of seen) {
      if (moved.has(/** @type {number} */ (key))) continue;
      const index = this.order.indexOf(key);
      if (index < 0) continue;
      if (index !== line) this.scrollTo(this.top + (index - line) * ROW_HEIGHT);
      return;
    }
  }

  #scrolled() {
    if (!this.size.height || this.element.scrollTop === this.top) return;
    this.top = this.element.scrollTop;
    this.render();
    this.onView();
  }

  /** @param {{width: number, height: number}} rect */
  #resized({ width, height }) {
    const appears = !this.size.height && height > 0;
    const wider = width !== this.size.width;
    this.size = { width, height };
    if (!height) return;
    // A notebook takes outputs out of the page and puts them back scrolled to their top.
    if (appears && this.element.scrollTop !== this.top) this.scrollTo(this.top);
    if (wider) this.layOut();
    this.render();
  }

  /** It grows with its rows and never shrinks by itself: the notebook below must not jump. */
  #setHeight() {
    this.rowsHigh = Math.min(MOST_ROWS, Math.max(this.rowsHigh, this.order.items.length));
    const height = `${this.height ?? (this.rowsHigh + 1) * ROW_HEIGHT + 2}px`;
    if (this.element.style.height !== height) this.element.style.height = height;
  }

  // -- columns --

  layOut() {
    this.layout.fit(this.size.width, this.store);
    const { placed } = this.layout;
    this.grid.style.setProperty("--hopx-columns", placed.map(({ width }) => `${width}px`).join(" "));
    setAttribute(this.grid, "aria-colcount", placed.length);
    const hadFocus = this.body.contains(document.activeElement);
    this.header.setColumns(placed);
    this.header.setSorting(this.order.sorting);
    if (this.viewport.setColumns(placed.map(({ column }) => column)) && hadFocus) this.moveTo(this.indexOfActive(), true);
  }

  /** @param {Iterable<number>} slots @returns {import("./messages.js").Row[]} */
  #rowsOf(slots) {
    return Array.from(slots).flatMap((slot) => this.store.rows.get(slot) ?? []);
  }

  // -- lines --

  /** @returns {Key | null} the one line that Tab leads to: the active one, else the first that is seen */
  #reachableKey() {
    const first = Math.floor(this.top / ROW_HEIGHT);
    const last = first + Math.ceil(this.size.height / ROW_HEIGHT);
    const index = this.indexOfActive();
    if (index >= first && index <= last) return this.active;
    const item = this.order.items[Math.min(this.order.items.length - 1, Math.ceil(this.top / ROW_HEIGHT))];
    return item ? itemKey(item) : null;
  }

  /** @param {import("./viewport.js").AnyLine} line @param {import("./order.js").Item} item @param {number} index */
  #paint(line, item, index) {
    const key = itemKey(item);
    const slot = /** @type {number} */ (key);
    /** @type {import("./rows.js").LineState} */
    const state = {
      index, active: key === this.reachable, level: this.order.grouping === "none" ? 0 : 2, now: this.now(),
      selected: this.selection.slots.has(slot), copied: this.actions.copied === slot, opened: this.isOpened(slot),
      known: this.store.known, found: this.order.found.get(slot)?.line, note: this.actions.notes.get(slot), place: this.store.queue.get(slot), asking: this.question.textFor(slot),
    };
    if (line instanceof GroupLine) {
      const group = /** @type {import("./order.js").Group} */ (item);
      line.update(group, this.order.folded.has(group.group), this.store, state, this.viewport.columns.length);
      return;
    }
    const row = this.store.rows.get(slot);
    if (row) line.update(slot, row, state);
  }
}

/**
 * The edge below the table, by which it is made higher or lower.
 * @param {Table} table
 */
export function heightHandle(table) {
  const handle = el("div", { class: "hopx-handle", title: "Drag to resize, double-click for the default height" });
  handle.addEventListener("dblclick", () => table.setOwnHeight(null));
  handle.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    const above = table.element.offsetHeight - event.clientY;
    const move = (/** @type {PointerEvent} */ moved) => table.setOwnHeight(above + moved.clientY);
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  });
  return handle;
}
