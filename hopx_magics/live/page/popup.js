/** A button of the toolbar with a panel that opens below it. */
import { drawing, el, setAttribute } from "./dom.js";

export class Popup {
  /**
   * @param {object} parts
   * @param {import("./dom.js").Shape} parts.shape of the button
   * @param {string} parts.title of the button and of the panel
   * @param {() => (Node | string)[]} parts.fill what the panel holds when it opens
   */
  constructor({ shape, title, fill }) {
    this.fill = fill;
    this.button = el("button", {
      type: "button", class: "hopx-toolbar-button", "aria-label": title, title, "aria-haspopup": "true",
      "aria-expanded": "false", onclick: () => this.toggle(),
    }, drawing(shape));
    // It takes the focus itself when one clicks beside its buttons: else that would leave it, and close it.
    this.panel = el("div", { class: "hopx-menu", role: "group", "aria-label": title, tabindex: "-1", hidden: true });
    this.element = el("div", { class: "hopx-menu-holder" }, this.button, this.panel);
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    this.element.addEventListener("focusout", (/** @type {FocusEvent} */ event) => this.#onFocusOut(event));
    this.outside = (/** @type {Event} */ event) => {
      if (!this.element.contains(/** @type {Node} */ (event.target))) this.close();
    };
    /** @type {HTMLElement | null} what had the focus before */
    this.before = null;
  }

  toggle() {
    if (this.panel.hidden) this.#open();
    else this.close();
  }

  #open() {
    this.before = /** @type {HTMLElement | null} */ (document.activeElement);
    this.refill();
    this.panel.hidden = false;
    this.#showOnTop();
    setAttribute(this.button, "aria-expanded", "true");
    (this.panel.querySelector("input") ?? this.panel).focus({ preventScroll: true });
    document.addEventListener("pointerdown", this.outside, true);
  }

  refill() {
    this.panel.replaceChildren(...this.fill());
  }

  close() {
    if (this.panel.hidden) return;
    const inside = this.panel.contains(document.activeElement);
    this.panel.hidden = true;
    document.removeEventListener("pointerdown", this.outside, true);
    setAttribute(this.button, "aria-expanded", "false");
    if (inside) (this.before?.isConnected ? this.before : this.button).focus({ preventScroll: true });
  }

  /**
   * Notebooks cut off what reaches over an output's edge; the browser's top layer lies above all edges.
   */
  #showOnTop() {
    if (typeof this.panel.showPopover !== "function") return;
    this.panel.popover = "manual";
    this.panel.showPopover();
    const { right, bottom } = this.button.getBoundingClientRect();
    const { width, height } = this.panel.getBoundingClientRect();
    this.panel.style.left = `${Math.max(4, right - width)}px`;
    this.panel.style.top = `${Math.max(4, Math.min(bottom + 2, window.innerHeight - height - 4))}px`;
  }

  /** @param {FocusEvent} event */
  #onFocusOut(event) {
    if (event.relatedTarget && !this.element.contains(/** @type {Node} */ (event.relatedTarget))) this.close();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key !== "Escape" || this.panel.hidden) return;
    event.stopPropagation();
    event.preventDefault();
    this.close();
  }
}
