/** What all views of one table in one page share: the wire, the rows, the kernel's health, actions and the bell. */
import { freshnessOf } from "./freshness.js";
import { Keeper, KernelHealth } from "./health.js";
import { Link, inflateJson } from "./link.js";
import { Bell, sentencesOf } from "./notify.js";
import { RowActions } from "./rowactions.js";
import { Store } from "./store.js";

const HELLO_AGAIN = 10_000;
const MISSED_AGAIN = 1000;
const DETACHED_VIEWS = 4;

export class Page {
  /** @param {any} model */
  constructor(model) {
    this.store = new Store();
    this.link = new Link(model);
    /** @type {Set<import("./view.js").WatchView>} */
    this.views = new Set();
    this.closed = false;
    /** @type {import("./freshness.js").Connection[]} */
    this.connections = [];
    /** @type {any} */
    this.view = null;
    /** @type {any} */
    this.initial = null;
    this.frozenAt = 0;
    this.helloAt = 0;
    this.queue = Promise.resolve();
    this.unpacking = 0;
    this.missedTimer = 0;
    const redraw = () => this.#redraw();
    this.actions = new RowActions({
      link: this.link, store: this.store, onChange: redraw, say: (text) => this.#say([text]), isAlive: () => this.alive,
    });
    this.bell = new Bell({ onChange: redraw, onShow: (slot) => this.#firstView?.show(slot) });
    this.health = new KernelHealth({ model, link: this.link, onChange: () => this.#healthChanged(), onReconnect: () => this.#hello() });
    this.keeper = new Keeper({
      link: this.link, store: this.store, isUsed: () => [...this.views].some((view) => view.isUsed), isAlive: () => this.alive,
    });
    this.link.onBroken = () => this.health.end();
    this.link.onMissed = () => this.#missed();
    this.store.onEnd((ended) => this.#ended(ended));
    this.link.onMessage((message) => this.#receive(message));
    this.leave = () => this.link.send("bye");
    window.addEventListener("pagehide", this.leave);
    this.#hello();
  }

  close() {
    window.removeEventListener("pagehide", this.leave);
    this.keeper.close();
    this.health.close();
    this.link.close();
  }

  /** Whether numbers may go on counting. */
  get alive() {
    return !this.closed && this.health.state !== "gone";
  }

  /** The clock that is shown: it stands still with the kernel's last word when the kernel is gone. */
  shownNow() {
    return this.alive ? this.link.now() : this.frozenAt;
  }

  freshness() {
    const { ready, counts, anyOpen } = this.store;
    const now = this.link.now();
    const heard = now - (Date.now() - this.link.heardAt) / 1000;
    return freshnessOf({
      ready, counts, anyOpen, now, heard, closed: this.closed, kernel: this.health.state, connections: this.connections,
    });
  }

  /** @param {import("./view.js").WatchView} view */
  add(view) {
    this.views.add(view);
    this.health.start();
    // A notebook that draws its outputs anew doesn't say that it has dropped the old ones.
    const detached = [...this.views].filter((one) => one !== view && !one.root.isConnected);
    for (const one of detached.slice(0, -DETACHED_VIEWS)) this.remove(one);
  }

  /** @param {import("./view.js").WatchView} view */
  remove(view) {
    this.views.delete(view);
    view.destroy();
    if (this.views.size) return;
    this.health.pause();
    this.leave();
  }

  /** @param {any} view */
  save(view) {
    this.view = view;
    if (this.alive) this.link.send("view", { view });
  }

  get #firstView() {
    const views = [...this.views];
    return views.find((view) => view.root.isConnected) ?? views[0];
  }

  /** Asks for all rows; not again and again while a busy kernel can't answer. */
  #hello() {
    if (Date.now() - this.helloAt < HELLO_AGAIN) return;
    this.helloAt = Date.now();
    this.link.send("hello");
  }

  /** Messages got lost on the way, as they do while a cell prints very much: asks for everything anew. */
  #missed() {
    if (Date.now() - this.helloAt < MISSED_AGAIN) {
      clearTimeout(this.missedTimer);
      this.missedTimer = window.setTimeout(() => this.#missed(), MISSED_AGAIN);
      return;
    }
    this.helloAt = Date.now();
    this.link.send("hello");
    this.link.askAgain();
  }

  /** @param {any} message */
  #receive(message) {
    this.health.heard(message);
    if (message.kind === "reset" && message.to && message.to !== this.link.page) return;
    // Unpacking takes a moment: what comes meanwhile belongs behind it.
    if (message.kind !== "reset" && !this.unpacking) this.#handle(message);
    else this.#queueUp(message);
  }

  /** @param {any} message */
  #queueUp(message) {
    const isReset = message.kind === "reset";
    this.unpacking += 1;
    const rows = isReset ? inflateJson(message.buffers[0]) : Promise.resolve(null);
    this.queue = this.queue.then(() => rows).then((columns) => this.#handle(message, columns))
      .catch((error) => this.#say([`The rows could not be read: ${error.message}`]))
      .finally(() => (this.unpacking -= 1));
  }

  /** @param {any} message @param {any} [columns] */
  #handle(message, columns) {
    if (message.kind === "reset") this.#reset(message, columns);
    else if (message.kind === "changes") this.store.apply(message.rows ?? [], message.gone ?? []);
    else if (message.kind === "freshness") this.#setFreshness(message);
    else if (message.kind === "output") for (const view of this.views) view.viewers.receive(message);
    else if (!this.store.ready) this.#hello();
  }

  /** @param {any} message @param {any} columns */
  #reset(message, columns) {
    this.store.connections = message.connections ?? [];
    this.view = message.view ?? this.view;
    this.initial = message.initial ?? this.initial;
    this.store.reset(columns);
    const first = this.#firstView;
    for (const view of this.views) view.restore(this.view, this.initial, view === first ? message.open ?? [] : []);
    if (message.notify && !this.rang) this.bell.switchOn();
    this.rang = true;
    this.#redraw();
  }

  /** @param {any} message */
  #setFreshness(message) {
    this.connections = message.connections ?? [];
    if (message.closed && !this.closed) this.#freeze();
    this.closed = Boolean(message.closed);
    this.#redraw();
  }

  #healthChanged() {
    if (this.health.state === "gone") {
      this.#freeze();
      this.actions.abandon();
    }
    this.#redraw();
  }

  #freeze() {
    this.frozenAt = this.link.now() - (Date.now() - this.link.heardAt) / 1000;
  }

  /** @param {import("./notify.js").Ended[]} ended */
  #ended(ended) {
    this.#say(sentencesOf(ended));
    this.bell.tell(ended);
  }

  /** @param {string[]} sentences one voice is enough, however many views there are */
  #say(sentences) {
    this.#firstView?.announce(sentences);
  }

  #redraw() {
    for (const view of this.views) view.request();
  }
}
