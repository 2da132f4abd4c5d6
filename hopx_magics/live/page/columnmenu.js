/** The button and panel in which columns are chosen. */
import { el } from "./dom.js";
import { Popup } from "./popup.js";

export class ColumnMenu {
  /**
   * @param {{choices: () => {key: string, label: string, wanted: boolean, crowdedOut: boolean}[],
   *   onChoose: (key: string, wanted: boolean) => void, onReset: () => void, note: () => string}} hooks
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.popup = new Popup({ shape: "columns", title: "Columns", fill: () => this.#content() });
    this.element = this.popup.element;
  }

  close() {
    this.popup.close();
  }

  #content() {
    /** @type {HTMLElement[]} */
    const choices = this.hooks.choices().map(({ key, label, wanted, crowdedOut }) => {
      const box = el("input", { type: "checkbox", "data-column": key });
      box.checked = wanted;
      box.addEventListener("change", () => this.#choose(key, box.checked));
      return el("label", { class: "hopx-choice" }, box, label, crowdedOut && el("span", { class: "hopx-hint" }, "no room"));
    });
    const note = this.hooks.note();
    if (note) choices.push(el("div", { class: "hopx-hint" }, note));
    return [...choices, el("button", { type: "button", class: "hopx-button", onclick: () => this.#reset() }, "Default columns")];
  }

  /** @param {string} key @param {boolean} wanted */
  #choose(key, wanted) {
    this.hooks.onChoose(key, wanted);
    this.popup.refill();
    /** @type {HTMLElement | null} */ (this.popup.panel.querySelector(`input[data-column="${CSS.escape(key)}"]`))?.focus();
  }

  #reset() {
    this.hooks.onReset();
    this.close();
  }
}
