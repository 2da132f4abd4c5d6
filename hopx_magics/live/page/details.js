/** All that is known of a process, and its code. */

import { textOf } from "./asker.js";
import { el, setText } from "./dom.js";

/** @import { Asker } from "./asker.js" */
/** @import { DetailsAnswer } from "./messages.js" */

const DETAILS_DELAY = 2000;

export class Details {
  /** @param {Asker} asker */
  constructor(asker) {
    this.asker = asker;
    /** No `dl`: notebooks have rules of their own for it. */
    this.list = el("div", { class: "hopx-facts" });
    this.codeTitle = el("div", { class: "hopx-details-title", hidden: true }, "code");
    this.code = el("pre", { class: "hopx-code", hidden: true });
    this.note = el("div", { class: "hopx-edge" }, "loading…");
    this.element = el(
      "div", { class: "hopx-details", tabindex: "0", role: "group", "aria-label": "Details", hidden: true },
      this.note, this.list, this.codeTitle, this.code,
    );
    this.timer = 0;
    this.loading = false;
    this.stale = false;
    this.wanted = false;
  }

  /** @param {boolean} visible */
  show(visible) {
    this.element.hidden = !visible;
    this.wanted = visible;
    if (visible) this.#load();
  }

  /** The row has changed: asks again, but not for every step of its progress. */
  refreshSoon() {
    if (!this.wanted || this.timer) return;
    this.timer = window.setTimeout(() => {
      this.timer = 0;
      if (this.wanted) this.#load();
    }, DETAILS_DELAY);
  }

  async #load() {
    this.stale = this.loading;
    if (this.loading) return;
    this.loading = true;
    try {
      this.#fill((await this.asker.ask({ do: "details" })).answer);
    } catch (error) {
      setText(this.note, textOf(error));
      this.note.hidden = false;
    }
    this.loading = false;
    if (this.stale && this.wanted) this.#load();
  }

  /** @param {DetailsAnswer} answer */
  #fill({ fields, code, language }) {
    this.note.hidden = true;
    const facts = this.list.children;
    // In place: a selection in a value survives the next answer.
    while (facts.length < fields.length) this.list.append(newFact());
    while (facts.length > fields.length) facts[facts.length - 1].remove();
    fields.forEach(([label, text], index) => {
      const [labelled, value] = facts[index].children;
      setText(labelled, label);
      setText(value, text);
    });
    this.code.hidden = this.codeTitle.hidden = !code;
    setText(this.codeTitle, language ? `code (${language})` : "code");
    setText(this.code, code ?? "");
  }

  text() {
    const fields = [...this.list.children].map(({ children: [label, value] }) => `${label.textContent}: ${value.textContent}`);
    const code = this.code.textContent;
    return fields.concat(code ? ["", code] : []).join("\n");
  }

  destroy() {
    clearTimeout(this.timer);
    this.wanted = false;
  }
}

function newFact() {
  return el("div", { class: "hopx-fact" }, el("span", { class: "hopx-fact-label" }), el("span", { class: "hopx-fact-value" }));
}
