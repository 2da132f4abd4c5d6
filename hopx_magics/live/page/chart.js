/** One chart: the curves of one metric, of all runs that are shown, with what they are at a point. */
import { Curve, labelledSplits, latticeOver, logSplits, nearestIndex, onLattice } from "./curve.js";
import { el, setAttribute, setText } from "./dom.js";
import { formatCount, formatCounting, formatNumber } from "./format.js";

/** @typedef {import("./vendor/uPlot.js")} uPlot */
/** @typedef {{slot: number, label: string, colour: string, faint: string, dash: number[], hidden: boolean}} ShownRun */
/** @typedef {import("./curve.js").Lattice} Lattice */
/** @typedef {import("./curve.js").Drawn} Drawn */
/** @typedef {{time: boolean, log: boolean, smoothing: number, alone: boolean}} Settings */
/** @typedef {{run: ShownRun, curve: Curve, smooth: boolean, version: number, drawn: Drawn}} Line */
/** @typedef {{text: string, line: string, back: string, font: string}} Ink */
/** @typedef {{x: string, values: {run: ShownRun, text: string, raw: string}[]}} Reading */

const CHART_HEIGHT = 190;
const CHART_LEAST_WIDTH = 160;
/** Places of a lattice for each pixel. */
const FINENESS = 1.5;
const MOST_PLACES = 10_000;
/** Places of all curves together. */
const MUCH = 4_000;
const SECOND = 2 ** -10;
/** Curves of so few values are drawn with points. */
const FEW = 30;
const Y_MARGIN = 0.06;
const FOCUS_NEAR = 12;
const TIMES = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600,
  43200, 86400, 172800, 432800, 864000,
];
const STEPS = [1, 2, 5].flatMap((digit) => Array.from({ length: 13 }, (_, power) => digit * 10 ** power)).sort((a, b) => a - b);

export class MetricChart {
  /**
   * @param {object} parts
   * @param {string} parts.name
   * @param {string} parts.label
   * @param {any} parts.uPlot its constructor
   * @param {Settings} parts.settings
   * @param {(chart: MetricChart, reading: Reading | null, place: {left: number, top: number}) => void} parts.onRead
   */
  constructor({ name, label, uPlot, settings, onRead }) {
    this.name = name;
    this.label = label;
    this.uPlot = uPlot;
    this.settings = settings;
    this.onRead = onRead;
    /** @type {Map<number, Curve>} by the slots of their runs */
    this.curves = new Map();
    /** @type {uPlot | null} */
    this.plot = null;
    this.madeFor = "";
    /** @type {Line[]} */
    this.lines = [];
    /** @type {Lattice} */
    this.lattice = { origin: 0, pitch: 1, size: 0 };
    this.latticeKey = "";
    /** @type {[number, number] | null} what was zoomed to */
    this.zoomed = null;
    this.zoomedTime = settings.time;
    /** Where the keyboard points. @type {number | null} */
    this.pointed = null;
    this.wanted = true;
    this.inSight = false;
    this.title = el("bdi", { class: "hopx-chart-name", title: label }, label);
    this.remark = el("span", { class: "hopx-chart-remark" });
    this.wholeButton = el("button", { type: "button", class: "hopx-chart-whole", hidden: true, onclick: () => this.zoom(null) }, "whole");
    this.area = el("div", {
      class: "hopx-chart-area", tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "1",
      "aria-valuenow": "0", "aria-orientation": "horizontal",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event), onblur: () => this.leave(),
    });
    this.area.style.height = `${CHART_HEIGHT}px`;
    this.element = el(
      "div", { class: "hopx-chart", "data-metric": name },
      el("div", { class: "hopx-chart-head" }, this.title, this.remark, this.wholeButton), this.area,
    );
  }

  /** @param {ShownRun[]} runs @param {Ink} ink */
  draw(runs, ink) {
    if (!this.inSight) return;
    const shown = runs.filter(({ slot, hidden }) => !hidden && this.curves.has(slot));
    const { time, log, smoothing } = this.settings;
    const width = Math.max(CHART_LEAST_WIDTH, Math.floor(this.area.clientWidth));
    const madeFor = JSON.stringify([shown, ink, time, log, smoothing > 0]);
    const isNew = madeFor !== this.madeFor;
    if (!isNew && !this.wanted && this.plot?.width === width) return;
    this.wanted = false;
    if (isNew) this.#makeLines(shown, smoothing > 0);
    this.madeFor = madeFor;
    this.#layOut(width);
    const data = [this.#places(), ...this.lines.map((line) => this.#drawn(line).ys)];
    if (isNew || !this.plot) this.#makePlot(data, width, ink);
    else {
      if (this.plot.width !== width) this.plot.setSize({ width, height: CHART_HEIGHT });
      this.lines.forEach((line, index) => Object.assign(/** @type {uPlot} */ (this.plot).series[index + 1], { width: this.#widthOf(line) }));
      this.plot.setData(/** @type {any} */ (data));
    }
    if (this.pointed !== null) this.point(this.pointed);
    setAttribute(this.element, "data-values", shown.reduce((sum, { slot }) => sum + (this.curves.get(slot)?.count ?? 0), 0));
    this.#remark(shown);
  }

  /** @param {ShownRun[]} shown @param {boolean} smooth */
  #makeLines(shown, smooth) {
    const of = (/** @type {boolean} */ isSmooth) => shown.map((run) => ({
      run, curve: /** @type {Curve} */ (this.curves.get(run.slot)), smooth: isSmooth, version: -1, drawn: { ys: [], alone: [] },
    }));
    this.lines = smooth ? [...of(false), ...of(true)] : of(false);
  }

  /** All values that are drawn, of all curves. @returns {[number, number]} */
  get span() {
    const { time } = this.settings;
    let last = time ? 0 : 1;
    for (const { curve } of this.lines) {
      const xs = curve.xs(time);
      if (xs && curve.length) last = Math.max(last, xs[curve.length - 1]);
    }
    return [time ? 0 : 1, last];
  }

  /** @param {number} width */
  #layOut(width) {
    const [low, high] = this.span;
    const part = this.zoomed ? Math.max(1e-9, (this.zoomed[1] - this.zoomed[0]) / (high - low || 1)) : 1;
    const most = Math.min(MOST_PLACES, (FINENESS * width) / part);
    this.lattice = latticeOver(low, high, most, this.settings.time ? SECOND : 1);
    const key = `${this.lattice.pitch} ${this.settings.time} ${this.settings.log} ${this.settings.smoothing}`;
    if (key !== this.latticeKey) for (const line of this.lines) line.version = -1;
    this.latticeKey = key;
  }

  #places() {
    const { origin, pitch, size } = this.lattice;
    return Float64Array.from({ length: size }, (_, place) => origin + place * pitch);
  }

  /** @param {Line} line */
  #drawn(line) {
    const { curve, smooth } = line;
    if (line.version !== curve.version) {
      const xs = curve.xs(this.settings.time);
      const values = smooth ? curve.smoothed(this.settings.smoothing) : curve.values;
      line.drawn = xs ? onLattice(xs, values, curve.length, this.lattice, this.settings.log) : { ys: [], alone: [] };
      line.version = curve.version;
    }
    return line.drawn;
  }

  /** @param {any[]} data @param {number} width @param {Ink} ink */
  #makePlot(data, width, ink) {
    this.plot?.destroy();
    this.plot = /** @type {uPlot} */ (new this.uPlot(this.#options(width, ink), data, this.area));
  }

  /** @param {number} width @param {Ink} ink @returns {import("./vendor/uPlot.js").Options} */
  #options(width, ink) {
    const { settings: { time, log }, lines } = this;
    const axis = { stroke: ink.text, font: ink.font, grid: { stroke: ink.line, width: 1 }, ticks: { stroke: ink.line, width: 1, size: 4 } };
    return {
      width, height: CHART_HEIGHT, padding: [8, 12, 0, 0], legend: { show: false },
      focus: { alpha: 0.25 },
      cursor: {
        y: false, focus: { prox: FOCUS_NEAR }, drag: { x: true, y: false, setScale: false },
        points: { size: 7, width: 1, fill: (_, index) => lines[index - 1].run.colour, stroke: () => ink.back },
        dataIdx: (_, index, hovered) => (index === 0 ? hovered : this.#placeNear(lines[index - 1], hovered)),
      },
      scales: {
        x: { time: false, range: () => this.#xRange() },
        y: { distr: log ? 3 : 1, range: (_, low, high) => this.#yRange(low, high) },
      },
      axes: [
        { ...axis, size: 30, space: 60, incrs: time ? TIMES : STEPS, values: (_, splits) => splits.map((x) => this.#xText(x)) },
        {
          ...axis, space: 28, size: (plot, values) => yAxisWidth(plot, values, ink.font),
          ...(log ? { splits: (_, __, low, high) => logSplits(low, high), filter: (_, splits) => labelledSplits(splits) } : {}),
          values: (_, splits) => splits.map((y) => (y === null || y === undefined ? "" : formatNumber(y))),
        },
      ],
      series: [{}, ...lines.map((line) => this.#series(line))],
      hooks: { setCursor: [(plot) => this.#moved(plot)], setSelect: [(plot) => this.#selected(plot)] },
    };
  }

  /** @param {Line} line @returns {import("./vendor/uPlot.js").Series} */
  #series(line) {
    const { run, smooth, curve } = line;
    const isFaint = !smooth && this.settings.smoothing > 0;
    return {
      stroke: isFaint ? run.faint : run.colour, width: this.#widthOf(line), dash: run.dash, spanGaps: false,
      points: {
        show: () => !isFaint && (curve.length <= FEW || line.drawn.alone.length > 0), size: 5, fill: run.colour,
        filter: () => (curve.length <= FEW ? null : line.drawn.alone),
      },
    };
  }

  /** In pixels. Where much is drawn thin lines show more, and a browser without a graphics card draws them ten times faster. */
  #widthOf(/** @type {Line} */ { smooth }) {
    const isFaint = !smooth && this.settings.smoothing > 0;
    return isFaint || this.lines.length * this.lattice.size > MUCH ? 1 : 1.5;
  }

  /** @param {Line} line @param {number} place */
  #placeNear({ run, drawn: { ys }, smooth }, place) {
    const isFaint = !smooth && this.settings.smoothing > 0;
    const reach = Math.ceil(this.lattice.size / 20) + 1;
    for (let away = 0; away <= reach && !isFaint && !run.hidden; away += 1) {
      if (typeof ys[place - away] === "number") return place - away;
      if (typeof ys[place + away] === "number") return place + away;
    }
    return null;
  }

  /** @returns {[number, number]} */
  #xRange() {
    const [low, high] = this.zoomed ?? this.span;
    return high > low ? [low, high] : [low, low + 1];
  }

  /** @param {number | null} low @param {number | null} high @returns {[number, number]} */
  #yRange(low, high) {
    if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return this.settings.log ? [1, 10] : [0, 1];
    if (this.settings.log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** Y_MARGIN, high * (high / low) ** Y_MARGIN];
    const pad = (high - low) * Y_MARGIN || Math.abs(high) * 0.1 || 1;
    return [low - pad, high + pad];
  }

  /** @param {number} x */
  #xText(x) {
    if (!this.settings.time) return formatCount(Math.round(x));
    return x > 0 && x < 10 && x % 1 ? `${Number(x.toPrecision(3))} s` : formatCounting(x);
  }

  /** @param {ShownRun[]} shown */
  #remark(shown) {
    const { time, log } = this.settings;
    const curves = shown.map(({ slot }) => /** @type {Curve} */ (this.curves.get(slot)));
    const untimed = time ? curves.filter((curve) => !curve.knots.length).length : 0;
    const left = log && this.lines.every(({ drawn }) => !drawn.ys.some((y) => typeof y === "number"));
    const below = log && !left && curves.some((curve) => curve.values.subarray(0, curve.length).some((value) => value <= 0));
    const thinned = curves.some((curve) => curve.every > 1);
    setText(this.remark, [
      left && "no value is above 0: log shows none", below && "log leaves out what is not above 0",
      untimed && "no times are known", thinned && "thinned: least and largest are kept",
    ].filter(Boolean).join(" · "));
  }

  // -- reading --

  /** @param {uPlot} plot */
  #moved(plot) {
    const { left, top } = plot.cursor;
    if (left === undefined || left < 0 || !this.lines.length) {
      this.onRead(this, null, { left: 0, top: 0 });
      return;
    }
    const reading = this.readAt(plot.posToVal(left, "x"));
    const box = plot.over.getBoundingClientRect();
    this.onRead(this, reading, { left: box.left + left, top: box.top + Math.max(0, top ?? 0) });
  }

  /** What all curves are at a place. @param {number} x @returns {Reading} */
  readAt(x) {
    const { time, smoothing } = this.settings;
    const place = time ? x : Math.round(x);
    const reach = this.lattice.pitch * 2;
    const shown = this.lines.filter(({ smooth }) => smooth === smoothing > 0);
    const values = shown.map(({ run, curve }) => {
      const xs = curve.xs(time);
      const index = xs ? nearestIndex(xs, curve.length, place) : -1;
      if (!xs || index < 0 || place - xs[curve.length - 1] > reach) return { run, text: "–", raw: "" };
      const raw = formatNumber(curve.values[index]);
      return smoothing > 0 ? { run, text: formatNumber(curve.smoothed(smoothing)[index]), raw } : { run, text: raw, raw: "" };
    });
    return { x: time ? this.#xText(place) : `value ${formatCount(place)}`, values };
  }

  /** Shows what all curves are at a place, as for a pointer there. @param {number} x */
  point(x) {
    const { plot } = this;
    if (!plot) return;
    this.pointed = x;
    plot.setCursor({ left: plot.valToPos(x, "x"), top: 0 });
    const [low, high] = this.#xRange();
    const { x: where, values } = this.readAt(x);
    setAttribute(this.area, "aria-valuemin", low);
    setAttribute(this.area, "aria-valuemax", high);
    setAttribute(this.area, "aria-valuenow", x);
    setAttribute(this.area, "aria-valuetext", `${where}: ${values.map(({ run, text }) => `${run.label} ${text}`).join(", ")}`);
  }

  /** Nobody points at it any more. */
  leave() {
    this.pointed = null;
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.plot) return;
    const [low, high] = this.#xRange();
    const left = this.plot.cursor.left ?? -1;
    const x = left < 0 ? null : this.plot.posToVal(left, "x");
    const step = this.settings.time ? (high - low) / 200 : Math.max(1, Math.round((high - low) / 200));
    const at = x === null ? high : this.settings.time ? x : Math.round(x);
    const to = (/** @type {number} */ place) => () => this.point(Math.min(high, Math.max(low, place)));
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowLeft: to(at - (x === null ? 0 : step)), ArrowRight: to(at + (x === null ? 0 : step)), Home: to(low), End: to(high),
      PageUp: to(at - step * 20), PageDown: to(at + step * 20), "+": () => this.#zoomAt(at, 0.5), "-": () => this.#zoomAt(at, 2),
      0: () => this.zoom(null),
    };
    if (event.key === "Escape" && (x !== null || this.zoomed)) moves.Escape = x === null ? () => this.zoom(null) : () => this.leave();
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    moves[event.key]();
  }

  // -- zoom --

  /** What was zoomed to means nothing on the other axis. */
  settingsChanged() {
    this.wanted = true;
    if (this.zoomedTime !== this.settings.time) this.zoom(null);
  }

  /** @param {number} at @param {number} factor */
  #zoomAt(at, factor) {
    const [low, high] = this.#xRange();
    this.zoom([at - (at - low) * factor, at + (high - at) * factor]);
    this.point(at);
  }

  /** @param {uPlot} plot */
  #selected(plot) {
    const { left, width } = plot.select;
    if (width > 4) this.zoom([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    if (width) plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  /** @param {[number, number] | null} span null: the whole */
  zoom(span) {
    const [low, high] = this.span;
    const least = this.settings.time ? SECOND * 4 : 2;
    const part = span && [Math.max(low, span[0]), Math.min(high, span[1])];
    this.zoomed = part && part[1] - part[0] >= least && (part[0] > low || part[1] < high) ? /** @type {[number, number]} */ (part) : null;
    this.zoomedTime = this.settings.time;
    this.wholeButton.hidden = !this.zoomed;
    this.wanted = true;
    this.onZoom?.();
  }

  /** @type {(() => void) | undefined} */
  onZoom = undefined;

  destroy() {
    this.plot?.destroy();
    this.plot = null;
    this.madeFor = "";
  }
}

/** @param {uPlot} plot @param {string[] | null} values @param {string} font */
function yAxisWidth(plot, values, font) {
  plot.ctx.font = font;
  const widest = Math.max(0, ...(values ?? []).map((text) => plot.ctx.measureText(text ?? "").width));
  return Math.max(36, Math.ceil(widest) + 14);
}
