/** What all views of one table in one page share: the wire, the rows, the kernel's health, actions and the bell. */
import { freshnessOf } from "./freshness.js";
import { KernelHealth } from "./health.js";
import { Keeper } from "./keeper.js";
import { Link, inflate } from "./link.js";
import { Bell, sentencesOf } from "./notify.js";
import { RowActions } from "./rowactions.js";
import { Store } from "./store.js";
import { nothingInWords } from "./words.js";

/** @import { Model, Told } from "./link.js" */
/** @import { ConnectionState, Freshness, Initial, Reset } from "./messages.js" */
/** @import { Columns } from "./store.js" */

const HELLO_AGAIN = 10_000;
const MISSED_AGAIN = 1000;
const DETACHED_VIEWS = 4;

export class Page {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.store = new Store();
    this.link = new Link(model);
    /** @type {Set<import("./view.js").WatchView>} */
    this.views = new Set();
    this.closed = false;
    /** @type {ConnectionState[]} */
    this.connections = [];
    /** @type {Record<string, unknown> | null} */
    this.view = null;
    /** @type {Initial | null} */
    this.initial = null;
    this.frozenAt = 0;
    this.rang = false;
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
      model, link: this.link, store: this.store, isUsed: () => [...this.views].some((view) => view.isUsed),
      isShown: () => this.alive && this.views.size > 0,
    });
    this.link.onBroken = () => this.health.end();
    this.link.onMissed = () => this.#missed();
    this.store.onEnd((ended) => this.#ended(ended));
    this.link.onMessage((message) => this.#receive(message));
    this.leave = () => this.link.send({ do: "bye" });
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

  /** Why there are no rows. */
  nothingInWords() {
    const asked = this.connections.length
      ? this.connections.filter(({ listed }) => listed === null).map(({ name }) => name)
      : this.store.connections;
    const listed = this.connections.reduce((sum, connection) => sum + (connection.listed ?? 0), 0);
    return nothingInWords(asked, listed, this.initial?.filters ?? "");
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

  /** @param {Record<string, unknown>} view */
  save(view) {
    this.view = view;
    this.keeper.changed();
    if (this.alive) this.link.send({ do: "view", view });
  }

  get #firstView() {
    const views = [...this.views];
    return views.find((view) => view.root.isConnected) ?? views[0];
  }

  /** Asks for all rows; not again and again while a busy kernel can't answer. */
  #hello() {
    if (Date.now() - this.helloAt < HELLO_AGAIN) return;
    this.helloAt = Date.now();
    this.link.send({ do: "hello" });
  }

  /** Messages got lost on the way, as they do while a cell prints very much: asks for everything anew. */
  #missed() {
    if (Date.now() - this.helloAt < MISSED_AGAIN) {
      clearTimeout(this.missedTimer);
      this.missedTimer = window.setTimeout(() => this.#missed(), MISSED_AGAIN);
      return;
    }
    this.helloAt = Date.now();
    this.link.send({ do: "hello" });
    this.link.askAgain();
  }

  /** @param {Told} message */
  #receive(message) {
    this.health.heard(message);
    // Unpacking takes a moment: what comes meanwhile belongs behind it.
    if (message.kind === "reset") {
      if (message.to === this.link.page) this.#queueUp(unpack(message.buffers[0]), (columns) => this.#reset(message, columns));
    } else if (this.unpacking) this.#queueUp(Promise.resolve(), () => this.#handle(message));
    else this.#handle(message);
  }

  /** @template T @param {Promise<T>} ready @param {(value: T) => void} work */
  #queueUp(ready, work) {
    this.unpacking += 1;
    this.queue = this.queue.then(() => ready).then(work)
      .catch((error) => this.#say([`The rows could not be read: ${error.message}`]))
      .finally(() => (this.unpacking -= 1));
  }

  /** @param {Exclude<Told, {kind: "reset"}>} message */
  #handle(message) {
    if (message.kind === "changes") this.store.take(message);
    else if (message.kind === "freshness") this.#setFreshness(message);
    else if (message.kind === "output" || message.kind === "displays" || message.kind === "curves") for (const view of this.views) view.viewers.receive(message);
    else if (!this.store.ready) this.#hello();
  }

  /** @param {Reset} message @param {Columns} columns */
  #reset(message, columns) {
    this.store.connections = message.connections;
    this.view = message.view ?? this.view;
    this.initial = message.initial;
    this.store.reset(columns);
    const first = this.#firstView;
    for (const view of this.views) view.restore(this.view, this.initial, view === first ? message.open : []);
    if (message.notify && !this.rang) this.bell.switchOn();
    this.rang = true;
    this.#redraw();
  }

  /** @param {Freshness} message */
  #setFreshness(message) {
    this.connections = message.connections;
    if (message.closed && !this.closed) this.#freeze();
    this.closed = message.closed;
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

/** @param {DataView} packed @returns {Promise<Columns>} */
async function unpack(packed) {
  return JSON.parse(await (await inflate(packed)).text());
}
