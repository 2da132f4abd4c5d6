/** Lines that were found in outputs, as a DataFrame of them is shown: each leads to its place, in a viewer below them. */
import { el, setText } from "./dom.js";

/** @import { Stream } from "./messages.js" */
/**
 * @typedef {object} FoundPlace
 * @property {Stream} stream
 * @property {number | null} line its number from 0
 * @property {string} text what is there
 */

const LONGEST_SOUGHT = 1000;
const MOST_SOUGHT = 1000;

/** @param {HTMLElement} element @returns {FoundPlace | null} null for what leads nowhere */
function placeIn({ dataset: { stream, line, text } }) {
  if ((stream !== "stdout" && stream !== "stderr") || !text || text.length > LONGEST_SOUGHT) return null;
  const number = Number(line);
  return { stream, line: Number.isSafeInteger(number) && number > 0 ? number - 1 : null, text };
}

export class FoundBox {
  /**
   * @param {HTMLElement} box
   * @param {(box: FoundBox, slot: number, place: FoundPlace, button: HTMLButtonElement) => void} onOpen
   *   shows the place of a button in the viewer of the box
   */
  constructor(box, onOpen) {
    this.box = box;
    this.onOpen = onOpen;
    /** @type {HTMLButtonElement | null} */
    this.opened = null;
    this.notice = el("div", { class: "hopx-line-notice", role: "status" });
    this.viewer = el("div", { class: "hopx-line-viewer", "data-lm-suppress-shortcuts": "true", hidden: true });
  }

  get isShown() {
    return this.box.isConnected;
  }

  get #places() {
    return /** @type {HTMLElement[]} */ ([...this.box.querySelectorAll("[data-run]")]);
  }

  /** @returns {string[]} the ids of the runs in which the lines are */
  get runs() {
    const runs = new Set(this.#places.map((element) => element.dataset.run ?? ""));
    return [...runs].filter((run) => run.length <= LONGEST_SOUGHT).slice(0, MOST_SOUGHT);
  }

  /** @param {Map<string, number | null>} slots those of the runs whose output can be shown */
  lead(slots) {
    for (const element of this.#places) {
      const slot = slots.get(element.dataset.run ?? "") ?? null;
      const place = placeIn(element);
      if (slot === null || !place) element.replaceChildren(element.textContent ?? "");
      else if (!element.querySelector("button")) element.replaceChildren(this.#button(element.textContent ?? "", slot, place));
    }
    if (!this.viewer.isConnected) this.box.append(this.notice, this.viewer);
  }

  /** @param {string} text @param {number} slot @param {FoundPlace} place */
  #button(text, slot, place) {
    const words = place.line === null ? "its last place" : `line ${place.line + 1}`;
    const button = el("button", {
      type: "button", class: "hopx-found-line", title: `Show ${words} in ${place.stream}`, "aria-expanded": "false",
      onclick: () => this.onOpen(this, slot, place, button),
    }, text);
    return button;
  }

  /** @param {HTMLButtonElement | null} button whose place is shown from now on */
  shows(button) {
    this.opened?.setAttribute("aria-expanded", "false");
    button?.setAttribute("aria-expanded", "true");
    this.opened = button;
  }

  /** The viewer is no longer there: the reader is back where they came from. */
  closed() {
    const { opened } = this;
    this.shows(null);
    if (document.activeElement === document.body) opened?.focus({ preventScroll: true });
  }

  /** @param {string} text "" for nothing */
  say(text) {
    setText(this.notice, text);
  }

  /** Nobody can be asked any more: what was found stays. */
  end() {
    this.lead(new Map());
    this.notice.remove();
    this.viewer.remove();
  }
}
