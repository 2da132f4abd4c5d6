/** The charts of a viewer: of each metric one, with the curves of all runs that are wanted. A page loads it when needed. */
import { MetricChart } from "./chart.js";
import { Curve, labelsOf } from "./curve.js";
import { el, FrameBatch, setAttribute, setText } from "./dom.js";
import { formatCount, formatCounting, formatNumber, sizeInWords } from "./format.js";

/** @import { Curves, CurvesOfRun, Row } from "./messages.js" */
/** @import { Reading, Settings, ShownRun } from "./chart.js" */

const COLOURS = 8;
/** Of runs beyond the colours, the first of which are drawn through. */
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3]];
const TIP_AWAY = 14;
const TALL_TIP = 14;
const SMOOTHEST = 99;
/** Milliseconds in which curves that were asked for together may come together. */
const TOGETHER = 150;

/**
 * @typedef {object} ChartsHost
 * @property {{runs: number[], others: number[], host: {selected: unknown}}} tab
 * @property {{rows: Map<number, Row>}} store
 * @property {Settings} settings
 * @property {(name: string) => string} labelOf
 * @property {() => void} onSettings they were changed
 * @property {() => void} onAsk other curves are wanted
 * @property {() => void} onMissed all are wanted anew
 */

export class Charts {
  /** @param {any} uPlot @param {ChartsHost} host */
  constructor(uPlot, host) {
    this.uPlot = uPlot;
    this.host = host;
    /** @type {Map<string, MetricChart>} */
    this.charts = new Map();
    /** The last that was told of each run. @type {Map<number, CurvesOfRun>} */
    this.states = new Map();
    /** Which colour a run has. @type {Map<number, number>} */
    this.numbers = new Map();
    /** @type {Set<number>} */
    this.hidden = new Set();
    this.askedAt = performance.now();
    /** @type {{colours: string[], ink: import("./chart.js").Ink} | null} null: to be looked up */
    this.looks = null;
    /** The one that somebody points at. @type {MetricChart | null} */
    this.readChart = null;
    /** @type {number[]} */
    this.asked = host.tab.runs;
    this.later = 0;
    this.frames = new FrameBatch(() => this.#draw());
    this.tools = new ChartTools(host, () => this.#changed());
    this.legend = el("div", { class: "hopx-legend", role: "group", "aria-label": "Runs" });
    this.notes = el("div", { class: "hopx-chart-notes", role: "status" });
    this.grid = el("div", { class: "hopx-chart-grid" });
    this.empty = el("div", { class: "hopx-edge" });
    this.tip = el("div", { class: "hopx-tip", role: "presentation", hidden: true });
    this.inks = el("span", { class: "hopx-inks", "aria-hidden": "true" });
    this.element = el(
      "div", { class: "hopx-charts" },
      this.tools.element, this.legend, this.notes, this.empty, this.grid, this.tip, this.inks,
    );
    this.sight = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "200px" });
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.grid);
    const onTheme = () => {
      this.looks = null;
      this.draw();
    };
    this.themes = new MutationObserver(onTheme);
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.onScheme = onTheme;
    this.scheme.addEventListener("change", this.onScheme);
  }

  /** @param {Curves & {buffers: DataView[]}} message */
  receive(message) {
    const { runs, buffers: [view] } = message;
    const told = view ? new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)) : new Float32Array(0);
    let begin = 0;
    let fits = true;
    for (const state of runs) {
      for (const part of state.parts) {
        const values = told.subarray(begin, (begin += part.count));
        if (this.asked.includes(state.run)) fits = this.#take(state.run, part, values) && fits;
      }
      if (this.asked.includes(state.run)) this.states.set(state.run, state);
    }
    if (!fits) this.host.onMissed();
    this.#drawIfComplete();
  }

  /** @param {number} run @param {import("./messages.js").CurvePart} part @param {Float32Array} values */
  #take(run, part, values) {
    const chart = this.#chart(part.name);
    const curve = chart.curves.get(run) ?? new Curve();
    chart.curves.set(run, curve);
    chart.wanted = true;
    return curve.take(part, values);
  }

  /** @param {string} name */
  #chart(name) {
    const known = this.charts.get(name);
    if (known) return known;
    const chart = new MetricChart({
      name, label: this.host.labelOf(name), uPlot: this.uPlot, settings: this.host.settings,
      onRead: (chart, reading, place) => this.#read(chart, reading, place),
    });
    chart.onZoom = () => this.draw();
    this.charts.set(name, chart);
    this.grid.append(chart.element);
    this.sight.observe(chart.element);
    return chart;
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const chart = this.charts.get(/** @type {HTMLElement} */ (target).dataset.metric ?? "");
      if (chart) chart.inSight = isIntersecting;
    }
    this.draw();
  }

  /** Many runs are drawn at once, rather than one after the other, if they come soon. */
  #drawIfComplete() {
    if (this.states.size >= this.asked.length || performance.now() - this.askedAt > TOGETHER) this.draw();
    else this.later ||= window.setTimeout(() => {
      this.later = 0;
      this.draw();
    }, TOGETHER);
  }

  /** Draws with the next frame what has changed. */
  draw() {
    this.frames.request();
  }

  /** Settings were changed. */
  #changed() {
    for (const chart of this.charts.values()) chart.settingsChanged();
    this.host.onSettings();
    this.draw();
  }

  #draw() {
    if (!this.element.isConnected || !this.element.offsetParent) return;
    this.#askFor(this.host.tab.runs);
    this.looks ??= this.#lookUp();
    const { ink } = this.looks;
    const runs = this.#shownRuns(this.looks.colours);
    this.tools.show(this.host.tab, this.charts.size > 0, this.#hasTimes());
    this.#drawLegend(runs);
    this.#drawNotes(runs);
    for (const chart of this.charts.values()) chart.draw(runs, ink);
    const states = [...this.states.values()];
    this.empty.hidden = this.charts.size > 0 || states.length < this.asked.length;
    this.grid.hidden = this.charts.size === 0;
    if (!this.empty.hidden) this.empty.replaceChildren(...this.#nothing(runs, states));
  }

  /** @param {ShownRun[]} runs @param {CurvesOfRun[]} states @returns {(Node | string)[]} */
  #nothing(runs, states) {
    const note = states.find((state) => state.note)?.note;
    if (note) return [note];
    if (states.some(({ unread }) => unread)) return ["reading…"];
    const who = runs.length > 1 ? `${runs.length} runs have` : "This run has";
    return [`${who} printed no metrics: lines such as `, el("code", {}, "loss: 0.31"), " are read."];
  }

  /** @param {number[]} wanted */
  #askFor(wanted) {
    if (wanted.join() === this.asked.join()) return;
    this.asked = wanted;
    this.askedAt = performance.now();
    for (const slot of this.states.keys()) if (!wanted.includes(slot)) this.#forget(slot);
    this.host.onAsk();
  }

  /** @param {number} slot */
  #forget(slot) {
    this.states.delete(slot);
    this.numbers.delete(slot);
    this.hidden.delete(slot);
    for (const chart of this.charts.values()) {
      chart.curves.delete(slot);
      if (!chart.curves.size) this.#drop(chart);
    }
  }

  /** @param {MetricChart} chart */
  #drop(chart) {
    chart.destroy();
    this.sight.unobserve(chart.element);
    chart.element.remove();
    this.charts.delete(chart.name);
  }

  /** Nobody sees it: all will be told anew. */
  clear() {
    for (const slot of [...this.states.keys()]) this.#forget(slot);
    this.askedAt = performance.now();
    this.#showTip(null, { left: 0, top: 0 });
  }

  /** @param {string[]} colours @returns {ShownRun[]} */
  #shownRuns(colours) {
    const known = this.asked.flatMap((slot) => {
      const row = this.host.store.rows.get(slot);
      return row ? [{ slot, row }] : [];
    });
    const labels = labelsOf(known.map(({ row }) => row));
    return known.map(({ slot }, index) => {
      const number = this.#numberOf(slot);
      const colour = colours[number % COLOURS];
      return {
        slot, label: labels[index], colour, faint: `color-mix(in srgb, ${colour} 30%, transparent)`,
        dash: DASHES[Math.floor(number / COLOURS) % DASHES.length], hidden: this.hidden.has(slot),
      };
    });
  }

  /** The least that no other run has. @param {number} slot */
  #numberOf(slot) {
    const known = this.numbers.get(slot);
    if (known !== undefined) return known;
    const taken = new Set(this.numbers.values());
    let number = 0;
    while (taken.has(number)) number += 1;
    this.numbers.set(slot, number);
    return number;
  }

  /** The colours of the theme, as a canvas takes them. */
  #lookUp() {
    const names = [...Array.from({ length: COLOURS }, (_, number) => `--hopx-curve-${number}`), "--hopx-faint", "--hopx-faint-line", "--hopx-back"];
    this.inks.replaceChildren(...names.map((name) => el("i", { style: `color: var(${name})` })));
    const colours = [...this.inks.children].map((ink) => getComputedStyle(ink).color);
    const [text, line, back] = colours.slice(COLOURS);
    return { colours, ink: { text, line, back, font: `11px ${getComputedStyle(this.element).fontFamily}` } };
  }

  #hasTimes() {
    return [...this.charts.values()].some(({ curves }) => [...curves.values()].some(({ knots }) => knots.length));
  }

  // -- what stands around the charts --

  /** @param {ShownRun[]} runs */
  #drawLegend(runs) {
    this.legend.hidden = runs.length < 2;
    const told = JSON.stringify(runs);
    if (told === this.legend.dataset.told) return;
    this.legend.dataset.told = told;
    this.#emphasize(null);
    const focused = [...this.legend.children].indexOf(/** @type {Element} */ (document.activeElement));
    this.legend.replaceChildren(...runs.map((run) => this.#legendItem(run)));
    /** @type {HTMLElement | undefined} */ (this.legend.children[focused])?.focus({ preventScroll: true });
  }

  /** @param {ShownRun} run */
  #legendItem(run) {
    const toggle = () => {
      if (!this.hidden.delete(run.slot)) this.hidden.add(run.slot);
      this.draw();
    };
    return el("button", {
      type: "button", class: "hopx-legend-item", "aria-pressed": String(!run.hidden), title: `${run.label}: show or hide`, onclick: toggle,
      onpointerenter: () => this.#emphasize(run.slot), onpointerleave: () => this.#emphasize(null),
    }, swatch(run), el("bdi", {}, run.label));
  }

  /** @param {number | null} slot */
  #emphasize(slot) {
    for (const { plot, lines } of this.charts.values()) {
      const index = lines.findLastIndex(({ run }) => run.slot === slot);
      plot?.setSeries(index < 0 ? /** @type {any} */ (null) : index + 1, { focus: true });
    }
  }

  /** @param {ShownRun[]} runs */
  #drawNotes(runs) {
    const { tab, settings } = this.host;
    const states = [...this.states.values()];
    const wanted = tab.others.length + 1;
    const unread = states.reduce((sum, state) => sum + state.unread, 0);
    const skipped = states.reduce((sum, state) => sum + state.skipped, 0);
    const late = states.filter(({ seen }) => seen !== null && seen > 1).map(({ seen }) => Number(seen));
    const failed = this.charts.size ? states.filter(({ note }) => note).map(({ run, note }) => `${this.#labelOf(runs, run)}: ${note}`) : [];
    setText(this.notes, [
      !settings.alone && wanted > tab.runs.length && `${tab.runs.length} of ${wanted} runs are shown.`,
      unread > 0 && this.charts.size > 0 && `Reading: ${sizeInWords(unread)} left.`,
      skipped > 0 && `The first ${sizeInWords(skipped)} of the output were not read.`,
      ...states.filter(({ cut }) => cut).map(({ run }) => `Of ${this.#labelOf(runs, run)} only the first 100 metrics are read.`),
      settings.time && late.length > 0 &&
        `Times before ${formatCounting(Math.max(...late))} are estimated, as if the output had come evenly: nobody followed it then.`,
      ...failed,
    ].filter(Boolean).join(" "));
  }

  /** @param {ShownRun[]} runs @param {number} slot */
  #labelOf(runs, slot) {
    return runs.length > 1 ? runs.find((run) => run.slot === slot)?.label ?? "a run" : "this run";
  }

  /** @param {MetricChart} chart @param {Reading | null} reading @param {{left: number, top: number}} place in the window */
  #read(chart, reading, place) {
    if (!reading && this.readChart !== chart) return;
    this.readChart = reading ? chart : null;
    this.#showTip(reading, place);
  }

  /** @param {Reading | null} reading @param {{left: number, top: number}} place in the window */
  #showTip(reading, { left, top }) {
    const { tip } = this;
    tip.hidden = !reading;
    if (!reading) return;
    tip.classList.toggle("hopx-tip-tall", reading.values.length > TALL_TIP);
    tip.replaceChildren(el("div", { class: "hopx-tip-x" }, reading.x), el("div", { class: "hopx-tip-values" }, reading.values.map(tipLine)));
    if (tip.showPopover) {
      tip.popover = "manual";
      if (!tip.matches(":popover-open")) tip.showPopover();
    }
    const { width, height } = tip.getBoundingClientRect();
    const right = left + TIP_AWAY + width > innerWidth;
    tip.style.left = `${Math.max(4, right ? left - TIP_AWAY - width : left + TIP_AWAY)}px`;
    tip.style.top = `${Math.max(4, Math.min(top + TIP_AWAY, innerHeight - height - 4))}px`;
  }

  /** The last values, one a line. */
  text() {
    const runs = this.#shownRuns([]);
    return [...this.charts.values()].flatMap((chart) => runs.flatMap(({ slot, label }) => {
      const curve = chart.curves.get(slot);
      return curve?.length ? [`${label}\t${chart.name}\t${curve.count}\t${formatNumber(curve.values[curve.length - 1])}`] : [];
    })).join("\n");
  }

  destroy() {
    this.frames.cancel();
    clearTimeout(this.later);
    this.sight.disconnect();
    this.sizes.disconnect();
    this.themes.disconnect();
    this.scheme.removeEventListener("change", this.onScheme);
    for (const chart of this.charts.values()) chart.destroy();
    this.element.remove();
  }
}

/** What is chosen above the charts. */
class ChartTools {
  /** @param {ChartsHost} host @param {() => void} onChange */
  constructor(host, onChange) {
    this.settings = host.settings;
    this.onChange = onChange;
    this.scope = new Choice("Which runs", ["this run", "selected"], (chosen) => this.#set({ alone: chosen === 0 }));
    this.axis = new Choice("Horizontal axis", ["step", "time"], (chosen) => this.#set({ time: chosen === 1 }));
    this.scale = new Choice("Vertical axis", ["linear", "log"], (chosen) => this.#set({ log: chosen === 1 }));
    setAttribute(this.axis.buttons[0], "title", "The values of a metric in the order in which they were printed");
    setAttribute(this.axis.buttons[1], "title", "Seconds since the start of each run");
    this.hint = el("span", { class: "hopx-chart-hint" }, "select several rows to compare them");
    this.share = el("output", { class: "hopx-smoothing-share" });
    this.slider = el("input", {
      type: "range", min: "0", max: String(SMOOTHEST), step: "1", class: "hopx-smoothing",
      oninput: () => this.#set({ smoothing: Number(this.slider.value) / 100 }),
      // The notebook has uses of its own for arrows.
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key.startsWith("Arrow") && event.stopPropagation(),
    });
    const smoothing = el("label", { class: "hopx-smoothing-label" }, "smoothing ", this.slider, this.share);
    this.ofCharts = [this.axis.element, this.scale.element, smoothing];
    this.element = el("div", { class: "hopx-chart-tools" }, this.ofCharts, this.scope.element, this.hint);
  }

  /** @param {Partial<Settings>} settings */
  #set(settings) {
    Object.assign(this.settings, settings);
    this.onChange();
  }

  /** @param {ChartsHost["tab"]} tab @param {boolean} hasCharts @param {boolean} hasTimes */
  show({ others, host }, hasCharts, hasTimes) {
    for (const element of this.ofCharts) element.hidden = !hasCharts;
    const { alone, time, log, smoothing } = this.settings;
    this.scope.element.hidden = others.length === 0;
    this.hint.hidden = others.length > 0 || !host.selected;
    setText(this.scope.buttons[1], `${formatCount(others.length + 1)} runs`);
    this.scope.press(alone ? 0 : 1);
    this.axis.press(time ? 1 : 0);
    this.axis.buttons[1].disabled = !hasTimes && !time;
    this.scale.press(log ? 1 : 0);
    if (this.slider.value !== String(Math.round(smoothing * 100))) this.slider.value = String(Math.round(smoothing * 100));
    setText(this.share, smoothing ? smoothing.toFixed(2) : "off");
    setAttribute(this.slider, "aria-valuetext", smoothing ? smoothing.toFixed(2) : "off");
  }
}

/** Buttons side by side, of which one is pressed. */
class Choice {
  /** @param {string} label @param {string[]} words @param {(chosen: number) => void} onChoose */
  constructor(label, words, onChoose) {
    this.buttons = words.map((word, index) => el("button", { type: "button", class: "hopx-choice", onclick: () => onChoose(index) }, word));
    this.element = el("div", { class: "hopx-choices", role: "group", "aria-label": label }, this.buttons);
  }

  /** @param {number} chosen */
  press(chosen) {
    this.buttons.forEach((button, index) => setAttribute(button, "aria-pressed", String(index === chosen)));
  }
}

/** @param {ShownRun} run @returns {Element} a piece of its line */
function swatch({ colour, dash }) {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "path");
  for (const [name, value] of Object.entries({ class: "hopx-swatch", viewBox: "0 0 22 8", "aria-hidden": "true" })) picture.setAttribute(name, value);
  for (const [name, value] of Object.entries({ d: "M1 4h20", stroke: colour, "stroke-width": "2.5", "stroke-dasharray": dash.join(" ") })) {
    line.setAttribute(name, value);
  }
  picture.append(line);
  return picture;
}

/** @param {Reading["values"][number]} value */
function tipLine({ run, text, raw }) {
  const value = el("span", { class: "hopx-tip-value" }, text);
  return el("div", { class: "hopx-tip-line" }, swatch(run), el("bdi", { class: "hopx-tip-run" }, run.label), value, raw && el("span", { class: "hopx-tip-raw" }, `(${raw})`));
}

/** @param {any} uPlot @param {ChartsHost} host */
function newCharts(uPlot, host) {
  return new Charts(uPlot, host);
}

export default newCharts;
