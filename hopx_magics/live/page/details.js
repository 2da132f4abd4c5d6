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
    this.list = el("dl", { class: "hopx-details-list" });
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
    const terms = this.list.getElementsByTagName("dt");
    const values = this.list.getElementsByTagName("dd");
    // In place: a selection in a value survives the next answer.
    while (terms.length < fields.length) this.list.append(el("dt"), el("dd"));
    while (terms.length > fields.length) {
      terms[terms.length - 1].remove();
      values[values.length - 1].remove();
    }
    fields.forEach(([label, text], index) => {
      setText(terms[index], label);
      setText(values[index], text);
    });
    this.code.hidden = this.codeTitle.hidden = !code;
    setText(this.codeTitle, language ? `code (${language})` : "code");
    setText(this.code, code ?? "");
  }

  text() {
    const terms = [...this.list.getElementsByTagName("dt")];
    const fields = terms.map((term) => `${term.textContent}: ${term.nextElementSibling?.textContent ?? ""}`);
    const code = this.code.textContent;
    return fields.concat(code ? ["", code] : []).join("\n");
  }

  destroy() {
    clearTimeout(this.timer);
    this.wanted = false;
  }
}
