/** The box of one line below a cell: draws its two parts in place, and beside them what can be done. */
import { askShowing, textOf } from "./asker.js";
import { el, setText } from "./dom.js";
import { elementsOf } from "./linemarkup.js";

/** @import { Link } from "./link.js" */
/** @import { LineState } from "./messages.js" */

/**
 * Lets the document tell of every box that is shown, also of those that are there already, and finds these.
 * @param {"hopx-line" | "hopx-found"} name of their elements
 * @param {(box: HTMLElement) => void} onShown
 * @returns {() => void} ends it
 */
export function watchBoxes(name, onShown) {
  const shown = `${name}-shown`;
  const listener = (/** @type {Event} */ event) => onShown(/** @type {HTMLElement} */ (event.target));
  document.addEventListener(shown, listener);
  // The first program of a page that comes makes the element, which therefore knows nothing of what it is used for.
  if (!customElements.get(name)) {
    customElements.define(name, class extends HTMLElement {
      connectedCallback() {
        this.dispatchEvent(new CustomEvent(shown, { bubbles: true }));
      }
    });
  }
  for (const box of document.querySelectorAll(name)) onShown(/** @type {HTMLElement} */ (box));
  return () => document.removeEventListener(shown, listener);
}

/** @param {Element} box @returns {string} the line that it is of */
export function lineIn(box) {
  return box.getAttribute("line") ?? "";
}

export class LineBox {
  /**
   * @param {HTMLElement} box
   * @param {{link: Link, onOutput: (box: LineBox) => Promise<void>}} parts `onOutput`: opens or closes the viewer
   */
  constructor(box, { link, onOutput }) {
    this.box = box;
    this.link = link;
    this.line = lineIn(box);
    /** @type {LineState | null} */
    this.state = null;
    this.head = "";
    this.below = "";
    this.stopButton = lineButton("stop", "Kill it, with all that it has started", () => this.#ask(true));
    this.outputButton = lineButton("output", "Show what it has written", () => onOutput(this));
    this.question = el(
      "span", { class: "hopx-line-question", hidden: true, role: "group", "aria-label": "Stop it?" }, "stop it? ",
      lineButton("yes", "Yes, kill it", () => this.#stop()), " ", lineButton("no", "No, let it go on", () => this.#ask(false)),
    );
    this.notice = el("span", { class: "hopx-line-notice", role: "status" });
    this.tools = el(
      "span", { class: "hopx-line-tools", role: "group", "aria-label": "This run" },
      this.stopButton, this.question, this.outputButton, this.notice,
    );
    this.viewer = el("div", { class: "hopx-line-viewer", hidden: true });
  }

  get isShown() {
    return this.box.isConnected;
  }

  /** @param {LineState} state whose parts are known */
  show(state) {
    this.state = state;
    if (typeof state.head === "string" && state.head !== this.head) this.#draw("hopx-run", (this.head = state.head));
    if (typeof state.below === "string" && state.below !== this.below) this.#draw("hopx-below", (this.below = state.below));
    if (!this.tools.isConnected) this.box.prepend(this.tools);
    if (!this.viewer.isConnected) this.box.querySelector(":scope > .hopx-run")?.after(this.viewer);
    const goes = !state.ended;
    this.stopButton.hidden = !goes || !this.question.hidden;
    if (!goes) this.question.hidden = true;
    this.outputButton.hidden = state.slot === null;
  }

  /** @param {boolean} fresh whether its state is that of this moment */
  setFresh(fresh) {
    this.box.classList.toggle("hopx-line-fresh", fresh);
  }

  /** Nobody can be asked any more: what is shown stays, with its time. */
  end() {
    this.setFresh(false);
    this.tools.remove();
    this.viewer.remove();
  }

  /** @param {string} text "" for nothing */
  say(text) {
    setText(this.notice, text);
  }

  /** @param {string} part the class of its element @param {string} html "" for none */
  #draw(part, html) {
    const old = this.box.querySelector(`:scope > .${part}`);
    const made = elementsOf(html).firstElementChild;
    if (old && made) renew(old, made);
    else if (made) this.box.append(made);
    else old?.remove();
  }

  /** @param {boolean} asking */
  #ask(asking) {
    this.question.hidden = !asking;
    this.stopButton.hidden = asking;
    const next = asking ? this.question.querySelector("button") : this.stopButton;
    /** @type {HTMLElement} */ (next).focus({ preventScroll: true });
  }

  async #stop() {
    this.question.hidden = true;
    this.say("stopping …");
    try {
      const { answer } = await askShowing(this.link, { do: "stop", line: this.line }, (busy) => this.say(busy || "stopping …"));
      this.say(answer.result === "killed" ? "" : answer.result);
    } catch (error) {
      this.say(textOf(error));
    }
    if (this.state) this.show(this.state);
  }
}

/** @param {string} text @param {string} title @param {() => void} onclick */
function lineButton(text, title, onclick) {
  return el("button", { type: "button", class: "hopx-line-button", "data-action": text, title, onclick }, text);
}

/**
 * Makes an element like another one, and leaves alone what of it is so: pictures, frames, and what the reader has opened.
 * @param {Element} old in the page @param {Element} made
 */
export function renew(old, made) {
  if (old instanceof HTMLDetailsElement) made.toggleAttribute("open", old.open);
  if (old.isEqualNode(made)) return;
  if (!old.cloneNode(false).isEqualNode(made.cloneNode(false))) {
    old.replaceWith(made);
    return;
  }
  const [before, now] = [[...old.childNodes], [...made.childNodes]];
  now.forEach((node, index) => {
    const there = before[index];
    if (!there) old.append(node);
    else if (there instanceof Element && node instanceof Element) renew(there, node);
    else if (!there.isEqualNode(node)) there.replaceWith(node);
  });
  for (const node of before.slice(now.length)) node.remove();
}
