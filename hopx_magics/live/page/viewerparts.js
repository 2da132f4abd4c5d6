/** Parts of a viewer that know nothing of output: its buttons, its title and its strip of tabs. */

import { drawing, el, setAttribute, setText } from "./dom.js";
import { ICONS } from "./format.js";
import { givenOf, isOpenStatus, titleOf } from "./store.js";
import { elapsedInWords, exitInWords, progressInWords } from "./words.js";

/** @import { Row } from "./messages.js" */

/**
 * @param {import("./dom.js").Shape} shape its sign, and the name of its action where that has no other
 * @param {string} title @param {() => void} onclick @param {string} [action]
 */
export function viewerButton(shape, title, onclick, action = shape) {
  const label = el("span", { class: "hopx-tool-label" });
  return el(
    "button", { type: "button", class: "hopx-tool", "data-action": action, title, "aria-label": title, onclick },
    drawing(shape), label,
  );
}

/** @param {HTMLButtonElement} button @param {string} text beside the sign, "" for the sign alone */
export function labelButton(button, text) {
  setText(/** @type {HTMLElement} */ (button.lastChild), text);
}

/** @param {HTMLElement} button @param {boolean} pressed */
export function pressButton(button, pressed) {
  setAttribute(button, "aria-pressed", pressed ? "true" : "false");
}

/** Which process it is, and how it goes. */
export class ViewerTitle {
  constructor() {
    this.icon = el("span", { "aria-hidden": "true" });
    this.word = el("span");
    this.status = el("span", { class: "hopx-viewer-status" }, this.icon, this.word);
    this.name = el("bdi", { class: "hopx-viewer-name" });
    this.id = el("bdi", { class: "hopx-viewer-id" });
    this.time = el("span", { class: "hopx-viewer-time" });
    this.bar = el("progress", { class: "hopx-viewer-bar", max: "1", "aria-label": "Progress" });
    this.left = el("span", { class: "hopx-viewer-left" });
    this.element = el(
      "div", { class: "hopx-viewer-title" },
      this.status, this.name, this.id, this.time, el("span", { class: "hopx-viewer-progress" }, this.bar, this.left),
    );
  }

  /** @param {Row} row @param {number} now kernel clock @param {boolean} gone from the listing */
  show(row, now, gone) {
    setAttribute(this.status, "data-status", row.status);
    setAttribute(this.status, "title", row.detail || null);
    setText(this.icon, ICONS[row.status] ?? "?");
    setText(this.word, gone ? `${row.status}, no longer listed` : row.status);
    const name = row.name ? titleOf(row) : givenOf(row);
    setText(this.name, name);
    setAttribute(this.name, "title", name || null);
    setText(this.id, row.id);
    setAttribute(this.id, "title", row.id);
    setText(this.time, [elapsedInWords(row, now), exitInWords(row)].filter(Boolean).join(" · "));
    this.#showProgress(row);
  }

  /** @param {Row} row */
  #showProgress(row) {
    const known = row.progress !== null && row.status === "running";
    this.bar.hidden = !known;
    if (known) this.bar.value = row.progress ?? 0;
    setText(this.left, known ? progressInWords(row) : "");
  }
}

/** @param {Row} row @returns {string} the line behind the last one, "" while more may come */
export function endingOf(row) {
  if (isOpenStatus(row.status)) return "";
  return `— ${[row.status, exitInWords(row)].filter(Boolean).join(", ")} —`;
}

/** @param {Row} row */
export function viewerLabel(row) {
  return `Output of ${titleOf(row)}`;
}

/**
 * A strip of tabs for one panel: arrow keys move, and what has focus is shown.
 * @template {string} T
 */
export class TabStrip {
  /** @param {T[]} names @param {string} panelId @param {(name: T) => void} onSelect */
  constructor(names, panelId, onSelect) {
    this.names = names;
    this.onSelect = onSelect;
    this.tabs = names.map((name) => el("button", {
      type: "button", role: "tab", class: "hopx-tab", "data-tab": name, id: `${panelId}-${name}`,
      "aria-controls": panelId, onclick: () => onSelect(name),
    }, el("span", {}, name), " ", el("span", { class: "hopx-tab-size" })));
    this.element = el("div", {
      role: "tablist", class: "hopx-tabs", "aria-label": "What is shown",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
    }, this.tabs);
  }

  /** @param {T} name @param {string} size */
  setSize(name, size) {
    setText(/** @type {Element} */ (this.tabs[this.names.indexOf(name)].lastElementChild), size);
  }

  /** @param {T} name @param {HTMLElement} panel */
  show(name, panel) {
    this.tabs.forEach((tab, index) => {
      const selected = this.names[index] === name;
      setAttribute(tab, "aria-selected", selected ? "true" : "false");
      setAttribute(tab, "tabindex", selected ? "0" : "-1");
      if (selected) setAttribute(panel, "aria-labelledby", tab.id);
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const current = this.tabs.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const last = this.tabs.length - 1;
    /** @type {Record<string, number>} */
    const next = {
      ArrowRight: current === last ? 0 : current + 1, ArrowLeft: current <= 0 ? last : current - 1, Home: 0, End: last,
    };
    if (current < 0 || !(event.key in next)) return;
    event.preventDefault();
    event.stopPropagation();
    this.onSelect(this.names[next[event.key]]);
    this.tabs[next[event.key]].focus({ preventScroll: true });
  }
}
