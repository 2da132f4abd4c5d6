/**
 * What the notebook keeps of the table, as HTML and text for whoever opens or exports it without a kernel: renewed before
 * the notebook is saved, when the processes have come to rest, and each minute in which something changed.
 */
import { inflate } from "./link.js";
import { notebookOf, replaceSilently } from "./notebook.js";

/** @import { Link, Model } from "./link.js" */

const LOOK_EVERY = 1000;
const REST_FOR = 1000;
const ASK_EVERY = 5000;
const RENEW_EVERY = 60_000;
const WIDGET = "application/vnd.jupyter.widget-view+json";

/**
 * @typedef {object} Parts
 * @property {Model} model
 * @property {Link} link
 * @property {import("./store.js").Store} store
 * @property {() => boolean} isUsed whether somebody points at the table or types in it
 * @property {() => boolean} isShown whether the kernel lives, and the notebook still shows the table: what was cleared away asks for nothing
 * @typedef {{model: string, bundle: Record<string, string>}} Kept
 */

export class Keeper {
  /** @param {Parts} parts */
  constructor({ model, link, store, isUsed, isShown }) {
    this.link = link;
    this.store = store;
    this.isUsed = isUsed;
    this.isShown = isShown;
    /** JupyterLab's notebook; null where the kernel has to renew the output, with which the table is drawn anew. */
    this.notebook = notebookOf(model);
    /** When the rows changed last since they were asked for; 0: they have not. */
    this.changedAt = Date.now();
    this.renewedAt = Date.now();
    this.askedAt = 0;
    this.asking = false;
    /** @type {Kept | null} what is to be kept and is not yet */
    this.fresh = null;
    this.stopStore = store.onChange(() => this.changed());
    this.hidden = () => document.hidden && this.#renew(true);
    document.addEventListener("visibilitychange", this.hidden);
    this.saving = (/** @type {unknown} */ _, /** @type {string} */ state) => state === "started" && this.#write(false);
    this.notebook?.saveState.connect(this.saving);
    this.timer = window.setInterval(() => this.#look(), LOOK_EVERY);
  }

  close() {
    this.stopStore();
    document.removeEventListener("visibilitychange", this.hidden);
    this.notebook?.saveState.disconnect(this.saving);
    clearInterval(this.timer);
  }

  /** What is shown, or how, is no longer what it was. */
  changed() {
    this.changedAt = Date.now();
  }

  #look() {
    const now = Date.now();
    const resting = !this.store.anyOpen && now - this.changedAt >= REST_FOR;
    if (this.notebook && this.changedAt && (resting || now - this.askedAt >= ASK_EVERY)) this.#ask();
    const due = now - this.renewedAt >= RENEW_EVERY && !document.hidden;
    if (this.store.rows.size && (resting || due) && (this.notebook || !this.isUsed())) this.#renew(true);
  }

  /** @param {boolean} dirty whether the notebook is to be saved therefore */
  #renew(dirty) {
    if (!this.store.ready || !this.isShown()) return;
    if (this.notebook) this.#write(dirty);
    else if (this.changedAt) {
      this.changedAt = 0;
      this.renewedAt = Date.now();
      this.link.send({ do: "keep" });
    }
  }

  async #ask() {
    if (this.asking || !this.store.ready || !this.isShown()) return;
    this.asking = true;
    this.askedAt = Date.now();
    this.changedAt = 0;
    try {
      const { answer: { model }, buffers: [packed] } = await this.link.ask({ do: "static" });
      this.fresh = { model, bundle: JSON.parse(await (await inflate(packed)).text()) };
    } catch {
      // The next change asks again.
    }
    this.asking = false;
  }

  /** @param {boolean} dirty */
  #write(dirty) {
    const { fresh, notebook } = this;
    if (!fresh || !notebook || !this.isShown()) return;
    this.fresh = null;
    this.renewedAt = Date.now();
    for (const cell of notebook.model.cells) if (cell.type === "code") this.#writeInto(cell, fresh);
    if (dirty) notebook.model.dirty = true;
  }

  /** @param {any} cell @param {Kept} fresh */
  #writeInto(cell, { model, bundle }) {
    for (let index = 0; index < cell.outputs.length; index += 1) {
      const shown = cell.outputs.get(index).toJSON();
      if (shown.data?.[WIDGET]?.model_id !== model) continue;
      // A front end that draws it anew does so each time: then better when nobody is using the table.
      if (replaceSilently(cell, index, { ...shown, data: { ...shown.data, ...bundle } })) this.notebook = null;
    }
  }
}
