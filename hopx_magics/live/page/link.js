/** The wire between this page and the kernel: intents out, messages in, and the kernel's clock. */

const SLOW_AFTER = 1000;
const CLOCK_SAMPLES = 8;

/**
 * @typedef {object} Asked
 * @property {(message: any) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {(() => void) | undefined} onAccepted
 * @property {number} slowTimer
 * @property {() => void} again
 */

export class Link {
  /** @param {any} model */
  constructor(model) {
    this.model = model;
    this.page = randomName();
    /** When the kernel was last heard, by `Date.now()`. */
    this.heardAt = 0;
    // Several pages share one comm and see each other's answers: numbers of one page must mean nothing to another.
    this.request = Math.floor(Math.random() * 2 ** 32) * 2 ** 20;
    /** @type {Map<number, Asked>} */
    this.asked = new Map();
    /** @type {Set<(message: any) => void>} */
    this.listeners = new Set();
    /** @type {number[]} */
    this.offsets = [];
    this.receiveCustom = (/** @type {any} */ content, /** @type {any} */ buffers) => this.#receive(content, buffers);
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
   * @param {string} doWhat @param {Record<string, any>} [fields]
   * @returns {number} the number of the request
   */
  send(doWhat, fields = {}) {
    this.request += 1;
    this.#post({ ...fields, do: doWhat, request: this.request, page: this.page });
    return this.request;
  }

  /** @param {any} intent */
  #post(intent) {
    try {
      this.model.send(intent);
    } catch (error) {
      this.onBroken();
    }
  }

  /**
   * Asks the kernel for something and waits for its answer, however long its cell runs.
   * @param {string} doWhat @param {Record<string, any>} [fields]
   * @param {{onSlow?: () => void, onAccepted?: () => void}} [hooks] `onSlow`: the kernel took no notice within 1 s
   * @returns {Promise<any>} the answer, with its `buffers`
   */
  ask(doWhat, fields = {}, { onSlow, onAccepted } = {}) {
    return new Promise((resolve, reject) => {
      const request = this.send(doWhat, fields);
      const slowTimer = window.setTimeout(() => onSlow?.(), SLOW_AFTER);
      const again = () => this.#post({ ...fields, do: doWhat, request, page: this.page });
      this.asked.set(request, { resolve, reject, onAccepted, slowTimer, again });
    });
  }

  /** Asks once more for all answers that have not come: they may be among what was missed. */
  askAgain() {
    for (const asked of this.asked.values()) asked.again();
  }

  /** @param {(message: any) => void} listener @returns {() => void} ends it */
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

  /** @param {any} content @param {any} buffers */
  #receive(content, buffers) {
    if (content === null || typeof content !== "object") return;
    this.heardAt = Date.now();
    this.#setClock(content.now);
    this.#count(content.number);
    const message = { ...content, buffers: buffers ?? [] };
    if (!this.#answer(message)) for (const listener of this.listeners) listener(message);
  }

  /** @param {any} number the kernel numbers its messages */
  #count(number) {
    if (!Number.isInteger(number)) return;
    const missed = this.number > 0 && number !== this.number + 1;
    this.number = number;
    if (missed) this.onMissed();
  }

  /**
   * A message that was delayed makes the kernel's clock look late, never early: the best of the latest counts.
   * @param {any} now
   */
  #setClock(now) {
    if (!Number.isFinite(now)) return;
    this.offsets.push(now - Date.now() / 1000);
    if (this.offsets.length > CLOCK_SAMPLES) this.offsets.shift();
  }

  /** @param {any} message @returns {boolean} whether it answered a request, of any page */
  #answer(message) {
    if (!["accepted", "done", "chunk"].includes(message.kind)) return false;
    const asked = this.asked.get(message.request);
    if (!asked) return true;
    clearTimeout(asked.slowTimer);
    if (message.kind === "accepted") {
      asked.onAccepted?.();
      return true;
    }
    this.asked.delete(message.request);
    if (message.error) asked.reject(new Error(String(message.error)));
    else asked.resolve(message);
    return true;
  }
}

/** A name for this page that no other page has. `crypto.randomUUID` is missing on plain http. */
function randomName() {
  const numbers = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(numbers, (number) => number.toString(36)).join("");
}

/**
 * The JSON in a deflated buffer.
 * @param {DataView | ArrayBuffer} buffer
 * @returns {Promise<any>}
 */
export async function inflateJson(buffer) {
  const stream = new Blob([/** @type {any} */ (buffer)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}
