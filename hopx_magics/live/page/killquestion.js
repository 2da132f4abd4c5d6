/** The question in a row whether to kill, and whom: it waits for an answer, or until there is nothing left to kill. */
import { isKillable } from "./cells.js";
import { titleOf } from "./store.js";

export class KillQuestion {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {{slot: number, slots: number[]} | null} where it is asked, and of whom */
    this.asked = null;
  }

  /**
   * @param {number} slot @param {Set<number>} chosen all of them are meant when the row is one of them
   * @returns {boolean} whether there is anything to ask
   */
  ask(slot, chosen) {
    if (!this.#killable([slot]).length) return false;
    this.asked = { slot, slots: chosen.has(slot) ? [...chosen] : [slot] };
    return true;
  }

  /** @returns {{slot: number, slots: number[]} | null} what was asked, of those who still can be killed */
  take() {
    const { asked } = this;
    this.asked = null;
    return asked && { slot: asked.slot, slots: this.#killable(asked.slots) };
  }

  /** Forgets a question that has become pointless. */
  drop() {
    if (this.asked && !this.#killable([this.asked.slot]).length) this.asked = null;
  }

  /** @param {number} slot @returns {{text: string} | null} */
  textFor(slot) {
    if (this.asked?.slot !== slot) return null;
    const killable = this.#killable(this.asked.slots);
    const row = this.store.rows.get(slot);
    return { text: killable.length > 1 || !row ? `Kill ${killable.length} processes?` : `Kill ${titleOf(row)}?` };
  }

  /** @param {number[]} slots */
  #killable(slots) {
    return slots.filter((slot) => {
      const row = this.store.rows.get(slot);
      return row !== undefined && isKillable(row);
    });
  }
}
