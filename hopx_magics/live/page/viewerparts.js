/** Parts of a viewer that know nothing of output: its buttons, its title and its strip of tabs. */

import { el, setAttribute, setText } from "./dom.js";
import { formatDuration, formatPercent, formatRoughly, ICONS } from "./format.js";
import { elapsedAt, isOpenStatus, titleOf } from "./store.js";

/** @typedef {import("./store.js").Row} Row */

/** @type {Record<string, string>} lines in a square of 16 */
const SIGNS = {
  pin: "M6 2h4M6.7 2v4.6L4.4 9.4h7.2L9.3 6.6V2M8 9.4V14",
  close: "M4 4l8 8M12 4l-8 8",
  wrap: "M2.5 3.5h11M2.5 7.5h8.7a2.1 2.1 0 0 1 0 4.2H8M9.8 9.8L7.9 11.7l1.9 1.9M2.5 11.7h2.6",
  "copy-output": "M6 5.5h7v8H6zM10 5.5v-3H3v8h3",
  download: "M8 2.5v7.2M4.9 6.9L8 10l3.1-3.1M3 13.5h10",
  find: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zM10.2 10.2l3.3 3.3",
  "to-end": "M4.2 3l3.8 3.8L11.8 3M4.2 7.5L8 11.3l3.8-3.8M3 14h10",
  older: "M3.8 10L8 5.8l4.2 4.2",
  newer: "M3.8 6L8 10.2 12.2 6",
  "close-find": "M4.5 4.5l7 7M11.5 4.5l-7 7",
};

/** @param {string} name the action @param {string} title @param {() => void} onclick @returns {HTMLButtonElement} */
export function viewerButton(name, title, onclick) {
  const label = el("span", { class: "hopx-tool-label" });
  return el(
    "button", { type: "button", class: "hopx-tool", "data-action": name, title, "aria-label": title, onclick },
    signOf(name), label,
  );
}

/** @param {HTMLElement} button @param {string} text beside the sign, "" for the sign alone */
export function labelButton(button, text) {
  setText(/** @type {HTMLElement} */ (button.lastChild), text);
}

/** @param {HTMLElement} button @param {boolean} pressed */
export function pressButton(button, pressed) {
  setAttribute(button, "aria-pressed", pressed ? "true" : "false");
}

/** @param {string} name */
function signOf(name) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("class", "hopx-sign");
  picture.setAttribute("aria-hidden", "true");
  path.setAttribute("d", SIGNS[name]);
  picture.append(path);
  return picture;
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
    setText(this.name, row.name || "");
    setAttribute(this.name, "title", row.name || null);
    setText(this.id, row.id);
    setAttribute(this.id, "title", row.id);
    const exit = row.exit_code === null ? "" : `exit ${row.exit_code}`;
    setText(this.time, [formatDuration(elapsedAt(row, now)), exit].filter(Boolean).join(" · "));
    this.#showProgress(row);
  }

  /** @param {Row} row */
  #showProgress(row) {
    const known = row.progress !== null && row.status === "running";
    this.bar.hidden = !known;
    if (known) this.bar.value = row.progress;
    const left = known && row.left !== null ? `, ${formatRoughly(row.left)} left` : "";
    setText(this.left, known ? `${formatPercent(row.progress)}${left}` : "");
  }
}

/** @param {Row} row @returns {string} the line behind the last one, "" while more may come */
export function endingOf(row) {
  if (isOpenStatus(row.status)) return "";
  const exit = row.exit_code === null ? "" : `, exit ${row.exit_code}`;
  return `— ${row.status}${exit} —`;
}

/** @param {Row} row */
export function viewerLabel(row) {
  return `Output of ${titleOf(row)}`;
}

/** A strip of tabs for one panel: arrow keys move, and what has focus is shown. */
export class TabStrip {
  /** @param {string[]} names @param {string} panelId @param {(name: string) => void} onSelect */
  constructor(names, panelId, onSelect) {
    this.names = names;
    this.onSelect = onSelect;
    this.tabs = names.map((name) => el("button", {
      type: "button", role: "tab", class: "hopx-tab", "data-tab": name, id: `${panelId}-${name}`,
      "aria-controls": panelId, onclick: () => onSelect(name),
    }, name));
    this.element = el("div", {
      role: "tablist", class: "hopx-tabs", "aria-label": "What is shown",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
    }, this.tabs);
  }

  /** @param {string} name @param {HTMLElement} panel */
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
    const current = this.tabs.indexOf(/** @type {any} */ (event.target));
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
