/** The mender of the lines below cells: what the notebook loads once for each kernel, and nobody ever sees. */
import { textOf } from "./asker.js";
import { FoundBox } from "./foundbox.js";
import { KernelHealth } from "./health.js";
import { HeldLines } from "./heldlines.js";
import { LineBox, lineIn, watchBoxes } from "./linebox.js";
import { Link } from "./link.js";
import { notebookOf } from "./notebook.js";
import { loadProgram } from "./program.js";
import { isForTable, isPress, keepKeys } from "./shortcuts.js";

/** @import { Model, Told } from "./link.js" */
/** @import { LineState } from "./messages.js" */
/** @typedef {import("./lineviewer.js").LineViewers} LineViewers */

const AGED_EVERY = 1000;
const FRESH_FOR = 6000;
const HELD_AGAIN = 1000;
const MISSING_AGAIN = 5000;
/** The menders of all notebooks in this page, of each the newest: those before it belong to kernels that are gone. */
const MENDERS = Symbol.for("hopx.menders");

class LinesMender {
  /** @param {Model} model @param {any} notebook */
  constructor(model, notebook) {
    /** @type {WeakMap<object, LinesMender>} */
    const menders = (/** @type {any} */ (window)[MENDERS] ??= new WeakMap());
    menders.get(notebook)?.end();
    menders.set(notebook, this);
    this.ended = false;
    this.notebook = notebook;
    this.held = new HeldLines(notebook);
    /** @type {Map<string, {state: LineState, at: number}>} */
    this.states = new Map();
    /** Lines that this notebook has, and that were asked for. */
    this.asked = new Set();
    /** Lines that this notebook did not have, and when they were looked for. @type {Map<string, number>} */
    this.missing = new Map();
    /** Lines that its kernel has told of, and that this notebook did not have. @type {Set<string>} */
    this.elsewhere = new Set();
    this.missedTimer = 0;
    /** @type {Map<HTMLElement, LineBox>} */
    this.boxes = new Map();
    /** @type {Map<HTMLElement, FoundBox>} */
    this.found = new Map();
    /** @type {Promise<LineViewers> | null} */
    this.viewers = null;
    this.link = new Link(model);
    this.health = new KernelHealth({
      model, link: this.link, onChange: () => this.#look(), onReconnect: () => this.#askForAll(),
    });
    this.health.start();
    this.link.onBroken = () => this.health.end();
    this.link.onMissed = () => {
      clearTimeout(this.missedTimer);
      this.missedTimer = window.setTimeout(() => this.#askForAll(), HELD_AGAIN);
    };
    this.link.onMessage((message) => this.#receive(message));
    this.saving = (/** @type {unknown} */ _, /** @type {string} */ state) => state === "started" && this.#writeAll();
    notebook.saveState.connect(this.saving);
    this.leave = () => this.link.send({ do: "bye" });
    window.addEventListener("pagehide", this.leave);
    const isOurs = (/** @type {KeyboardEvent} */ event) => isPress(event) || (isInViewer(event) && isForTable(event));
    this.stopKeys = keepKeys("hopx-line, hopx-found", isOurs);
    this.stopBoxes = watchBoxes("hopx-line", (box) => this.#boxShown(box));
    this.stopFound = watchBoxes("hopx-found", (box) => this.#foundShown(box));
    this.timer = window.setInterval(() => this.#look(), AGED_EVERY);
    this.#askForAll();
  }

  /** Nothing is known any more: the lines stay as they are, with their time. */
  end() {
    if (this.ended) return;
    this.ended = true;
    this.#writeAll();
    clearInterval(this.timer);
    clearTimeout(this.missedTimer);
    this.stopKeys();
    this.stopBoxes();
    this.stopFound();
    window.removeEventListener("pagehide", this.leave);
    this.notebook.saveState.disconnect(this.saving);
    this.health.close();
    this.link.close();
    for (const box of [...this.boxes.values(), ...this.found.values()]) box.end();
    this.boxes.clear();
    this.found.clear();
  }

  #askForAll() {
    if (this.ended) return;
    const lines = this.held.all();
    this.asked = new Set(lines.map(({ line }) => line));
    this.link.send(lines.length ? { do: "holds", lines } : { do: "hello" });
  }

  /** @param {string} line that nothing is known of @returns {boolean} whether the notebook has it */
  #askFor(line) {
    if (this.asked.has(line)) return true;
    if (Date.now() - (this.missing.get(line) ?? 0) < MISSING_AGAIN) return false;
    const lines = this.held.all().filter((held) => held.line === line);
    if (!lines.length) {
      this.missing.set(line, Date.now());
      return false;
    }
    this.asked.add(line);
    this.link.send({ do: "holds", lines });
    return true;
  }

  /** @param {Told} message */
  #receive(message) {
    this.health.heard(message);
    if (message.kind === "lines") {
      if (message.to === null || message.to === this.link.page) this.#linesTold(message.lines);
    } else if (["output", "displays", "curves", "changes"].includes(message.kind)) {
      this.viewers?.then((viewers) => viewers.receive(message));
    }
  }

  /** @param {LineState[]} told */
  #linesTold(told) {
    const news = new Set();
    for (const state of told) {
      const known = this.states.get(state.line);
      // What comes in parts belongs to a whole that was told to whoever has asked.
      if (!known && !this.#askFor(state.line)) {
        this.elsewhere.add(state.line);
        continue;
      }
      if (!known && state.below === null && !state.ended) continue;
      if (!known || state.ended) news.add(state.line);
      this.states.set(state.line, { state: known ? merged(known.state, state) : state, at: Date.now() });
    }
    for (const box of this.#shownBoxes()) if (told.some(({ line }) => line === box.line)) this.#draw(box);
    if (!news.size && !this.held.someUntrusted) return;
    this.#write((line, drawn) => news.has(line) || (!drawn && told.some((state) => state.line === line)));
  }

  /** @returns {LineBox[]} those that are in the page; forgets the others */
  #shownBoxes() {
    for (const [element, box] of this.boxes) if (!box.isShown) this.boxes.delete(element);
    return [...this.boxes.values()];
  }

  /** @param {HTMLElement} element */
  #boxShown(element) {
    const line = lineIn(element);
    // Of which its own kernel has told: so it is not one of another notebook in this page.
    if (this.elsewhere.delete(line)) this.missing.delete(line);
    if (!this.states.has(line) && !this.#askFor(line)) return;
    const box = this.boxes.get(element) ?? new LineBox(element, { link: this.link, onOutput: (one) => this.#toggleOutput(one) });
    for (const old of this.boxes.values()) if (old.line === line && !old.isShown) adopt(box, old);
    this.boxes.set(element, box);
    this.#draw(box);
  }

  /** @param {LineBox} box */
  #draw(box) {
    const known = this.states.get(box.line);
    if (!known) return;
    box.show(known.state);
    box.setFresh(this.#isFresh(known));
  }

  /** @param {{state: LineState, at: number}} known */
  #isFresh({ state, at }) {
    if (this.health.state === "gone" || this.health.final) return false;
    return state.status !== "running" || Date.now() - at < FRESH_FOR;
  }

  #look() {
    if (this.ended) return;
    if (this.health.final) {
      this.end();
      return;
    }
    for (const box of this.#shownBoxes()) {
      const known = this.states.get(box.line);
      if (known && !known.state.ended) box.setFresh(this.#isFresh(known));
    }
  }

  // ---------------------------------------------------------------- what the notebook keeps

  #writeAll() {
    this.#write(() => true);
  }

  /** @param {(line: string, drawn: boolean) => boolean} isMeant */
  #write(isMeant) {
    this.held.write((line, drawn) => {
      const state = isMeant(line, drawn) ? this.states.get(line)?.state : undefined;
      if (!state || typeof state.head !== "string") return null;
      return { head: state.head, below: state.below ?? "", text: state.text ?? "", ended: state.ended };
    });
  }

  // ---------------------------------------------------------------- output

  /** @param {LineBox} box */
  async #toggleOutput(box) {
    const slot = box.state?.slot ?? null;
    if (slot === null) return;
    await this.#withViewers(box, (viewers) => {
      viewers.toggle(slot, box.viewer, (open) => box.outputButton.setAttribute("aria-expanded", String(open)));
    });
  }

  /** @param {LineBox | FoundBox} box where it is said if there are none @param {(viewers: LineViewers) => void} show */
  async #withViewers(box, show) {
    try {
      this.viewers ??= loadViewers(this.link);
      show(await this.viewers);
      box.say("");
    } catch (error) {
      this.viewers = null;
      box.say(textOf(error));
    }
  }

  // ---------------------------------------------------------------- what was found in outputs

  /** @param {HTMLElement} element */
  async #foundShown(element) {
    if (!this.held.has(`<hopx-found name="${element.getAttribute("name")}"`)) return;
    for (const [old, box] of this.found) if (!box.isShown) this.#forgetFound(old, box);
    const box = this.found.get(element) ?? new FoundBox(element, (...asked) => this.#showPlace(...asked));
    this.found.set(element, box);
    const { runs } = box;
    try {
      const { answer } = await this.link.ask({ do: "slots", runs });
      if (!this.ended) box.lead(new Map(runs.map((run, index) => [run, answer.slots[index]])));
    } catch {
      // Then it leads nowhere.
    }
  }

  /** @param {HTMLElement} element @param {FoundBox} box */
  #forgetFound(element, box) {
    this.found.delete(element);
    this.viewers?.then((viewers) => viewers.close(box.viewer), () => {});
    box.end();
  }

  /**
   * @param {FoundBox} box @param {number} slot @param {import("./foundbox.js").FoundPlace} place
   * @param {HTMLButtonElement} button
   */
  #showPlace(box, slot, place, button) {
    return this.#withViewers(box, (viewers) => {
      viewers.showPlace(slot, box.viewer, place, (open) => open || box.closed());
      box.shows(button);
    });
  }
}

/** @param {LineState} before @param {LineState} now @returns {LineState} with what is as it was */
function merged(before, now) {
  return { ...now, head: now.head ?? before.head, below: now.below ?? before.below, text: now.text ?? before.text };
}

/** @param {KeyboardEvent} event */
function isInViewer({ target }) {
  return target instanceof Element && target.closest(".hopx-line-viewer") !== null;
}

/** Takes over an open viewer from a box that the notebook has drawn anew. @param {LineBox} box @param {LineBox} old */
function adopt(box, old) {
  box.viewer = old.viewer;
  box.outputButton.setAttribute("aria-expanded", String(!old.viewer.hidden));
}

/** @param {Link} link @returns {Promise<LineViewers>} */
async function loadViewers(link) {
  const [lineViewers] = await loadProgram(link, "viewers");
  return lineViewers(link);
}

function menderWidget() {
  return {
    /** @param {{model: Model}} parts */
    initialize({ model }) {
      const notebook = notebookOf(model);
      if (!notebook) {
        // Here it can mend nothing, but answers when the kernel calls.
        const link = new Link(model);
        return () => link.close();
      }
      const mender = new LinesMender(model, notebook);
      return () => mender.end();
    },
  };
}

export default menderWidget;
