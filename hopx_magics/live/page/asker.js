/** Asking the kernel about one process, and saying when it takes no notice or refuses. */

import { el, setText } from "./dom.js";

const KERNEL_BUSY = "kernel busy: will be done when the cell ends";

export class Asker {
  /** @param {any} link @param {number} slot */
  constructor(link, slot) {
    this.link = link;
    this.slot = slot;
    this.slow = 0;
    this.error = "";
    this.element = el("div", { class: "hopx-viewer-notice", role: "status" });
  }

  /** @param {string} doWhat @param {Record<string, any>} [fields] */
  tell(doWhat, fields = {}) {
    this.link.send(doWhat, { slot: this.slot, ...fields });
  }

  /**
   * Asks, and shows what went wrong before it passes it on.
   * @param {string} doWhat @param {Record<string, any>} [fields]
   */
  async ask(doWhat, fields = {}) {
    try {
      const answer = await this.askQuietly(doWhat, fields);
      this.fail("");
      return answer;
    } catch (error) {
      this.fail(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /**
   * Asks for one who shows errors elsewhere.
   * @param {string} doWhat @param {Record<string, any>} [fields]
   */
  async askQuietly(doWhat, fields = {}) {
    let slow = 0;
    const setSlow = (/** @type {number} */ value) => {
      this.slow += value - slow;
      slow = value;
      this.#show();
    };
    try {
      const hooks = { onSlow: () => setSlow(1), onAccepted: () => setSlow(0) };
      return await this.link.ask(doWhat, { slot: this.slot, ...fields }, hooks);
    } finally {
      setSlow(0);
    }
  }

  /** @param {string} error "" takes the last one away */
  fail(error) {
    this.error = error;
    this.#show();
  }

  #show() {
    setText(this.element, this.slow > 0 ? KERNEL_BUSY : this.error);
    this.element.classList.toggle("hopx-failed", this.slow === 0 && this.error !== "");
  }
}
