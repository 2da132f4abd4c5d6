/** The tab of a viewer with its charts: what draws them is loaded when it is first opened. */
import { textOf } from "./asker.js";
import { columnOf } from "./columns.js";
import { el, setText } from "./dom.js";
import { loadProgram } from "./program.js";

/** @typedef {import("./messages.js").Curves & {buffers: DataView[]}} ToldCurves */
/** @typedef {import("./charts.js").Charts} Charts */
/** @typedef {{time: boolean, log: boolean, smoothing: number, alone: boolean}} ChartSettings as all viewers have them */

/** Runs whose curves one viewer shows. */
export const MOST_RUNS = 32;

/** @returns {ChartSettings} */
export function newChartSettings() {
  return { time: false, log: false, smoothing: 0, alone: false };
}

/** @type {WeakMap<import("./link.js").Link, Promise<any[]>>} */
const loading = new WeakMap();

/** @param {import("./link.js").Link} link */
function loadCharts(link) {
  const started = loading.get(link) ?? loadProgram(link, "charts");
  loading.set(link, started);
  started.catch(() => loading.delete(link));
  return started;
}

export class MetricsTab {
  /**
   * @param {object} host
   * @param {import("./link.js").Link} host.link
   * @param {import("./store.js").Store} host.store
   * @param {number} host.slot
   * @param {ChartSettings} host.settings
   * @param {(() => number[]) | null} host.selected rows that are selected in the table, if there is one
   * @param {() => void} host.onAsk other curves are wanted
   * @param {() => void} host.onMissed all are wanted anew
   * @param {() => void} host.onSettings
   */
  constructor(host) {
    this.host = host;
    this.shown = false;
    /** @type {Charts | null} */
    this.charts = null;
    /** What came before there were charts. @type {ToldCurves[]} */
    this.early = [];
    this.note = el("div", { class: "hopx-edge" }, "loading…");
    this.element = /** @type {HTMLElement} */ (
      el("div", { class: "hopx-metrics", tabindex: "0", role: "group", "aria-label": "Metrics", hidden: true }, this.note)
    );
  }

  /** The selected runs beside its own, of which curves are shown if they are wanted. */
  get others() {
    const selected = this.host.selected?.() ?? [];
    return selected.length > 1 ? selected.filter((slot) => slot !== this.host.slot) : [];
  }

  /** Those whose curves are wanted, its own first. @returns {number[]} */
  get runs() {
    const { slot, settings } = this.host;
    return settings.alone ? [slot] : [slot, ...this.others].slice(0, MOST_RUNS);
  }

  /** @param {boolean} visible */
  show(visible) {
    this.element.hidden = !visible;
    this.shown = visible;
    this.early = [];
    if (!visible) this.charts?.clear();
    else if (this.charts) this.charts.draw();
    else this.#load();
  }

  async #load() {
    try {
      const [uPlot, newCharts] = await loadCharts(this.host.link);
      if (this.charts || !this.element.isConnected) return;
      this.charts = /** @type {Charts} */ (newCharts(uPlot, {
        tab: this, store: this.host.store, settings: this.host.settings,
        labelOf: (/** @type {string} */ name) => columnOf(`metric.${name}`)?.label ?? name,
        onSettings: () => this.host.onSettings(), onAsk: () => this.host.onAsk(),
        onMissed: () => this.host.onMissed(),
      }));
      this.element.replaceChildren(this.charts.element);
      for (const message of this.early) this.charts.receive(message);
      this.early = [];
      this.charts.draw();
    } catch (error) {
      setText(this.note, `The charts could not be loaded: ${textOf(error)}. Opening this tab again tries again.`);
    }
  }

  /** @param {ToldCurves} message */
  receive(message) {
    if (!this.shown) return;
    if (this.charts) this.charts.receive(message);
    else this.early.push(message);
  }

  /** Rows, or what is selected, may be others than before. */
  changed() {
    if (this.shown) this.charts?.draw();
  }

  text() {
    return this.charts?.text() ?? "";
  }

  destroy() {
    this.charts?.destroy();
  }
}
