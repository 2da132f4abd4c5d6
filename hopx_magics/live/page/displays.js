/** The displays of a process: text, pictures, tables, and what only a frame of its own may show. */

import { lineElement } from "./ansi.js";
import { el, setText } from "./dom.js";
import { formatCount } from "./format.js";
import { harmlessFrame } from "./frame.js";
import { elementsOf } from "./linemarkup.js";

/** @import { Asker } from "./asker.js" */
/** @import { Displays, Form, PictureForm } from "./messages.js" */

const NEAR_END = 4;

export class DisplayList {
  /** @param {Asker} asker */
  constructor(asker) {
    this.asker = asker;
    /** @type {Map<number, HTMLElement>} by their numbers */
    this.shown = new Map();
    /** How many there are, null before that is known. @type {number | null} */
    this.count = null;
    /** Whether the reader is at the end, and stays there. @type {boolean | null} */
    this.follows = null;
    this.more = el("button", { type: "button", class: "hopx-earlier", hidden: true, onclick: () => this.#askForMore() });
    this.list = el("div", { class: "hopx-display-list" });
    this.note = el("div", { class: "hopx-edge" }, "loading…");
    this.content = el("div", { class: "hopx-display-content" }, this.more, this.list, this.note);
    this.element = /** @type {HTMLElement} */ (el("div", {
      class: "hopx-displays", tabindex: "0", role: "log", "aria-live": "off", "aria-label": "Displays", hidden: true,
      onscroll: () => this.#scrolled(),
    }, this.content));
    this.observer = new ResizeObserver(() => this.#stay());
    this.observer.observe(this.content);
  }

  /** @param {boolean} visible */
  show(visible) {
    this.element.hidden = !visible;
  }

  /** @param {Displays} message */
  receive({ note, first, earlier, ended, shown }) {
    this.follows ??= !ended;
    for (const number of [...this.shown.keys()]) if (number < first) this.#put(number, null);
    for (const [number, form] of shown) this.#put(number, this.#build(form));
    this.count = earlier + this.shown.size;
    this.more.hidden = earlier === 0;
    setText(this.more, `earlier displays: ${formatCount(earlier)} before this`);
    this.note.hidden = this.count > 0 && !note;
    this.note.classList.toggle("hopx-note", note !== null);
    setText(this.note, note ?? (ended ? "nothing displayed" : "nothing displayed yet"));
    this.#stay();
  }

  /** @param {number} number @param {HTMLElement | null} element null takes it away */
  #put(number, element) {
    const old = this.shown.get(number);
    if (!element) {
      old?.remove();
      this.shown.delete(number);
      return;
    }
    if (old) old.replaceWith(element);
    else this.list.insertBefore(element, this.#elementBehind(number));
    this.shown.set(number, element);
    element.dataset.number = String(number);
  }

  /** @param {Form} form @returns {HTMLElement} */
  #build(form) {
    const scheme = getComputedStyle(this.element).colorScheme;
    return el("div", { class: "hopx-display", "data-form": form.form }, contentOf(form, scheme));
  }

  /** @param {number} number @returns {Element | null} */
  #elementBehind(number) {
    let behind = null;
    for (let last = this.list.lastElementChild; last; last = last.previousElementSibling) {
      if (Number(/** @type {HTMLElement} */ (last).dataset.number) < number) break;
      behind = last;
    }
    return behind;
  }

  #askForMore() {
    this.follows = false;
    this.asker.ask({ do: "more" }).catch(() => {});
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    if (clientHeight) this.follows = scrollHeight - clientHeight - scrollTop <= NEAR_END;
  }

  #stay() {
    if (this.follows) this.element.scrollTop = this.element.scrollHeight;
  }

  text() {
    return [...this.list.children].map((element) => /** @type {HTMLElement} */ (element).innerText).join("\n");
  }

  destroy() {
    this.observer.disconnect();
  }
}

/** @param {Form} form @param {string} scheme @returns {Node | Node[]} */
function contentOf(form, scheme) {
  if (form.form === "text") return form.lines.map(lineElement);
  if (form.form === "picture") return pictureElement(form);
  return form.form === "markup" ? plainMarkup(form.html) : harmlessFrame(form, scheme);
}

/** @param {string} html @returns {HTMLElement} */
function plainMarkup(html) {
  const markup = el("div", { class: "hopx-markup" });
  markup.append(elementsOf(html));
  // The corner above an index is no header of anything.
  for (const corner of markup.querySelectorAll("th:empty")) {
    corner.replaceWith(el("td", { colspan: corner.getAttribute("colspan"), rowspan: corner.getAttribute("rowspan") }));
  }
  return markup;
}

/** @param {PictureForm} form */
function pictureElement({ address, width, height }) {
  const src = address.startsWith("data:image/") ? address : null;
  return el("img", { class: "hopx-picture", alt: "figure", decoding: "async", width, height, src });
}
