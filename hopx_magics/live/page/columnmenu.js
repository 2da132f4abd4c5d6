/** The button and panel in which columns are chosen. */
import { drawing, el, setAttribute } from "./dom.js";

export class ColumnMenu {
  /**
   * @param {{choices: () => {key: string, label: string, wanted: boolean, crowdedOut: boolean}[],
   *   onChoose: (key: string, wanted: boolean) => void, onReset: () => void}} hooks
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.button = el("button", {
      type: "button", class: "hopx-toolbar-button", "aria-label": "Columns", title: "Columns", "aria-haspopup": "true",
      "aria-expanded": "false", onclick: () => this.#toggle(),
    }, drawing("columns"));
    this.panel = el("div", { class: "hopx-menu", role: "group", "aria-label": "Columns", hidden: true });
    this.element = el("div", { class: "hopx-menu-holder" }, this.button, this.panel);
    this.element.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#onKey(event));
    this.element.addEventListener("focusout", (/** @type {FocusEvent} */ event) => this.#onFocusOut(event));
    this.outside = (/** @type {Event} */ event) => {
      if (!this.element.contains(/** @type {Node} */ (event.target))) this.close();
    };
  }

  #toggle() {
    if (this.panel.hidden) this.#open();
    else this.close();
  }

  #open() {
    this.#fill();
    this.panel.hidden = false;
    this.#showOnTop();
    setAttribute(this.button, "aria-expanded", "true");
    this.panel.querySelector("input")?.focus();
    document.addEventListener("pointerdown", this.outside, true);
  }

  close() {
    if (this.panel.hidden) return;
    const inside = this.panel.contains(document.activeElement);
    this.panel.hidden = true;
    document.removeEventListener("pointerdown", this.outside, true);
    setAttribute(this.button, "aria-expanded", "false");
    if (inside) this.button.focus();
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

  #fill() {
    const choices = this.hooks.choices().map(({ key, label, wanted, crowdedOut }) => {
      const box = el("input", { type: "checkbox", "data-column": key });
      box.checked = wanted;
      box.addEventListener("change", () => this.#choose(key, box.checked));
      return el("label", { class: "hopx-choice" }, box, label, crowdedOut && el("span", { class: "hopx-hint" }, "no room"));
    });
    const reset = el("button", { type: "button", class: "hopx-button", onclick: () => this.#reset() }, "Default columns");
    this.panel.replaceChildren(...choices, reset);
  }

  /** @param {string} key @param {boolean} wanted */
  #choose(key, wanted) {
    this.hooks.onChoose(key, wanted);
    this.#fill();
    /** @type {HTMLElement | null} */ (this.panel.querySelector(`input[data-column="${key}"]`))?.focus();
  }

  #reset() {
    this.hooks.onReset();
    this.close();
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
