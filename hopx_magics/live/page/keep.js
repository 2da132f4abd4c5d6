/**
 * Tells the kernel when nobody is using the table, so that what the notebook keeps of it can be renewed.
 *
 * The notebook draws the table anew then. So this happens when the page gets hidden, and when the processes have come
 * to rest while nobody points at the table or types in it.
 */

const LOOK_EVERY = 1000;
const REST_FOR = 1000;

export class Keeper {
  /**
   * @param {object} parts
   * @param {import("./link.js").Link} parts.link
   * @param {import("./store.js").Store} parts.store
   * @param {() => boolean} parts.isUsed whether somebody is doing something with the table
   * @param {() => boolean} parts.isAlive
   */
  constructor({ link, store, isUsed, isAlive }) {
    this.link = link;
    this.store = store;
    this.isUsed = isUsed;
    this.isAlive = isAlive;
    /** When the rows last changed since they were kept; 0: they have not. */
    this.changedAt = Date.now();
    this.stopStore = store.onChange(() => (this.changedAt = Date.now()));
    this.hidden = () => document.hidden && this.changedAt && this.#keep();
    document.addEventListener("visibilitychange", this.hidden);
    this.timer = window.setInterval(() => this.#look(), LOOK_EVERY);
  }

  close() {
    this.stopStore();
    document.removeEventListener("visibilitychange", this.hidden);
    clearInterval(this.timer);
  }

  #look() {
    const atRest = this.changedAt && !this.store.anyOpen && Date.now() - this.changedAt >= REST_FOR;
    if (atRest && this.store.rows.size && !this.isUsed()) this.#keep();
  }

  #keep() {
    if (!this.store.ready || !this.isAlive()) return;
    this.changedAt = 0;
    this.link.send("keep");
  }
}
