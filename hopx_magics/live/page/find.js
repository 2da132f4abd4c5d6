/** Finding text in a pane: first among its loaded lines, then, by the kernel, in the rest of the stream. */

import { lineText } from "./ansi.js";
import { textOf } from "./asker.js";
import { el, setText } from "./dom.js";
import { sizeInWords } from "./format.js";
import { Marks } from "./marks.js";
import { viewerButton } from "./viewerparts.js";

/** @import { Asker } from "./asker.js" */
/** @import { Direction, FindAnswer } from "./messages.js" */
/** @import { Pane } from "./panes.js" */
/** @typedef {{number: number, start: number, end: number}} Match in the line with this number */

const MOST_MATCHES = 10_000;
const MOST_MARKS = 1000;
const REFRESH_DELAY = 200;

export class Finder {
  /**
   * @param {object} host
   * @param {() => Pane} host.pane the one that is searched
   * @param {Asker} host.asker
   * @param {() => void} host.onClose
   */
  constructor(host) {
    this.host = host;
    /** @type {Match[]} */
    this.matches = [];
    /** @type {Match | null} */
    this.current = null;
    this.marks = new Marks();
    /** Whether the place of the text is to be shown once there are lines. */
    this.sought = false;
    this.timer = 0;
    this.search = 0;
    /** @type {Pane | null} */
    this.searched = null;
    this.input = el("input", {
      type: "text", class: "hopx-find-text", "aria-label": "Find in output", placeholder: "Find", spellcheck: "false",
      autocomplete: "off", oninput: () => this.#typed(), onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e),
    });
    this.status = el("span", { class: "hopx-find-status", role: "status" });
    this.element = el(
      "div", { class: "hopx-find", role: "search", hidden: true }, this.input,
      viewerButton("older", "Older match (Enter)", () => this.step("before")),
      viewerButton("newer", "Newer match (Shift+Enter)", () => this.step("after")),
      this.status, viewerButton("close-find", "Close the search", () => host.onClose()),
    );
  }

  get isOpen() {
    return !this.element.hidden;
  }

  open() {
    this.element.hidden = false;
    this.input.focus({ preventScroll: true });
    this.input.select();
    this.refresh();
  }

  /** Shows where a text is, the last place first, as soon as there are lines. @param {string} text */
  find(text) {
    this.element.hidden = false;
    this.input.value = text;
    this.current = null;
    this.sought = true;
    this.refresh();
  }

  /** Shows the line with a number, from 0, and marks a text in it. @param {number} line @param {string} text */
  async showLine(line, text) {
    this.find(text);
    this.sought = false;
    this.search += 1;
    const { search } = this;
    const pane = this.host.pane();
    try {
      const { answer } = await this.host.asker.askQuietly({ do: "around", stream: pane.stream, line });
      if (search === this.search && !answer.found) this.find(text);
    } catch (error) {
      if (search === this.search) this.#say(textOf(error));
    }
  }

  close() {
    this.element.hidden = true;
    this.sought = false;
    this.input.value = "";
    this.#forget();
    this.#say("");
  }

  /** The lines have changed: searches them again soon, once for many changes. */
  refreshSoon() {
    if (this.isOpen && this.input.value && !this.timer) {
      this.timer = window.setTimeout(() => this.refresh(), REFRESH_DELAY);
    }
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = 0;
    const pane = this.host.pane();
    if (pane !== this.searched) this.current = null;
    this.searched = pane;
    this.matches = matchesIn(pane, this.input.value);
    const { current } = this;
    if (current) this.current = this.matches.find((match) => isSamePlace(match, current)) ?? null;
    this.#paint();
    this.#count();
    if (!this.sought || !pane.window.lines.length) return;
    this.sought = false;
    this.step("before");
  }

  /** The kernel has sent the lines around a match. @param {Pane} pane @param {number} number of its line */
  matchArrived(pane, number) {
    if (!this.isOpen) return;
    this.current = null;
    this.refresh();
    this.current = this.matches.find((match) => match.number === number) ?? { number, start: 0, end: 0 };
    this.#showCurrent(pane);
  }

  /** @param {Direction} direction */
  async step(direction) {
    if (!this.input.value) return;
    this.refresh();
    const next = direction === "before" ? this.#older() : this.#newer();
    const pane = this.host.pane();
    if (next) {
      this.current = next;
      this.#showCurrent(pane);
    } else await this.#askKernel(pane, direction);
  }

  /** @returns {Match | undefined} */
  #older() {
    const pane = this.host.pane();
    const { current } = this;
    if (current) return this.matches.findLast((match) => isBefore(match, current));
    const seen = pane.window.first + pane.lastSeen();
    return this.matches.findLast((match) => match.number <= seen);
  }

  /** @returns {Match | undefined} */
  #newer() {
    const { current } = this;
    return current ? this.matches.find((match) => isBefore(current, match)) : this.matches[0];
  }

  /** @param {Pane} pane @param {Direction} direction */
  async #askKernel(pane, direction) {
    const from = direction === "before" ? pane.window.begin : pane.window.end;
    const exhausted = direction === "before" ? from === 0 : from >= pane.size;
    if (exhausted) {
      this.#say(this.matches.length ? `no ${direction === "before" ? "older" : "newer"} match` : "not found");
      return;
    }
    this.search += 1;
    const { search } = this;
    this.#say("searching…");
    try {
      const { stream } = pane;
      const { answer } = await this.host.asker.askQuietly({ do: "find", stream, text: this.input.value, from, direction });
      this.#answered(search, answer, pane);
    } catch (error) {
      if (search === this.search) this.#say(textOf(error));
    }
  }

  /** @param {number} search @param {FindAnswer} answer @param {Pane} pane */
  #answered(search, answer, pane) {
    if (search !== this.search || !this.isOpen) return;
    if (!answer.found) {
      const scanned = answer.scanned ? ` in ${sizeInWords(answer.scanned)}` : "";
      this.#say(`not found${scanned}`);
    } else if (!this.current && answer.line !== null) this.matchArrived(pane, answer.line);
    else this.#count();
  }

  /** @param {Pane} pane */
  #showCurrent(pane) {
    this.#paint();
    if (this.current) pane.showLine(this.current.number - pane.window.first, this.marks.current ?? undefined);
    this.#count();
  }

  #typed() {
    this.search += 1;
    this.current = null;
    this.refresh();
    const match = this.#older() ?? this.matches[0];
    if (!match) return;
    this.current = match;
    this.#showCurrent(this.host.pane());
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    this.step(event.shiftKey ? "after" : "before");
  }

  #count() {
    if (!this.input.value) {
      this.#say("");
      return;
    }
    const { current } = this;
    const total = this.matches.length < MOST_MATCHES ? `${this.matches.length}` : `${MOST_MATCHES}+`;
    const index = current ? this.matches.findIndex((match) => isSamePlace(match, current)) : -1;
    const whole = this.searched && this.searched.window.begin === 0 && this.searched.behind === 0;
    const loaded = whole ? "" : " loaded";
    if (this.matches.length) this.#say(index >= 0 ? `${index + 1} of ${total}${loaded}` : `${total}${loaded}`);
    else this.#say(current ? "found" : whole ? "not found" : "none loaded: Enter searches all");
  }

  /** @param {string} text */
  #say(text) {
    setText(this.status, text);
  }

  #paint() {
    this.marks.clear();
    const pane = this.searched;
    if (!pane) return;
    const { current } = this;
    const at = current ? this.matches.findIndex((match) => isSamePlace(match, current)) : this.matches.length;
    const start = Math.max(0, at - MOST_MARKS / 2);
    const nodeOf = (/** @type {Match} */ match) => pane.window.nodes[match.number - pane.window.first];
    for (const match of this.matches.slice(start, start + MOST_MARKS)) {
      const isCurrent = current !== null && isSamePlace(match, current);
      this.marks.add(nodeOf(match), match.start, match.end, isCurrent);
    }
    if (current) this.marks.addLine(nodeOf(current));
  }

  #forget() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.search += 1;
    this.marks.clear();
    this.matches = [];
    this.current = null;
    this.searched = null;
  }

  destroy() {
    this.#forget();
  }
}

/** @param {Pane} pane @param {string} text @returns {Match[]} oldest first */
function matchesIn(pane, text) {
  /** @type {Match[]} */
  const matches = [];
  if (!text) return matches;
  const pattern = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  const { lines, first } = pane.window;
  for (let index = 0; index < lines.length && matches.length < MOST_MATCHES; index += 1) {
    for (const found of lineText(lines[index]).matchAll(pattern)) {
      matches.push({ number: first + index, start: found.index, end: found.index + found[0].length });
      if (matches.length >= MOST_MATCHES) break;
    }
  }
  return matches;
}

/** @param {Match} one @param {Match} other */
function isSamePlace(one, other) {
  return one.number === other.number && one.start === other.start;
}

/** @param {Match} one @param {Match} other */
function isBefore(one, other) {
  return one.number < other.number || (one.number === other.number && one.start < other.start);
}
