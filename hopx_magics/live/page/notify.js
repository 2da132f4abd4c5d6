/** Telling of processes that ended: in the page for those who hear it, and beyond the page by the browser. */
import { formatCounts } from "./format.js";
import { noCounts, titleOf } from "./store.js";
import { stateInWords } from "./words.js";

const LONG_RUN = 10;
const MOST_AT_ONCE = 3;

/** @typedef {{slot: number, row: import("./messages.js").Row}} Ended */

/**
 * "train failed after 3 min 5 s, exit 1"; of many at once only how many.
 * @param {Ended[]} ended
 * @returns {string[]}
 */
export function sentencesOf(ended) {
  if (ended.length <= MOST_AT_ONCE) {
    return ended.map(({ row }) => `${titleOf(row)} ${stateInWords(row, 0)}`);
  }
  const counts = noCounts();
  for (const { row } of ended) counts[row.status] += 1;
  return [`${ended.length} processes ended: ${formatCounts(counts)}`];
}

/** The bell: whether the browser tells when a process ends that ran for a while. */
export class Bell {
  /** @param {{onChange: () => void, onShow: (slot: number) => void}} hooks `onShow`: the notice was clicked */
  constructor({ onChange, onShow }) {
    this.onChange = onChange;
    this.onShow = onShow;
    this.wanted = false;
    this.waits = false;
    this.broken = "";
  }

  /** @returns {{on: boolean, state: "off" | "on" | "click" | "blocked" | "unsupported", title: string}} */
  get face() {
    const state = this.#state();
    const title = {
      off: "Tell me when a process ends that ran over 10 s",
      on: "You are told when a process ends that ran over 10 s; click to stop",
      click: "Click to allow this page to notify you",
      blocked: "The browser blocks notifications of this page: allow them beside its address",
      unsupported: this.broken || "This browser can't notify",
    }[state];
    return { on: state === "on", state, title };
  }

  async toggle() {
    if (this.wanted && this.#state() === "on") this.wanted = false;
    else await this.switchOn();
    this.onChange();
  }

  /** Switches it on; asks the browser where it was never asked. */
  async switchOn() {
    this.wanted = true;
    if (!supported() || Notification.permission !== "default") return this.onChange();
    try {
      await Notification.requestPermission();
    } catch {
      // Some browsers refuse the question outside a click: then the bell asks for one.
    }
    this.waits = Notification.permission === "default";
    return this.onChange();
  }

  /** @param {Ended[]} ended */
  tell(ended) {
    if (this.#state() !== "on") return;
    const long = ended.filter(({ row }) => (row.elapsed ?? 0) >= LONG_RUN);
    if (!long.length) return;
    const sentences = sentencesOf(long);
    sentences.forEach((sentence, index) => this.#show(sentence, sentences.length === long.length ? long[index] : long[0]));
  }

  /** @param {string} sentence @param {Ended} ended */
  #show(sentence, { slot, row }) {
    try {
      // One tag a process: several tabs with this table tell it once.
      const notice = new Notification(sentence, { tag: `hopx ${row.connection} ${row.id}`, body: row.last || undefined });
      notice.onclick = () => {
        window.focus();
        notice.close();
        this.onShow(slot);
      };
    } catch (error) {
      this.broken = "This browser can't notify from a page";
      this.onChange();
    }
  }

  /** @returns {"off" | "on" | "click" | "blocked" | "unsupported"} */
  #state() {
    if (!supported() || this.broken) return "unsupported";
    if (Notification.permission === "denied") return "blocked";
    if (!this.wanted) return "off";
    return Notification.permission === "granted" ? "on" : "click";
  }
}

function supported() {
  return typeof Notification === "function";
}
