/** All open viewers of a table: any number of pinned ones, and one that shows what is opened next. */

import { el } from "./dom.js";
import { newChartSettings } from "./metricstab.js";
import { streamsOfTab, tabShowing, Viewer } from "./viewer.js";

/** @import { Link } from "./link.js" */
/** @import { Curves, Displays, OpenViewer, Output } from "./messages.js" */
/** @import { Store } from "./store.js" */
/** @import { Tab } from "./viewer.js" */

export class Viewers {
  /**
   * @param {object} options
   * @param {Link} options.link
   * @param {Store} options.store
   * @param {() => number} options.now the clock by which times are shown
   * @param {() => number[]} options.selected rows that are selected in the table
   * @param {() => void} options.onChange viewers were opened, closed or set otherwise
   * @param {(slot: number) => void} options.onFocusTable a viewer that had the focus was closed
   */
  constructor({ link, store, now, selected, onChange, onFocusTable }) {
    this.link = link;
    this.store = store;
    this.now = now;
    this.selected = selected;
    this.onChange = onChange;
    this.onFocusTable = onFocusTable;
    /** @type {Map<number, Viewer>} */
    this.viewers = new Map();
    /** @type {Tab} */
    this.tab = "stdout";
    this.wrapped = true;
    this.charts = newChartSettings();
    this.element = el("div", { class: "hopx-viewers", hidden: true });
  }

  /**
   * Shows a process; without a `tab`, by the one that was used last, or by the stream that has something.
   * @param {number} slot
   * @param {{pinned?: boolean, tab?: Tab, focus?: boolean}} [how]
   */
  open(slot, { pinned = false, tab, focus = true } = {}) {
    let viewer = this.viewers.get(slot);
    if (viewer) {
      if (tab) viewer.selectTab(tab);
    } else {
      const height = pinned ? "" : this.#closeUnpinned();
      viewer = this.#add(slot, tab ?? this.tab, pinned, tab !== undefined);
      viewer.body.style.height = height;
      viewer.start();
    }
    this.#changed();
    if (focus) viewer.focus();
  }

  /** @param {number} slot @param {Tab} tab @param {boolean} pinned @param {boolean} chosen */
  #add(slot, tab, pinned, chosen) {
    const viewer = new Viewer({
      slot, tab, pinned, chosen, link: this.link, store: this.store, now: this.now, wrapped: this.wrapped,
      charts: this.charts, selected: this.selected,
      onClose: () => this.close(slot),
      onSettings: (changed) => this.#settingsChanged(changed),
    });
    this.viewers.set(slot, viewer);
    this.element.append(viewer.element);
    return viewer;
  }

  /** @param {Viewer} viewer */
  #settingsChanged(viewer) {
    this.tab = viewer.tab;
    this.wrapped = viewer.wrapped;
    this.onChange();
  }

  /** @returns {string} the height that the reader had given it */
  #closeUnpinned() {
    let height = "";
    for (const viewer of [...this.viewers.values()]) {
      if (viewer.pinned) continue;
      height = viewer.body.style.height;
      this.#remove(viewer);
    }
    return height;
  }

  /** @param {Viewer} viewer */
  #remove(viewer) {
    this.viewers.delete(viewer.slot);
    viewer.destroy();
    viewer.asker.tell({ do: "close" });
  }

  /** Marks a text in an open viewer, and shows its last place. @param {number} slot @param {string} text */
  find(slot, text) {
    this.viewers.get(slot)?.finder.find(text);
  }

  /** @param {number} slot */
  close(slot) {
    const viewer = this.viewers.get(slot);
    if (!viewer) return;
    const hadFocus = viewer.hasFocus;
    this.#remove(viewer);
    this.#changed();
    if (hadFocus) this.onFocusTable(slot);
  }

  /** @param {number} slot */
  isOpen(slot) {
    return this.viewers.has(slot);
  }

  /** @returns {number[]} */
  openSlots() {
    return [...this.viewers.keys()];
  }

  /** @returns {OpenViewer[]} what `restore` takes */
  openViewers() {
    return [...this.viewers.values()].map(({ slot, tab, pinned }) => (
      { slot, streams: streamsOfTab(tab), displays: tab === "displays", metrics: tab === "metrics", pinned }
    ));
  }

  /**
   * After a reload, opens what was open; after trouble on the way, asks again for what is open here.
   * @param {OpenViewer[]} list
   */
  restore(list) {
    if (this.viewers.size) {
      for (const viewer of this.viewers.values()) viewer.start();
      return;
    }
    for (const viewer of list) {
      if (!this.viewers.has(viewer.slot)) this.#add(viewer.slot, tabShowing(viewer), viewer.pinned, true).start();
    }
    this.#changed();
  }

  /** @param {(Output | Displays | Curves) & {buffers: DataView[]}} message */
  receive(message) {
    if (message.to !== this.link.page) return;
    const viewer = this.viewers.get(message.slot);
    if (message.kind === "output") viewer?.receive(message);
    else if (message.kind === "displays") viewer?.receiveDisplays(message);
    else viewer?.receiveCurves(message);
  }

  /** Other rows are selected in the table. */
  selectionChanged() {
    for (const viewer of this.viewers.values()) viewer.metrics.changed();
  }

  /** @param {Set<number> | number[] | null} slots null: all */
  rowsChanged(slots) {
    for (const slot of slots ?? this.viewers.keys()) this.viewers.get(slot)?.rowChanged();
  }

  /** A second has passed. */
  tick() {
    for (const viewer of this.viewers.values()) viewer.tick();
  }

  #changed() {
    this.element.hidden = this.viewers.size === 0;
    this.onChange();
  }

  /** Leaves the kernel's own list of what is open as it is: the page may come back. */
  destroy() {
    for (const viewer of this.viewers.values()) viewer.destroy();
    this.viewers.clear();
    this.element.remove();
  }
}
