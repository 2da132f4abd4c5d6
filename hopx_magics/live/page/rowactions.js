/** What is done to single rows, and what is to be said about it in the row. Shared by all views of a page. */
import { askShowing, textOf } from "./asker.js";
import { isKillable } from "./cells.js";
import { copyText } from "./dom.js";
import { titleOf } from "./store.js";

const COPIED_FOR = 1500;
/** A note that all is well lies over the cells of its row: not for longer than reading it takes. */
const TOLD_FOR = 5000;
const NOBODY = "not done: this table has no kernel any more";
/** Results of a kill that the listing does not tell by itself. */
const TOLD = new Set(["leftovers killed", "still running", "unknown id", "already finished"]);

/** @import { Answered } from "./link.js" */
/** @import { Kill, Rerun, Row } from "./messages.js" */
/** @import { Note } from "./rows.js" */

export class RowActions {
  /**
   * @param {{link: import("./link.js").Link, store: import("./store.js").Store,
   *   onChange: () => void, say: (text: string) => void, isAlive: () => boolean}} parts
   *   `say`: to those who don't see the page; `isAlive`: whether anybody could do what is asked
   */
  constructor({ link, store, onChange, say, isAlive }) {
    this.link = link;
    this.store = store;
    this.onChange = onChange;
    this.say = say;
    this.isAlive = isAlive;
    /** @type {Map<number, Note>} */
    this.notes = new Map();
    /** @type {number | null} the row whose id was just copied */
    this.copied = null;
    this.copiedTimer = 0;
  }

  /** @param {number} slot */
  async kill(slot) {
    const answer = await this.#ask({ do: "kill", slot }, "killing…");
    if (answer && TOLD.has(answer.result)) this.#note(slot, answer.result, "info");
    else if (answer) this.dismiss(slot, true);
  }

  /** @param {number} slot @returns {Promise<string | null>} the id of what was launched */
  async rerun(slot) {
    const answer = await this.#ask({ do: "rerun", slot }, "launching again…");
    if (!answer) return null;
    this.tell(slot, `launched again as ${answer.launched}`);
    return answer.launched;
  }

  /**
   * Asks, and says in the row how far it has come.
   * @template {Kill | Rerun} I
   * @param {I} intent @param {string} going
   * @returns {Promise<Answered<I>["answer"] | null>} null after the row has said why nothing came of it
   */
  async #ask(intent, going) {
    const { slot } = intent;
    if (!this.isAlive()) {
      this.fail(slot, NOBODY);
      return null;
    }
    const show = (/** @type {string} */ busy) => this.#note(slot, busy || going, "busy");
    show("");
    try {
      return (await askShowing(this.link, intent, show)).answer;
    } catch (error) {
      this.fail(slot, textOf(error));
      return null;
    }
  }

  /** @param {number} slot */
  async copyId(slot) {
    const row = this.store.rows.get(slot);
    if (!row) return;
    if (!(await copyText(row.id))) {
      this.fail(slot, "the browser lets nothing be copied here");
      return;
    }
    this.copied = slot;
    clearTimeout(this.copiedTimer);
    this.copiedTimer = window.setTimeout(() => this.#forgetCopied(), COPIED_FOR);
    this.say(`Copied the id of ${titleOf(row)}`);
    this.onChange();
  }

  /** An error stays in its row until the next action there, or a click on it. @param {number} slot @param {string} text */
  fail(slot, text) {
    const row = this.store.rows.get(slot);
    this.#note(slot, text.split("\n")[0], "error", text);
    if (row) this.say(`${titleOf(row)}: ${text}`);
  }

  /** @param {number} slot @param {string} text */
  tell(slot, text) {
    const row = this.store.rows.get(slot);
    this.#note(slot, text, "info");
    if (row) this.say(`${titleOf(row)} ${text}`);
  }

  /** @param {number} slot @param {boolean} [always] also what is still going on */
  dismiss(slot, always = false) {
    const note = this.notes.get(slot);
    if (!note || (note.kind === "busy" && !always)) return;
    this.notes.delete(slot);
    this.onChange();
  }

  /** The kernel is gone: nothing will come of what it was asked. */
  abandon() {
    for (const [slot, note] of this.notes) {
      if (note.kind === "busy") this.#note(slot, NOBODY, "error");
    }
  }

  /** Forgets rows that are no more. */
  tidy() {
    for (const slot of this.notes.keys()) if (!this.store.rows.has(slot)) this.notes.delete(slot);
  }

  /** @param {number} slot @param {string} text @param {Note["kind"]} kind @param {string} [title] */
  #note(slot, text, kind, title = text) {
    const note = { text, kind, title };
    this.notes.set(slot, note);
    if (kind === "info") {
      window.setTimeout(() => {
        if (this.notes.get(slot) === note) this.dismiss(slot);
      }, TOLD_FOR);
    }
    this.onChange();
  }

  #forgetCopied() {
    this.copied = null;
    this.onChange();
  }
}

/** @typedef {{name: "kill" | "rerun", verb: string, no: string, allows: (row: Row) => boolean}} Action */

/** @type {Record<"kill" | "rerun", Action>} */
export const ACTIONS = {
  kill: { name: "kill", verb: "Kill", no: "Keep", allows: isKillable },
  rerun: { name: "rerun", verb: "Launch", no: "Cancel", allows: (row) => !isKillable(row) },
};

/** The question in a row whether to do something, and to whom: it waits for an answer, or until it is pointless. */
export class Question {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {{slot: number, slots: number[], action: Action} | null} where it is asked, what, and of whom */
    this.asked = null;
  }

  /**
   * @param {Action} action @param {number} slot
   * @param {Set<number>} chosen all of them are meant when the row is one of them
   * @returns {boolean} whether there is anything to ask
   */
  ask(action, slot, chosen) {
    if (!this.#meant(action, [slot]).length) return false;
    this.asked = { action, slot, slots: chosen.has(slot) ? [...chosen] : [slot] };
    return true;
  }

  /** @returns {{slot: number, slots: number[], action: Action} | null} what was asked, of those who are still meant */
  take() {
    const { asked } = this;
    this.asked = null;
    return asked && { ...asked, slots: this.#meant(asked.action, asked.slots) };
  }

  /** Forgets a question that has become pointless. */
  drop() {
    if (this.asked && !this.#meant(this.asked.action, [this.asked.slot]).length) this.asked = null;
  }

  /** @param {number} slot @returns {{text: string, action: Action} | null} */
  textFor(slot) {
    if (this.asked?.slot !== slot) return null;
    const { action, slots } = this.asked;
    const meant = this.#meant(action, slots);
    const row = this.store.rows.get(slot);
    const whom = meant.length > 1 || !row ? `${meant.length} processes` : titleOf(row);
    return { action, text: `${action.verb} ${whom}${action.name === "rerun" ? " again" : ""}?` };
  }

  /** @param {Action} action @param {number[]} slots */
  #meant({ allows }, slots) {
    return slots.filter((slot) => {
      const row = this.store.rows.get(slot);
      return row !== undefined && allows(row);
    });
  }
}
