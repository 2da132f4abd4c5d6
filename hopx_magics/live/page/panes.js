/** One stream of a process: its lines, and what the place where the reader looks asks of the kernel. */

import { LineWindow } from "./linewindow.js";
import { PaneFrame } from "./paneframe.js";

/** @import { Asker } from "./asker.js" */
/** @import { Anew, Direction, Earlier, Grown, Later, Output, Stream } from "./messages.js" */
/**
 * @typedef {object} PaneHost
 * @property {Asker} asker
 * @property {(pane: Pane, match: number | null) => void} onLines
 */

const END_ZONE = 4;
const TOP_ZONE = 200;

export class Pane {
  /** @param {Stream} stream @param {PaneHost} host */
  constructor(stream, host) {
    this.stream = stream;
    this.host = host;
    this.window = new LineWindow();
    this.size = 0;
    /** Whether `size` has been told. */
    this.sized = false;
    this.ended = false;
    this.note = "";
    this.ending = "";
    this.loaded = false;
    /** Whether the reader looks at something else than the end. */
    this.held = false;
    /** Whether the lines reach to what the kernel will send next. */
    this.attached = false;
    this.tailEnd = 0;
    this.pagedBack = false;
    this.nothingEarlier = false;
    /** @type {Direction | null} */
    this.paging = null;
    this.lastTop = 0;
    /** @type {{node: HTMLElement, from: number} | null} */
    this.place = null;
    this.frame = new PaneFrame(stream, this.window.element, {
      onEarlier: () => this.#pageByHand(), onEnd: () => this.toEnd(),
    });
    this.element = this.frame.element;
    this.output = this.frame.output;
    this.output.addEventListener("scroll", () => this.#scrolled());
    this.output.addEventListener("wheel", (event) => this.#wheeled(event), { passive: true });
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.output);
    this.observer.observe(this.frame.content);
    this.#showState();
  }

  /** @param {Output} message for this stream */
  receive({ part, note }) {
    if (part.mode === "reset") this.#reset(part);
    else if (part.mode === "grow") this.#grow(part);
    else if (part.mode === "before") this.#pagedBefore(part);
    else if (part.mode === "after") this.#pagedAfter(part);
    this.size = part.size;
    this.sized = !note;
    this.ended = part.ended;
    this.note = note ?? "";
    this.#showState();
  }

  /** @param {Anew} part */
  #reset(part) {
    const found = part.match !== null;
    // The reader stays where they are, whatever made the kernel send the end again.
    if (this.held && this.loaded && part.following && !found) {
      this.attached = false;
      this.tailEnd = part.end;
      this.host.asker.tell({ do: "hold", stream: this.stream });
      return;
    }
    const following = part.following && !found;
    this.window.reset(part.lines, part.first, part.begin, part.end);
    this.held = !following;
    this.attached = part.following;
    this.tailEnd = part.following ? part.end : Math.max(part.size, part.end);
    this.loaded = true;
    this.paging = null;
    this.nothingEarlier = false;
    this.place = null;
    if (following) this.#stickToEnd();
    else if (part.match !== null) this.showLine(part.match - this.window.first);
    this.host.onLines(this, part.match);
  }

  /** @param {Grown} part */
  #grow(part) {
    if (!this.attached) return;
    const grown = this.window.grow(part.first, part.lines, part.end);
    if (!grown) {
      this.attached = false;
      if (!this.held) this.follow();
      return;
    }
    this.tailEnd = part.end;
    if (!this.held) {
      // While they read further up, the lines that the kernel forgets stay here.
      if (part.drop) this.window.dropTop(part.drop, part.begin);
      this.window.trimFollowed();
    }
    this.host.onLines(this, null);
  }

  /** @param {Earlier} part */
  #pagedBefore(part) {
    if (this.paging !== "before") return;
    this.paging = null;
    this.pagedBack = true;
    const isNew = part.begin < this.window.begin;
    if (!isNew || !part.lines.length) this.nothingEarlier = true;
    if (!isNew) return;
    this.#keepingPlace(() => {
      this.window.prepend(part.lines, part.begin);
      if (this.window.trimBottom()) this.attached = false;
      this.#showState();
    });
    this.host.onLines(this, null);
  }

  /** @param {Later} part */
  #pagedAfter(part) {
    if (this.paging !== "after") return;
    this.paging = null;
    if (!part.lines.length || part.end <= this.window.end) {
      this.tailEnd = this.window.end;
      return;
    }
    this.#keepingPlace(() => {
      this.window.append(part.lines, part.end);
      this.window.trimTop();
      this.nothingEarlier = false;
      this.#showState();
    });
    this.host.onLines(this, null);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.output;
    const movedUp = scrollTop < this.lastTop - 0.5;
    const left = scrollHeight - clientHeight - scrollTop;
    this.lastTop = scrollTop;
    if (!this.loaded || clientHeight === 0) return;
    if (!this.held && movedUp && left > 1) this.#hold();
    else if (this.held && !movedUp && left <= END_ZONE) this.#endReached();
    if (!this.held) return;
    this.place = this.#placeNow();
    if (scrollTop <= TOP_ZONE) this.#page("before");
  }

  /**
   * Upwards they leave the end at once: the next lines would pull them back before the first step is done.
   * @param {WheelEvent} event
   */
  #wheeled(event) {
    if (event.deltaY < 0 && !event.ctrlKey && this.loaded && !this.held && this.output.scrollTop > 0) this.#hold();
  }

  #hold() {
    this.held = true;
    this.place = this.#placeNow();
    this.host.asker.tell({ do: "hold", stream: this.stream });
    this.#showState();
  }

  #endReached() {
    if (this.window.end >= this.tailEnd) this.follow();
    else this.#page("after");
  }

  /** Asks for the end of the stream and for all that comes. */
  async follow() {
    this.held = false;
    this.place = null;
    this.#showState();
    try {
      await this.host.asker.ask({ do: "follow", stream: this.stream });
    } catch {
      this.held = true;
      this.#showState();
    }
  }

  toEnd() {
    if (this.held) this.follow();
    if (this.window.end >= this.tailEnd) this.#stickToEnd();
  }

  toTop() {
    this.output.scrollTop = 0;
    if (this.held) this.#page("before");
  }

  /** @param {number} direction -1 is up */
  pageBy(direction) {
    this.output.scrollTop += direction * Math.max(this.output.clientHeight - 24, 24);
  }

  #pageByHand() {
    if (!this.held) this.#hold();
    this.#page("before");
  }

  /** @param {Direction} direction */
  async #page(direction) {
    const before = direction === "before";
    if (this.paging || (before && (this.window.begin === 0 || this.nothingEarlier))) return;
    this.paging = direction;
    this.#showState();
    try {
      const offset = before ? this.window.begin : this.window.end;
      await this.host.asker.ask({ do: "page", stream: this.stream, direction, offset });
    } catch {
      // The host has shown why; the next scroll or click asks again.
    }
    this.paging = null;
    this.#showState();
  }

  #resized() {
    if (!this.loaded || this.output.clientHeight === 0) return;
    this.output.classList.toggle("hopx-scrolls", this.output.scrollHeight > this.output.clientHeight + 1);
    if (this.held) this.#restorePlace();
    else this.#stickToEnd();
  }

  #stickToEnd() {
    this.output.scrollTop = this.output.scrollHeight;
    this.lastTop = this.output.scrollTop;
  }

  /** @param {() => void} change of the lines, after which the reader sees the same ones */
  #keepingPlace(change) {
    this.place = this.#placeNow();
    change();
    this.#restorePlace();
  }

  #placeNow() {
    const top = this.output.getBoundingClientRect().top;
    const node = this.window.lineAt(top);
    return node ? { node, from: node.getBoundingClientRect().top - top } : null;
  }

  #restorePlace() {
    if (!this.place || !this.place.node.isConnected) return;
    const from = this.place.node.getBoundingClientRect().top - this.output.getBoundingClientRect().top;
    const moved = from - this.place.from;
    if (Math.abs(moved) >= 1) this.output.scrollTop += moved;
    this.lastTop = this.output.scrollTop;
  }

  /** @returns {number} index of the last line that is seen */
  lastSeen() {
    const { top } = this.output.getBoundingClientRect();
    const node = this.window.lineAt(top + this.output.clientHeight - 1);
    return node ? this.window.nodes.indexOf(node) : -1;
  }

  /** @param {number} index @param {Range} [range] the part of the line that is to be seen */
  showLine(index, range) {
    const node = this.window.nodes[index];
    if (!node) return;
    const frame = this.output.getBoundingClientRect();
    const place = (range ?? node).getBoundingClientRect();
    const height = Math.min(place.height, frame.height);
    if (place.top < frame.top || place.top + height > frame.top + this.output.clientHeight) {
      this.output.scrollTop += place.top - frame.top - (this.output.clientHeight - height) / 2;
    }
    if (range && (place.left < frame.left || place.right > frame.left + this.output.clientWidth)) {
      this.output.scrollLeft += place.left - frame.left - this.output.clientWidth / 3;
    }
    this.place = this.#placeNow();
  }

  /** @param {string} text the line behind the last one of a process that has ended, "" while it runs */
  setEnding(text) {
    this.ending = text;
    this.#showState();
  }

  /** Bytes that the stream has behind what is loaded; while they follow, these are on their way. */
  get behind() {
    return this.held ? Math.max(this.size - this.window.end, 0) : 0;
  }

  #showState() {
    this.frame.show({
      begin: this.window.begin,
      reachable: this.window.begin > 0 && !this.nothingEarlier,
      pagedBack: this.pagedBack,
      paging: this.paging,
      held: this.held,
      behind: this.behind,
      size: this.loaded ? this.size : null,
      ended: this.ended,
      ending: this.window.end >= this.size ? this.ending : "",
      note: this.note,
    });
  }

  destroy() {
    this.observer.disconnect();
  }
}
