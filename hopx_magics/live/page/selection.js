/** Which rows are chosen, and from where a choice extends. Pure. */

export class Selection {
  /** @param {() => void} onChange */
  constructor(onChange) {
    this.onChange = onChange;
    /** @type {Set<number>} */
    this.slots = new Set();
    /** @type {number | null} */
    this.anchor = null;
  }

  /** @param {number} slot */
  only(slot) {
    this.anchor = slot;
    this.replace([slot]);
  }

  /** @param {number} slot */
  toggle(slot) {
    this.anchor = slot;
    const slots = new Set(this.slots);
    if (!slots.delete(slot)) slots.add(slot);
    this.replace(slots);
  }

  /**
   * From the anchor to this row, in the order in which the rows are shown.
   * @param {number} slot @param {number[]} shown
   */
  extend(slot, shown) {
    const from = this.anchor === null ? -1 : shown.indexOf(this.anchor);
    const to = shown.indexOf(slot);
    if (from < 0) this.only(slot);
    else this.replace(shown.slice(Math.min(from, to), Math.max(from, to) + 1));
  }

  clear() {
    this.anchor = null;
    this.replace([]);
  }

  /** @param {Iterable<number>} slots */
  replace(slots) {
    const wanted = new Set(slots);
    if (wanted.size === this.slots.size && [...wanted].every((slot) => this.slots.has(slot))) return;
    this.slots = wanted;
    this.onChange();
  }

  /**
   * Forgets rows that are no more.
   * @param {(slot: number) => boolean} exists
   */
  keepOnly(exists) {
    this.replace([...this.slots].filter(exists));
  }
}
