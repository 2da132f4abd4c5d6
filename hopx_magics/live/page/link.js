/** The wire between this page and the kernel: intents out, messages in, and the kernel's clock. */

/** @import { Answers, Done, Intent, Message } from "./messages.js" */

const SLOW_AFTER = 1000;
const CLOCK_SAMPLES = 8;
const MISSED = Symbol.for("hopx.missed");

/**
 * @typedef {(...values: any[]) => void} Listener
 * @typedef {object} Signal of a front end
 * @property {(listener: Listener) => void} connect
 * @property {(listener: Listener) => void} disconnect
 * @typedef {{status: string, statusChanged: Signal, disposed: Signal, connectionStatusChanged: Signal}} Kernel
 * @typedef {object} Model what the front end knows of the widget
 * @property {(content: unknown) => void} send
 * @property {(event: string, listener: Listener) => void} on
 * @property {(event: string, listener: Listener) => void} off
 * @property {boolean} [comm_live]
 * @property {{kernel?: Kernel, context?: any}} [widget_manager] `context`: of the notebook, in JupyterLab
 *
 * @typedef {Exclude<Message, {kind: "accepted" | "done"}> & {buffers: DataView[]}} Told what is no answer
 * @typedef {{onSlow?: () => void, onAccepted?: () => void}} Hooks `onSlow`: the kernel took no notice within 1 s
 * @typedef {object} Asked
 * @property {(answered: {answer: any, buffers: DataView[]}) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {(() => void) | undefined} onAccepted
 * @property {number} slowTimer
 * @property {() => void} again
 */

/**
 * @template {Intent} I
 * @typedef {{answer: I["do"] extends keyof Answers ? Answers[I["do"]] : null, buffers: DataView[]}} Answered
 */

export class Link {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.page = randomName();
    /** When the kernel was last heard, by `Date.now()`. */
    this.heardAt = 0;
    // Several pages share one comm and see each other's answers: numbers of one page must mean nothing to another.
    this.request = Math.floor(Math.random() * 2 ** 32) * 2 ** 20;
    /** @type {Map<number, Asked>} */
    this.asked = new Map();
    /** @type {Set<(message: Told) => void>} */
    this.listeners = new Set();
    /** @type {number[]} */
    this.offsets = [];
    this.receiveCustom = (/** @type {unknown} */ content, /** @type {DataView[]} */ buffers) => this.#receive(content, buffers);
    /** The number of the newest message; 0 before the first. */
    this.number = 0;
    /** Called when messages of the kernel did not arrive. */
    this.onMissed = () => {};
    /** Called when nothing can be sent any more: the kernel of this model is gone. */
    this.onBroken = () => {};
    model.on("msg:custom", this.receiveCustom);
  }

  /**
   * Tells the kernel something that needs no answer.
   * @param {Intent} intent
   * @returns {number} the number of the request
   */
  send(intent) {
    this.request += 1;
    this.#post(intent, this.request);
    return this.request;
  }

  /** @param {Intent} intent @param {number} request */
  #post(intent, request) {
    try {
      this.model.send({ ...intent, request, page: this.page });
    } catch (error) {
      this.onBroken();
    }
  }

  /**
   * Asks the kernel for something and waits for its answer, however long its cell runs.
   * @template {Intent} I
   * @param {I} intent @param {Hooks} [hooks]
   * @returns {Promise<Answered<I>>}
   */
  ask(intent, { onSlow, onAccepted } = {}) {
    return new Promise((resolve, reject) => {
      const request = this.send(intent);
      const slowTimer = window.setTimeout(() => onSlow?.(), SLOW_AFTER);
      this.asked.set(request, { resolve, reject, onAccepted, slowTimer, again: () => this.#post(intent, request) });
    });
  }

  /** Asks once more for all answers that have not come: they may be among what was missed. */
  askAgain() {
    for (const asked of this.asked.values()) asked.again();
  }

  /** @param {(message: Told) => void} listener @returns {() => void} ends it */
  onMessage(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The kernel's clock in epoch seconds, as well as this page knows it. */
  now() {
    return Date.now() / 1000 + (this.offsets.length ? Math.max(...this.offsets) : 0);
  }

  close() {
    this.model.off("msg:custom", this.receiveCustom);
    for (const { slowTimer } of this.asked.values()) clearTimeout(slowTimer);
    this.asked.clear();
    this.listeners.clear();
  }

  /** @param {unknown} content @param {DataView[]} [buffers] */
  #receive(content, buffers = []) {
    if (content === null || typeof content !== "object") return;
    const message = /** @type {Message & {number: number, now: number}} */ (content);
    this.heardAt = Date.now();
    this.#setClock(message.now);
    this.#count(message.number);
    if (message.kind === "accepted") this.#accepted(message.request);
    else if (message.kind === "done") this.#done(message, buffers);
    else if (message.kind === "call") this.send({ do: "here", call: message.call, missed: countMissed(0) });
    else for (const listener of this.listeners) listener({ ...message, buffers });
  }

  /** @param {number} number the kernel numbers its messages */
  #count(number) {
    if (!Number.isInteger(number)) return;
    const missed = this.number > 0 && number !== this.number + 1;
    if (missed) countMissed(number - this.number - 1);
    this.number = number;
    if (missed) this.onMissed();
  }

  /**
   * A message that was delayed makes the kernel's clock look late, never early: the best of the latest counts.
   * @param {number} now
   */
  #setClock(now) {
    if (!Number.isFinite(now)) return;
    this.offsets.push(now - Date.now() / 1000);
    if (this.offsets.length > CLOCK_SAMPLES) this.offsets.shift();
  }

  /** @param {number} request of any page */
  #accepted(request) {
    const asked = this.asked.get(request);
    clearTimeout(asked?.slowTimer);
    asked?.onAccepted?.();
  }

  /** @param {Done} message to a request of any page @param {DataView[]} buffers */
  #done({ request, error, answer }, buffers) {
    const asked = this.asked.get(request);
    if (!asked) return;
    clearTimeout(asked.slowTimer);
    this.asked.delete(request);
    if (error) asked.reject(new Error(error));
    else asked.resolve({ answer: answer ?? null, buffers });
  }
}

/**
 * How many messages did not arrive, of all widgets in this page, after so many more.
 * @param {number} more
 * @returns {number}
 */
function countMissed(more) {
  const page = /** @type {any} */ (window);
  page[MISSED] = (page[MISSED] ?? 0) + Math.max(0, more);
  return page[MISSED];
}

/** A name for this page that no other page has. `crypto.randomUUID` is missing on plain http. */
function randomName() {
  const numbers = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(numbers, (number) => number.toString(36)).join("");
}

/**
 * What is in a deflated buffer.
 * @param {DataView} buffer
 * @returns {Promise<Blob>}
 */
export function inflate(buffer) {
  const packed = new Blob([/** @type {DataView<ArrayBuffer>} */ (buffer)]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).blob();
}
