/** Whether the kernel behind the table is there: from its own status where the front end tells it, and from pings. */

const PING_EVERY = 30_000;
const PONG_WITHIN = 5_000;
const BUSY_SUSPECTED = 1_500;
const GONE_AFTER = 90_000;
const TIMER_LATE = 2_000;
const DEAD_STATUSES = new Set(["restarting", "autorestarting", "terminating", "dead"]);

/** @import { Kernel, Listener, Model, Signal, Told } from "./link.js" */
/** @typedef {"live" | "busy" | "gone"} KernelState */

export class KernelHealth {
  /**
   * @param {{model: Model, link: import("./link.js").Link, onChange: () => void, onReconnect: () => void}} parts
   */
  constructor({ model, link, onChange, onReconnect }) {
    this.link = link;
    this.model = model;
    this.onChange = onChange;
    this.onReconnect = onReconnect;
    /** @type {KernelState} */
    this.state = "live";
    this.final = false;
    this.pingedAt = 0;
    this.silentSince = Date.now();
    /** @type {(() => void)[]} */
    this.stops = [];
    this.timers = { ping: 0, pong: 0, busy: 0 };
    this.kernel = kernelOf(model);
    this.#watchModel();
    this.#watchKernel();
  }

  /** Pings from now on: a view is there. */
  start() {
    if (!this.timers.ping) this.timers.ping = window.setInterval(() => this.#ping(), PING_EVERY);
  }

  /** No view, no pings: the kernel may end its watchers. */
  pause() {
    clearInterval(this.timers.ping);
    clearTimeout(this.timers.pong);
    this.timers.ping = 0;
    this.pingedAt = 0;
  }

  close() {
    this.pause();
    clearTimeout(this.timers.busy);
    for (const stop of this.stops) stop();
  }

  /** @param {Told} message */
  heard(message) {
    this.silentSince = Date.now();
    if (this.final) {
      if (message.kind === "reset") this.#revive();
      return;
    }
    if (message.kind === "pong" && message.page === this.link.page) {
      this.pingedAt = 0;
      clearTimeout(this.timers.pong);
      this.#become("live");
    } else if (this.state === "gone") {
      this.#become("live");
      this.onReconnect();
    }
  }

  #revive() {
    this.final = false;
    this.pingedAt = 0;
    this.#become("live");
  }

  #ping() {
    if (this.final) return;
    // One question at a time: a kernel whose cell runs for hours must not find hundreds of them.
    if (!this.pingedAt) {
      this.pingedAt = Date.now();
      this.link.send({ do: "ping" });
    }
    this.#expectPong();
  }

  #expectPong() {
    clearTimeout(this.timers.pong);
    const due = Date.now() + PONG_WITHIN;
    this.timers.pong = window.setTimeout(() => {
      const late = Date.now() - due > TIMER_LATE;
      if (late) this.#expectPong();
      else this.#missPong();
    }, PONG_WITHIN);
  }

  #missPong() {
    if (!this.pingedAt || this.final) return;
    const silence = Date.now() - Math.max(this.silentSince, 0);
    const status = this.kernel?.status;
    if (status === "busy" || silence < PING_EVERY + PONG_WITHIN) this.#become("busy");
    else if (silence > GONE_AFTER) this.#become("gone");
    if (silence > GONE_AFTER) this.pingedAt = 0;
  }

  /** @param {KernelState} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.onChange();
  }

  /** The kernel can't come back under this table: only a new table's rows would. */
  end() {
    this.final = true;
    this.#become("gone");
  }

  #watchModel() {
    const onLive = () => {
      if (this.model.comm_live !== true) this.end();
    };
    const onClose = () => this.end();
    const events = /** @type {[string, () => void][]} */ ([["comm_live_update", onLive], ["comm:close", onClose]]);
    for (const [name, listener] of events) {
      this.model.on(name, listener);
      this.stops.push(() => this.model.off(name, listener));
    }
  }

  #watchKernel() {
    const kernel = this.kernel;
    if (!kernel) return;
    this.#connect(kernel.statusChanged, () => this.#statusChanged(kernel.status));
    this.#connect(kernel.disposed, () => this.end());
    this.#connect(kernel.connectionStatusChanged, (_, status) => this.#connectionChanged(status));
  }

  /** @param {Signal | undefined} signal @param {Listener} listener */
  #connect(signal, listener) {
    if (typeof signal?.connect !== "function") return;
    signal.connect(listener);
    this.stops.push(() => signal.disconnect(listener));
  }

  /** @param {string} status */
  #statusChanged(status) {
    clearTimeout(this.timers.busy);
    if (DEAD_STATUSES.has(status)) this.end();
    else if (status === "busy" && this.timers.ping) {
      // A ping makes the kernel busy for a moment, too: only what lasts is asked about.
      this.timers.busy = window.setTimeout(() => this.#suspectBusy(), BUSY_SUSPECTED);
    }
  }

  #suspectBusy() {
    if (this.kernel?.status === "busy") this.#ping();
  }

  /** @param {string} status */
  #connectionChanged(status) {
    if (status !== "connected") this.wasCut = true;
    else if (this.wasCut && !this.final) {
      this.wasCut = false;
      this.onReconnect();
    }
  }
}

/** @param {Model} model @returns {Kernel | null} the front end's kernel, null where it tells nothing */
function kernelOf(model) {
  try {
    return model.widget_manager?.kernel ?? null;
  } catch {
    return null;
  }
}
