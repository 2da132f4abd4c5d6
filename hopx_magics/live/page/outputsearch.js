/** Searching the outputs of all rows, too, for what is written into the search: by the kernel, when that is asked for. */
import { textOf } from "./asker.js";
import { formatCount } from "./format.js";

/** @import { FoundLine } from "./messages.js" */

const TYPED_PAUSE = 300;

export class OutputSearch {
  /**
   * @param {import("./link.js").Link} link
   * @param {() => void} onChange other rows were found, or something else is to be said
   */
  constructor(link, onChange) {
    this.link = link;
    this.onChange = onChange;
    this.wanted = false;
    this.text = "";
    /** @type {Map<number, FoundLine>} by their slots */
    this.found = new Map();
    this.said = "";
    this.timer = 0;
    this.asked = 0;
  }

  /** Whether outputs are to be searched, and for what. @param {boolean} wanted @param {string} text */
  search(wanted, text) {
    const before = this.wanted ? this.text : "";
    const after = wanted ? text : "";
    this.wanted = wanted;
    this.text = text;
    if (before === after) return;
    clearTimeout(this.timer);
    this.asked += 1;
    this.found = new Map();
    this.said = after ? "searching…" : "";
    if (after) this.timer = window.setTimeout(() => this.#ask(), TYPED_PAUSE);
    else this.link.send({ do: "grep", text: "" });
  }

  async #ask() {
    const { asked, text } = this;
    try {
      const { answer } = await this.link.ask({ do: "grep", text }, { onSlow: () => this.#say(asked, "kernel busy…") });
      if (asked !== this.asked) return;
      this.found = new Map(answer.found.map((line) => [line.slot, line]));
      this.#say(asked, `${formatCount(this.found.size)} in outputs${answer.whole ? "" : ", not all searched"}`);
    } catch (error) {
      this.#say(asked, textOf(error));
    }
  }

  /** @param {number} asked @param {string} text */
  #say(asked, text) {
    if (asked !== this.asked) return;
    this.said = text;
    this.onChange();
  }

  close() {
    clearTimeout(this.timer);
    this.asked += 1;
  }
}
