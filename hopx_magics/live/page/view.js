/** One view of the table in the page: toolbar, grid and viewers, and what of it is remembered. */
import { rememberColumns } from "./columnmemory.js";
import { el, setAttribute, setText, FrameBatch } from "./dom.js";
import { GridInput } from "./gridinput.js";
import { Order } from "./order.js";
import { MOST_NAMES } from "./known.js";
import { OutputSearch } from "./outputsearch.js";
import { readSearch } from "./search.js";
import { Selection } from "./selection.js";
import { isForTable, keepKeys } from "./shortcuts.js";
import { heightHandle, Table } from "./table.js";
import { Toolbar } from "./toolbar.js";
import { Viewers } from "./viewers.js";
import { recall, remember, rememberedViewers } from "./viewstate.js";

/** @import { Initial, OpenViewer } from "./messages.js" */

const WIDE = 1100;
const NARROW_ROOT = 480;
const QUIET_FIRST = 150;
const VIEW_PAUSE = 300;
const SELECTED_PAUSE = 50;

export class WatchView {
  /**
   * @param {import("./page.js").Page} page
   * @param {HTMLElement} host the element that the notebook gives
   */
  constructor(page, host) {
    this.page = page;
    this.store = page.store;
    this.order = new Order(this.store);
    this.selection = new Selection(() => this.#selected());
    /** @type {Set<number> | null} slots that changed since the last frame; null: all */
    this.changed = new Set();
    this.restored = false;
    this.scrollAtFirst = 0;
    this.timers = { view: 0, selected: 0, tick: 0, first: 0 };
    this.frames = new FrameBatch(() => this.#draw());
    this.viewers = new Viewers({
      link: this.page.link, store: this.store, now: () => this.page.shownNow(), onChange: () => this.#viewersChanged(),
      selected: () => [...this.selection.slots],
      onFocusTable: (slot) => this.#focusTable(slot),
    });
    this.table = new Table({
      store: this.store, order: this.order, selection: this.selection, actions: this.page.actions,
      now: () => this.page.shownNow(), isOpened: (slot) => this.viewers.isOpen(slot), onView: () => this.#saveSoon(),
    });
    this.toolbar = new Toolbar(this.#toolbarHooks());
    this.outputs = new OutputSearch(page.link, () => this.#filter(() => {}));
    this.input = new GridInput(this.table, {
      onOpen: (slot, tab) => this.#open(slot, tab), onEscape: (slot) => this.#escape(slot), onSearch: () => this.toolbar.search.focus(),
    });
    this.emptyText = el("span", {});
    this.emptyButton = el("button", { type: "button", class: "hopx-button", onclick: () => this.#clearFilters() }, "Clear filters");
    this.empty = el("div", { class: "hopx-empty" }, this.emptyText, this.emptyButton);
    this.announcement = el("div", { class: "hopx-announce hopx-offscreen", role: "status", "aria-live": "polite" });
    this.root = this.#build();
    host.append(this.root);
    this.stopKeys = keepKeys(".hopx-watch", isForTable);
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    this.observer = new ResizeObserver(([{ contentRect }]) => this.#resized(contentRect.width));
    this.observer.observe(this.root);
    this.stopStore = this.store.onChange((slots) => this.#rowsChanged(slots));
    this.timers.tick = window.setInterval(() => this.#tick(), 1000);
    this.timers.first = window.setTimeout(() => this.root.classList.remove("hopx-quiet"), QUIET_FIRST);
    if (this.store.ready) {
      this.restore(page.view, page.initial, rememberedViewers(page.view));
      this.changed = null;
    }
    this.request();
  }

  #build() {
    const tablePart = el("div", { class: "hopx-table" }, this.table.element, this.empty, heightHandle(this.table));
    return el(
      "div",
      { class: "hopx-watch hopx-quiet", role: "region", "aria-label": "Processes" },
      this.toolbar.element, el("div", { class: "hopx-main" }, tablePart, this.viewers.element), this.announcement,
    );
  }

  /** @returns {import("./toolbar.js").ToolbarHooks} */
  #toolbarHooks() {
    const { order } = this;
    return {
      onChip: (status) => this.#filter(() => order.statuses.delete(status) || order.statuses.add(status)),
      onSearch: (text) => this.#filter(() => (order.search = text)),
      onOutputs: () => this.#filter(() => (this.outputs.wanted ? this.outputs.search(false, "") : this.outputs.search(true, ""))),
      onGroup: (grouping) => this.#filter(() => (order.grouping = grouping)),
      onBell: () => this.page.bell.toggle().then(() => this.#saveSoon()),
      onLeave: () => this.#focusTable(),
      choices: () => this.table.layout.choices(),
      noteOfChoices: () => (this.store.known.leftOut ? `There are more: the first ${MOST_NAMES} of a kind are offered` : ""),
      onChoose: (key, wanted) => this.#chooseColumns(() => this.table.choose(key, wanted)),
      onResetColumns: () => this.#chooseColumns(() => this.table.resetColumns()),
    };
  }

  destroy() {
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    clearInterval(this.timers.tick);
    this.frames.cancel();
    this.observer.disconnect();
    this.stopStore();
    this.stopKeys();
    this.toolbar.close();
    this.outputs.close();
    this.viewers.destroy();
    this.table.destroy();
    this.root.remove();
  }

  /** Whether somebody points at it, or has the focus in it. */
  get isUsed() {
    return this.root.contains(document.activeElement) || this.root.matches(":hover");
  }

  // -- what comes from the kernel --

  /**
   * Shows what was remembered, once: what a person did since then is newer.
   * @param {Record<string, unknown> | null} view @param {Initial | null} initial
   * @param {OpenViewer[]} open viewers that the kernel holds open
   */
  restore(view, initial, open) {
    if (this.restored) {
      this.viewers.restore([]);
      return;
    }
    recall(this, view, initial);
    this.#searchOutputs();
    this.toolbar.setInputs(this.order.search, this.order.grouping);
    this.viewers.restore(open.filter(({ slot }) => this.store.rows.has(slot)));
    this.restored = true;
  }

  /** @param {string[]} sentences */
  announce(sentences) {
    setText(this.announcement, sentences.join(". "));
  }

  /** Draws with the next frame. */
  request() {
    this.frames.request();
  }

  /** @param {Set<number> | null} slots */
  #rowsChanged(slots) {
    if (slots === null || this.changed === null) this.changed = null;
    else for (const slot of slots) this.changed.add(slot);
    this.request();
  }

  #draw() {
    if (!this.root.isConnected) {
      this.changed = null;
      return;
    }
    const { changed } = this;
    this.changed = new Set();
    if (changed === null) this.#takeAll();
    else if (changed.size) {
      this.table.update(changed);
      this.viewers.rowsChanged(changed);
    } else this.table.render();
    if (changed === null || changed.size) this.selection.keepOnly((slot) => this.store.rows.has(slot));
    this.#drawAround();
  }

  #takeAll() {
    this.table.rebuild();
    this.viewers.rowsChanged(null);
    if (this.scrollAtFirst) this.table.scrollTo(this.scrollAtFirst);
    this.scrollAtFirst = 0;
    this.table.render();
  }

  #drawAround() {
    this.toolbar.setCounts(this.store.counts, this.order.statuses);
    this.toolbar.setGroups(this.store.known.groups, this.order.grouping);
    this.toolbar.setOutputs(this.outputs.wanted, this.outputs.said);
    this.toolbar.setBell(this.page.bell.face);
    const freshness = this.page.freshness();
    this.toolbar.setFreshness(freshness);
    this.root.classList.toggle("hopx-dead", freshness.state === "gone" || freshness.state === "closed");
    this.#drawEmpty();
  }

  #drawEmpty() {
    const nothing = this.order.items.length === 0;
    const filtered = this.order.filtered && this.store.rows.size > 0;
    if (this.store.ready) this.root.classList.remove("hopx-quiet");
    setAttribute(this.empty, "hidden", !nothing);
    setAttribute(this.emptyButton, "hidden", !filtered);
    if (!this.store.ready) setText(this.emptyText, "connecting…");
    else setText(this.emptyText, filtered ? this.order.nothingInWords() : this.page.nothingInWords());
  }

  #tick() {
    if (document.hidden || !this.root.isConnected) return;
    if (this.page.alive) this.viewers.tick();
    if (this.frames.timer) return;
    if (this.page.alive) this.table.tick();
    this.#drawAround();
  }

  // -- what a person does --

  /** @param {KeyboardEvent} event that nothing in the view has taken */
  #onKey(event) {
    const typing = /** @type {Element} */ (event.target).closest("input:not([type=checkbox]), select");
    if (event.key !== "?" || typing || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.toolbar.keys.toggle();
  }

  /** @param {() => void} change */
  #filter(change) {
    change();
    this.#searchOutputs();
    this.table.rebuildAtTop();
    this.#drawAround();
  }

  #searchOutputs() {
    const { wanted } = this.outputs;
    this.outputs.search(wanted, wanted ? readSearch(this.order.search, this.store.known).words : "");
    this.order.found = this.outputs.found;
  }

  /** @param {() => void} choose */
  #chooseColumns(choose) {
    choose();
    rememberColumns(this.page.model, this.table.layout);
  }

  #clearFilters() {
    this.toolbar.search.value = "";
    this.#filter(() => {
      this.order.search = "";
      this.order.statuses.clear();
    });
    this.#focusTable();
  }

  /** @param {number} slot @param {import("./viewer.js").Tab} [tab] */
  #open(slot, tab) {
    const found = tab ? undefined : this.order.found.get(slot);
    this.viewers.open(slot, { tab: found?.stream ?? tab });
    if (found) this.viewers.find(slot, this.outputs.text);
    this.table.render();
  }

  /** @param {number} slot */
  #escape(slot) {
    const open = this.viewers.openSlots();
    const closing = open.includes(slot) ? slot : open[open.length - 1];
    if (closing !== undefined) this.viewers.close(closing);
    else if (this.order.filtered) this.#clearFilters();
    return true;
  }

  /** Brings a process into sight, for whoever clicked its notice. @param {number} slot */
  show(slot) {
    const index = this.order.indexOf(slot);
    if (index < 0) return;
    this.root.scrollIntoView({ block: "nearest" });
    this.selection.only(slot);
    this.table.moveTo(index);
  }

  /** @param {number} [slot] */
  #focusTable(slot) {
    const index = slot === undefined ? -1 : this.order.indexOf(slot);
    this.table.moveTo(Math.max(0, index < 0 ? this.table.indexOfActive() : index));
  }

  #viewersChanged() {
    const any = this.viewers.openSlots().length > 0;
    this.root.classList.toggle("hopx-viewing", any);
    this.request();
    this.#saveSoon();
  }

  #selected() {
    this.viewers.selectionChanged();
    clearTimeout(this.timers.selected);
    this.timers.selected = window.setTimeout(() => {
      this.page.link.send({ do: "selected", slots: [...this.selection.slots] });
    }, SELECTED_PAUSE);
    this.#saveSoon();
  }

  #saveSoon() {
    if (!this.restored) return;
    clearTimeout(this.timers.view);
    this.timers.view = window.setTimeout(() => this.page.save(remember(this)), VIEW_PAUSE);
  }

  // -- size --

  /** @param {number} width */
  #resized(width) {
    if (!width) return;
    this.root.classList.toggle("hopx-wide", width >= WIDE);
    this.root.classList.toggle("hopx-narrow", width < NARROW_ROOT);
    this.request();
  }
}
