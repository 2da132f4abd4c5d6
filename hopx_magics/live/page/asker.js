/** Asking the kernel about one process, and saying when it takes no notice or refuses. */

import { el, setText } from "./dom.js";

/** @import { Answered, Link } from "./link.js" */
/** @import { Intent } from "./messages.js" */

/**
 * An intent of a viewer, which knows its slot by itself.
 * @template T
 * @typedef {T extends {slot: number} ? Omit<T, "slot"> : never} OfSlot
 */

const KERNEL_BUSY = "kernel busy: will be done when the cell ends";

/**
 * Asks, and says meanwhile whether the kernel takes notice.
 * @template {Intent} I
 * @param {Link} link @param {I} intent @param {(busy: string) => void} show "" when it has taken notice
 * @returns {Promise<Answered<I>>}
 */
export function askShowing(link, intent, show) {
  return link.ask(intent, { onSlow: () => show(KERNEL_BUSY), onAccepted: () => show("") });
}

/** @param {unknown} error @returns {string} what it says */
export function textOf(error) {
  return error instanceof Error ? error.message : String(error);
}

export class Asker {
  /** @param {Link} link @param {number} slot */
  constructor(link, slot) {
    this.link = link;
    this.slot = slot;
    /** Requests of which the kernel takes no notice. */
    this.slow = new Set();
    this.error = "";
    this.element = el("div", { class: "hopx-viewer-notice", role: "status" });
  }

  /** @param {OfSlot<Intent>} intent */
  tell(intent) {
    this.link.send(this.#whole(intent));
  }

  /**
   * Asks, and shows what went wrong before it passes it on.
   * @template {OfSlot<Intent>} I
   * @param {I} intent
   */
  async ask(intent) {
    try {
      const answered = await this.askQuietly(intent);
      this.fail("");
      return answered;
    } catch (error) {
      this.fail(textOf(error));
      throw error;
    }
  }

  /**
   * Asks for one who shows errors elsewhere.
   * @template {OfSlot<Intent>} I
   * @param {I} intent
   * @returns {Promise<Answered<Extract<Intent, {do: I["do"]}>>>}
   */
  async askQuietly(intent) {
    const request = {};
    const show = (/** @type {string} */ busy) => {
      if (busy) this.slow.add(request);
      else this.slow.delete(request);
      this.#show();
    };
    try {
      return await askShowing(this.link, this.#whole(intent), show);
    } finally {
      show("");
    }
  }

  /** @param {string} error "" takes the last one away */
  fail(error) {
    this.error = error;
    this.#show();
  }

  #show() {
    const busy = this.slow.size > 0;
    setText(this.element, busy ? KERNEL_BUSY : this.error);
    this.element.classList.toggle("hopx-failed", !busy && this.error !== "");
  }

  /** @template {OfSlot<Intent>} I @param {I} intent @returns {Extract<Intent, {do: I["do"]}>} */
  #whole(intent) {
    return /** @type {any} */ ({ ...intent, slot: this.slot });
  }
}
