/** The viewer of one process: title, tabs, tools, and the panes of its two streams. */

import { Asker } from "./asker.js";
import { Details } from "./details.js";
import { DisplayList } from "./displays.js";
import { copyText, el, setAttribute } from "./dom.js";
import { DownloadButton } from "./download.js";
import { Finder } from "./find.js";
import { sizeInWords, formatCount } from "./format.js";
import { MetricsTab } from "./metricstab.js";
import { Pane } from "./panes.js";
import { titleOf } from "./store.js";
import { endingOf, labelButton, pressButton, TabStrip, viewerButton, viewerLabel, ViewerTitle } from "./viewerparts.js";

/** @import { Link } from "./link.js" */
/** @import { Curves, Displays, OpenViewer, Output, Stream } from "./messages.js" */
/** @import { Store } from "./store.js" */
/** @typedef {"stdout" | "stderr" | "both" | "displays" | "metrics" | "details"} Tab */

/** @type {Tab[]} */
const VIEWER_TABS = ["stdout", "stderr", "both", "displays", "metrics", "details"];
const NOTICE_SHOWN = 1500;

let viewersMade = 0;

/** @param {Tab} tab @returns {Stream[]} the streams that it shows */
export function streamsOfTab(tab) {
  if (tab === "both") return ["stdout", "stderr"];
  return tab === "details" || tab === "displays" || tab === "metrics" ? [] : [tab];
}

/** @param {Pick<OpenViewer, "streams" | "displays" | "metrics">} shown @returns {Tab} */
export function tabShowing({ streams, displays, metrics }) {
  if (metrics) return "metrics";
  if (displays) return "displays";
  if (streams.length > 1) return "both";
  return streams.length ? streams[0] : "details";
}

export class Viewer {
  /**
   * @param {object} options
   * @param {number} options.slot
   * @param {Link} options.link
   * @param {Store} options.store
   * @param {() => number} options.now the clock by which times are shown
   * @param {Tab} options.tab
   * @param {boolean} options.pinned
   * @param {boolean} options.wrapped
   * @param {import("./metricstab.js").ChartSettings} options.charts
   * @param {(() => number[]) | null} options.selected rows that are selected in the table, if there is one
   * @param {boolean} options.chosen whether somebody wants this tab for this process
   * @param {(viewer: Viewer) => void} options.onClose
   * @param {(viewer: Viewer) => void} options.onSettings pinned, tab or wrap have changed
   */
  constructor(options) {
    this.slot = options.slot;
    this.now = options.now;
    this.store = options.store;
    this.tab = options.tab;
    this.pinned = options.pinned;
    /** Whether the tab is the reader's choice: else one is shown that has something. */
    this.chosen = options.chosen;
    this.wrapped = options.wrapped;
    this.onClose = options.onClose;
    this.onSettings = options.onSettings;
    this.row = options.store.rows.get(options.slot) ?? null;
    this.asker = new Asker(options.link, options.slot);
    this.panes = streamsOfTab("both").map((stream) => new Pane(stream, this.#paneHost()));
    this.active = this.panes[0];
    this.displays = new DisplayList(this.asker);
    this.metrics = new MetricsTab({
      link: options.link, store: options.store, slot: options.slot, settings: options.charts, selected: options.selected,
      onAsk: () => this.#askToShow(), onMissed: () => this.start(), onSettings: () => this.onSettings(this),
    });
    this.details = new Details(this.asker);
    this.title = new ViewerTitle();
    this.finder = new Finder({
      pane: () => this.active,
      asker: this.asker,
      onClose: () => this.#closeFind(),
    });
    this.download = new DownloadButton({
      asker: this.asker,
      streams: () => streamsOfTab(this.tab),
      name: () => (this.row ? titleOf(this.row) : ""),
    });
    this.pinButton = viewerButton("pin", "Keep open", () => this.#togglePinned());
    this.wrapButton = viewerButton("wrap", "Wrap long lines", () => this.#toggleWrapped());
    this.copyButton = viewerButton("copy", "Copy what is loaded, or the selection", () => this.#copy(), "copy-output");
    this.findButton = viewerButton("find", "Find (Ctrl+F or /)", () => this.#openFind());
    this.endButton = viewerButton("to-end", "To the end (End)", () => this.#toEnd());
    const paneElements = el("div", { class: "hopx-panes" }, this.panes.map((pane) => pane.element));
    this.body = el("div", { class: "hopx-viewer-body", role: "tabpanel" }, paneElements, this.displays.element, this.metrics.element, this.details.element);
    this.body.id = newPanelId();
    this.tabs = new TabStrip(VIEWER_TABS, this.body.id, (tab) => this.selectTab(tab));
    this.element = this.#build();
    this.rowChanged();
    this.#showTab();
    this.setWrapped(this.wrapped);
    this.setPinned(this.pinned);
  }

  /** @returns {import("./panes.js").PaneHost} */
  #paneHost() {
    return {
      asker: this.asker,
      onLines: (pane, match) => this.#linesChanged(pane, match),
    };
  }

  #build() {
    for (const pane of this.panes) {
      for (const event of ["focusin", "pointerdown"]) {
        pane.element.addEventListener(event, () => this.#activate(pane));
      }
    }
    const closeButton = viewerButton("close", "Close (Escape)", () => this.onClose(this));
    const tools = [this.wrapButton, this.copyButton, this.download.element, this.findButton, this.endButton];
    const group = el("div", { class: "hopx-tools", role: "group", "aria-label": "Tools of the output" }, tools);
    return el(
      "section", { class: "hopx-viewer", "data-slot": this.slot, onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) },
      el("div", { class: "hopx-viewer-head" }, this.title.element, this.pinButton, closeButton),
      el("div", { class: "hopx-viewer-tools" }, this.tabs.element, group),
      this.finder.element, this.asker.element, this.body,
    );
  }

  #togglePinned() {
    this.setPinned(!this.pinned);
    this.onSettings(this);
    this.start();
  }

  #toggleWrapped() {
    this.setWrapped(!this.wrapped);
    this.onSettings(this);
  }

  /** Asks the kernel for what is shown; asking again is harmless. */
  start() {
    this.asker.ask({ do: "open", ...this.#shown, pinned: this.pinned }).catch(() => {});
  }

  get #shown() {
    const curves = this.tab === "metrics" ? this.metrics.runs : [];
    return { streams: streamsOfTab(this.tab), displays: this.tab === "displays", curves };
  }

  /** @param {Output} message */
  receive(message) {
    const pane = this.#paneOf(message.stream);
    pane.receive(message);
    this.tabs.setSize(pane.stream, pane.sized ? sizeInWords(pane.size) : "");
    if (!this.chosen && this.panes.every(({ sized }) => sized)) this.#leaveEmpty();
  }

  /** @param {Displays} message */
  receiveDisplays(message) {
    this.displays.receive(message);
    this.#showCount();
  }

  /** @param {Curves & {buffers: DataView[]}} message */
  receiveCurves(message) {
    this.metrics.receive(message);
  }

  #showCount() {
    const { count } = this.displays;
    this.tabs.setSize("displays", count === null ? (this.row?.displays ? "●" : "") : formatCount(count));
  }

  /** Now that it is known how much there is: to the stream that has something, if this one has nothing. */
  #leaveEmpty() {
    this.chosen = true;
    const [shown, other] = [...this.panes].sort((pane) => (pane.stream === this.tab ? -1 : 1));
    if (shown.stream === this.tab && !shown.size && other.size) this.#changeTab(other.stream);
  }

  rowChanged() {
    const row = this.store.rows.get(this.slot);
    const gone = !row;
    this.row = row ?? this.row;
    if (!this.row) return;
    this.title.show(this.row, this.now(), gone);
    setAttribute(this.element, "aria-label", viewerLabel(this.row));
    for (const pane of this.panes) pane.setEnding(endingOf(this.row));
    this.details.refreshSoon();
    this.#showCount();
    this.metrics.changed();
    const names = Object.keys(this.row.metrics).length;
    this.tabs.setSize("metrics", names ? `${names}${this.row.metrics_cut ? "+" : ""}` : "");
  }

  /** A second has passed. */
  tick() {
    if (this.row?.status === "running") this.title.show(this.row, this.now(), !this.store.rows.has(this.slot));
  }

  /** @param {Tab} tab */
  selectTab(tab) {
    this.chosen = true;
    if (tab === this.tab) return;
    this.#changeTab(tab);
    this.onSettings(this);
  }

  /** Shows a place of a stream, with the text there marked. @param {import("./foundbox.js").FoundPlace} place */
  showPlace({ stream, line, text }) {
    this.selectTab(stream);
    if (line === null) this.finder.find(text);
    else this.finder.showLine(line, text);
  }

  /** @param {Tab} tab */
  #changeTab(tab) {
    const hadFocus = this.body.contains(document.activeElement);
    this.tab = tab;
    this.#showTab();
    if (hadFocus) this.focus();
    this.#askToShow();
  }

  #askToShow() {
    this.asker.ask({ do: "show", ...this.#shown }).catch(() => {});
  }

  #showTab() {
    const streams = streamsOfTab(this.tab);
    this.tabs.show(this.tab, this.body);
    this.body.classList.toggle("hopx-both", streams.length > 1);
    for (const pane of this.panes) pane.element.hidden = !streams.includes(pane.stream);
    this.displays.show(this.tab === "displays");
    this.metrics.show(this.tab === "metrics");
    this.details.show(this.tab === "details");
    const outputTools = [this.wrapButton, this.download.element, this.findButton, this.endButton];
    for (const tool of outputTools) tool.hidden = !streams.length;
    if (streams.length && !streams.includes(this.active.stream)) this.#activate(this.#paneOf(streams[0]));
    if (!streams.length) this.finder.close();
  }

  /** @param {Stream} stream */
  #paneOf(stream) {
    return this.panes.find((pane) => pane.stream === stream) ?? this.panes[0];
  }

  /** @param {Pane} pane */
  #activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    this.finder.refreshSoon();
  }

  get shownPanes() {
    return streamsOfTab(this.tab).map((stream) => this.#paneOf(stream));
  }

  /** @param {Pane} pane @param {number | null} match */
  #linesChanged(pane, match) {
    if (pane !== this.active) return;
    if (match === null) this.finder.refreshSoon();
    else this.finder.matchArrived(pane, match);
  }

  /** @param {boolean} pinned */
  setPinned(pinned) {
    this.pinned = pinned;
    pressButton(this.pinButton, pinned);
  }

  /** @param {boolean} wrapped */
  setWrapped(wrapped) {
    this.wrapped = wrapped;
    pressButton(this.wrapButton, wrapped);
    this.body.classList.toggle("hopx-nowrap", !wrapped);
  }

  focus() {
    this.#place.focus({ preventScroll: true });
    this.reveal();
  }

  /** Where the reader is. @returns {HTMLElement} */
  get #place() {
    if (this.tab === "displays") return this.displays.element;
    if (this.tab === "metrics") return this.metrics.element;
    return this.tab === "details" ? this.details.element : this.active.output;
  }

  /** Scrolls to it, once the notebook has made room for it. */
  reveal() {
    requestAnimationFrame(() => requestAnimationFrame(() => this.element.scrollIntoView({ block: "nearest" })));
  }

  get hasFocus() {
    return this.element.contains(document.activeElement);
  }

  #toEnd() {
    for (const pane of this.shownPanes) pane.toEnd();
  }

  #openFind() {
    if (streamsOfTab(this.tab).length) this.finder.open();
  }

  #closeFind() {
    this.finder.close();
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const inText = event.target === this.finder.input;
    const action = inText ? this.#keyInFind(event) : this.#keyInViewer(event);
    // What is typed here is no shortcut of the table.
    if (action || inText) event.stopPropagation();
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** @param {KeyboardEvent} event @returns {(() => void) | null} */
  #keyInFind(event) {
    if (event.key === "Escape") return this.finder.input.value ? () => this.#closeFind() : () => this.onClose(this);
    return isFindKey(event) ? () => this.#openFind() : null;
  }

  /** @param {KeyboardEvent} event @returns {(() => void) | null} */
  #keyInViewer(event) {
    if (event.key === "Escape") return () => this.onClose(this);
    if (!streamsOfTab(this.tab).length) return null;
    if (isFindKey(event) || (event.key === "/" && !event.ctrlKey && !event.metaKey)) return () => this.#openFind();
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return null;
    const pane = this.active;
    /** @type {Record<string, () => void>} */
    const moves = {
      Home: () => pane.toTop(), End: () => pane.toEnd(), PageUp: () => pane.pageBy(-1), PageDown: () => pane.pageBy(1),
    };
    return moves[event.key] ?? null;
  }

  async #copy() {
    const text = selectionIn(this.body) || this.#loadedText();
    labelButton(this.copyButton, (await copyText(text)) ? "copied" : "could not copy");
    setTimeout(() => labelButton(this.copyButton, ""), NOTICE_SHOWN);
  }

  #loadedText() {
    if (this.tab === "details") return this.details.text();
    if (this.tab === "displays") return this.displays.text();
    if (this.tab === "metrics") return this.metrics.text();
    const panes = this.shownPanes;
    if (panes.length === 1) return panes[0].window.text();
    return panes.map((pane) => `--- ${pane.stream} ---\n${pane.window.text()}`).join("\n\n");
  }

  destroy() {
    this.download.destroy();
    this.finder.destroy();
    this.displays.destroy();
    this.metrics.destroy();
    this.details.destroy();
    for (const pane of this.panes) pane.destroy();
    this.element.remove();
  }
}

/** @returns {string} */
function newPanelId() {
  viewersMade += 1;
  return `hopx-panel-${viewersMade}-${Math.random().toString(36).slice(2, 8)}`;
}

/** @param {KeyboardEvent} event */
function isFindKey(event) {
  return event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
}

/** @param {HTMLElement} element @returns {string} what is selected in it */
function selectionIn(element) {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed || !selection.anchorNode) return "";
  return element.contains(selection.anchorNode) && element.contains(selection.focusNode) ? selection.toString() : "";
}
