/** What stands around the lines of a pane: its heading, and words on what comes before and behind them. */

import { el, setText } from "./dom.js";
import { sizeInWords } from "./format.js";

/**
 * @typedef {object} PaneState
 * @property {number} begin first byte that is loaded
 * @property {boolean} reachable whether there is output before it
 * @property {boolean} pagedBack whether the reader has gone back
 * @property {import("./messages.js").Direction | null} paging
 * @property {boolean} held
 * @property {number} behind bytes that the stream has behind what is loaded
 * @property {number | null} size of the stream, null before anything is known
 * @property {boolean} ended
 * @property {string} ending
 * @property {string} note
 */

export class PaneFrame {
  /**
   * @param {string} stream @param {HTMLElement} lines
   * @param {{onEarlier: () => void, onEnd: () => void}} actions
   */
  constructor(stream, lines, { onEarlier, onEnd }) {
    this.lines = lines;
    this.earlier = el("button", { type: "button", class: "hopx-earlier", onclick: onEarlier });
    this.beginning = el("div", { class: "hopx-edge" });
    this.tail = el("div", { class: "hopx-edge hopx-tail" });
    this.content = el("div", { class: "hopx-content" }, this.earlier, this.beginning, lines, this.tail);
    this.output = /** @type {HTMLElement} */ (el("div", {
      class: "hopx-output", "data-stream": stream, tabindex: "0", role: "log", "aria-live": "off",
      "aria-label": `Output, ${stream}`,
    }, this.content));
    this.more = el("button", { type: "button", class: "hopx-more", onclick: onEnd });
    this.size = el("span");
    const heading = el("div", { class: "hopx-pane-head" }, el("span", {}, stream), this.size);
    const area = el("div", { class: "hopx-pane-area" }, this.output, this.more);
    this.element = /** @type {HTMLElement} */ (el("div", { class: "hopx-pane", "data-stream": stream }, heading, area));
  }

  /** @param {PaneState} state */
  show(state) {
    const hasNote = state.note !== "";
    this.lines.hidden = hasNote;
    this.#showEdge(state, hasNote);
    setText(this.tail, tailText(state));
    this.tail.hidden = tailText(state) === "";
    this.tail.classList.toggle("hopx-note", hasNote);
    this.more.hidden = !state.held || hasNote;
    setText(this.more, state.behind ? `↓ ${sizeInWords(state.behind)} more` : "↓ to the end");
    setText(this.size, hasNote ? "" : sizeInWords(state.size));
  }

  /** @param {PaneState} state @param {boolean} hasNote */
  #showEdge({ begin, reachable, pagedBack, paging }, hasNote) {
    const waits = paging === "before";
    setText(this.earlier, waits ? "loading earlier output…" : `earlier output: ${sizeInWords(begin)} before this`);
    this.earlier.hidden = hasNote || !reachable;
    setText(this.beginning, begin > 0 ? "no earlier output is kept" : "beginning of output");
    this.beginning.hidden = hasNote || reachable || !pagedBack;
  }
}

/** @param {PaneState} state */
function tailText({ note, size, paging, ended, ending }) {
  if (note) return note;
  if (size === null) return "loading…";
  if (paging === "after") return "loading later output…";
  if (size === 0) return ended ? "nothing printed" : "nothing printed yet";
  return ended ? ending : "";
}
