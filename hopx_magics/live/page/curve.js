/** A curve, as the kernel has told it: which values at which steps and seconds, smoothed, and thinned to be drawn. Pure. */

/** @import { CurvePart } from "./messages.js" */

const ROOM = 256;
/** Slots of a lattice in which two points stand for all that is there. */
const BUCKET = 2;

/**
 * All that is kept of the values of one metric of one run. Of the older ones each two stand for `every`: the least and
 * the largest.
 */
export class Curve {
  constructor() {
    this.values = new Float32Array(ROOM);
    this.length = 0;
    this.head = 0;
    this.every = 1;
    /** How many were printed. */
    this.count = 0;
    /** @type {[number, number][]} */
    this.knots = [];
    /** Goes up with each change. */
    this.version = 0;
    this.places = { version: -1, time: false, xs: new Float64Array(0) };
    this.smooth = newSmooth(0);
  }

  /**
   * @param {CurvePart} part @param {Float32Array} told its values
   * @returns {boolean} whether that goes on from what is known
   */
  take(part, told) {
    if (part.first === 0) this.#begin(part);
    else if (part.first !== this.count) return false;
    if (this.length + told.length > this.values.length) this.#makeRoom(this.length + told.length);
    this.values.set(told, this.length);
    this.length += told.length;
    this.count = part.total;
    this.knots.push(...part.knots);
    this.version += 1;
    return true;
  }

  /** @param {CurvePart} part */
  #begin({ head, every }) {
    this.length = 0;
    this.head = head;
    this.every = every;
    this.knots = [];
    this.smooth = newSmooth(0);
  }

  /** @param {number} length */
  #makeRoom(length) {
    const values = new Float32Array(Math.max(ROOM, length * 2));
    values.set(this.values.subarray(0, this.length));
    this.values = values;
  }

  /** The number of a kept value, from 1. @param {number} index */
  stepAt(index) {
    if (index >= this.head) return this.count - this.length + index + 1;
    return (index >> 1) * this.every + (index & 1) * (this.every >> 1) + 1;
  }

  /**
   * Where the kept values stand: by their numbers, or by seconds since the start; null if no time is known.
   * @param {boolean} time @returns {Float64Array | null}
   */
  xs(time) {
    if (time && !this.knots.length) return null;
    const { places } = this;
    if (places.version !== this.version || places.time !== time) {
      if (places.xs.length < this.length) places.xs = new Float64Array(this.values.length);
      for (let index = 0; index < this.length; index += 1) places.xs[index] = this.stepAt(index);
      if (time) toSeconds(places.xs, this.length, this.knots);
      Object.assign(places, { version: this.version, time });
    }
    return places.xs;
  }

  /**
   * The kept values, smoothed: an exponential mean that weighs earlier ones by `weight` for each step.
   * @param {number} weight 0 to 1
   */
  smoothed(weight) {
    if (this.smooth.weight !== weight) this.smooth = newSmooth(weight);
    const { smooth } = this;
    if (smooth.values.length < this.length) {
      const values = new Float32Array(this.values.length);
      values.set(smooth.values);
      smooth.values = values;
    }
    for (; smooth.done < this.length; smooth.done += 1) {
      const index = smooth.done;
      const value = this.values[index];
      smooth.values[index] = Number.isFinite(value) ? nextMean(smooth, value, index < this.head ? this.every / 2 : 1) : value;
    }
    return smooth.values;
  }
}

/** @param {number} weight */
function newSmooth(weight) {
  return { weight, done: 0, sum: 0, share: 0, values: new Float32Array(0) };
}

/** @param {{weight: number, sum: number, share: number}} smooth @param {number} value @param {number} steps for which it stands */
function nextMean(smooth, value, steps) {
  const kept = steps === 1 ? smooth.weight : smooth.weight ** steps;
  smooth.sum = smooth.sum * kept + value * (1 - kept);
  smooth.share = smooth.share * kept + (1 - kept);
  return smooth.sum / smooth.share;
}

/**
 * Turns numbers of values into seconds, in place.
 * @param {Float64Array} xs @param {number} length @param {[number, number][]} knots
 */
function toSeconds(xs, length, knots) {
  let at = 0;
  for (let index = 0; index < length; index += 1) {
    const step = xs[index];
    while (at < knots.length - 1 && knots[at + 1][0] <= step) at += 1;
    const [begin, seconds] = knots[at];
    const next = knots[at + 1];
    const share = next && step > begin ? (step - begin) / (next[0] - begin) : 0;
    xs[index] = seconds + (next ? share * (next[1] - seconds) : 0);
  }
}

/**
 * The index of the value that is nearest to `x`; -1 where there is none.
 * @param {Float64Array} xs @param {number} length @param {number} x
 */
export function nearestIndex(xs, length, x) {
  const after = firstFrom(xs, length, x);
  if (after === 0) return length ? 0 : -1;
  if (after === length) return length - 1;
  return x - xs[after - 1] <= xs[after] - x ? after - 1 : after;
}

/** @param {Float64Array} xs @param {number} length @param {number} x @returns {number} the first index of what is not below x */
function firstFrom(xs, length, x) {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @typedef {{origin: number, pitch: number, size: number}} Lattice places at equal distances that all curves share */

/**
 * A lattice over a span; its distances are powers of two, so that it stays while the span grows.
 * @param {number} low @param {number} high @param {number} most places @param {number} least distance
 * @returns {Lattice}
 */
export function latticeOver(low, high, most, least) {
  const pitch = Math.max(least, 2 ** Math.ceil(Math.log2(Math.max((high - low) / most, Number.MIN_VALUE))));
  return { origin: low, pitch, size: Math.floor((high - low) / pitch) + 1 + BUCKET };
}

/**
 * @typedef {object} Drawn a curve on a lattice
 * @property {(number | null | undefined)[]} ys at its places; null is a gap, undefined is nothing
 * @property {number[]} alone places of points that no line leads to
 */

/**
 * Puts a curve on a lattice: where there are more than two points in a bucket, its least and its largest.
 * @param {Float64Array} xs @param {Float32Array} values @param {number} length @param {Lattice} lattice
 * @param {boolean} log whether only what is above 0 can be drawn
 * @returns {Drawn}
 */
export function onLattice(xs, values, length, { origin, pitch, size }, log) {
  /** @type {(number | null | undefined)[]} */
  const ys = new Array(size).fill(undefined);
  let begin = 0;
  while (begin < length) {
    const bucket = Math.floor((xs[begin] - origin) / pitch / BUCKET);
    const limit = origin + (bucket + 1) * BUCKET * pitch;
    let end = begin + 1;
    while (end < length && xs[end] < limit) end += 1;
    putBucket(ys, xs, values, begin, end, bucket * BUCKET, origin, pitch, log);
    begin = end;
  }
  return { ys, alone: aloneIn(ys) };
}

/**
 * @param {(number | null | undefined)[]} ys @param {Float64Array} xs @param {Float32Array} values @param {number} begin
 * @param {number} end @param {number} place @param {number} origin @param {number} pitch @param {boolean} log
 */
function putBucket(ys, xs, values, begin, end, place, origin, pitch, log) {
  if (end - begin === 1) {
    ys[Math.min(place + 1, Math.round((xs[begin] - origin) / pitch))] = drawable(values[begin], log);
    return;
  }
  if (end - begin === 2) {
    ys[place] = drawable(values[begin], log);
    ys[place + 1] = drawable(values[begin + 1], log);
    return;
  }
  let low = -1;
  let high = -1;
  for (let index = begin; index < end; index += 1) {
    const value = values[index];
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (low < 0 || value < values[low]) low = index;
    if (high < 0 || value > values[high]) high = index;
  }
  if (low < 0) {
    ys[place] = null;
    return;
  }
  ys[place] = values[Math.min(low, high)];
  ys[place + 1] = values[Math.max(low, high)];
}

/** @param {number} value @param {boolean} log */
function drawable(value, log) {
  return Number.isFinite(value) && (!log || value > 0) ? value : null;
}

/** @param {(number | null | undefined)[]} ys @returns {number[]} */
function aloneIn(ys) {
  /** @type {number[]} */
  const alone = [];
  let joined = 0;
  let last = -1;
  for (let place = 0; place <= ys.length; place += 1) {
    const y = place < ys.length ? ys[place] : null;
    if (y === undefined) continue;
    if (y === null) {
      if (joined === 1) alone.push(last);
      joined = 0;
    } else {
      joined += 1;
      last = place;
    }
  }
  return alone;
}

/**
 * Where the lines of a logarithmic axis are: at each digit of a decade, where there are few decades.
 * @param {number} low above 0 @param {number} high @returns {number[]}
 */
export function logSplits(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.floor(Math.log10(high));
  const stride = Math.max(1, Math.ceil((last - first) / 8));
  const digits = stride > 1 || last - first > 4 ? [1] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const splits = [];
  for (let power = first; power <= last; power += stride) {
    for (const digit of digits) splits.push(Number(`${digit}e${power}`));
  }
  return splits.filter((split) => split >= low && split <= high);
}

/**
 * Which of these lines have their number beside them: the decades, and others where there are few of these.
 * @param {number[]} splits @returns {(number | null)[]}
 */
export function labelledSplits(splits) {
  const digitOf = (/** @type {number} */ split) => split / 10 ** Math.floor(Math.log10(split) + 1e-9);
  const told = [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]].map((digits) => splits.map(
    (split) => (digits.includes(Math.round(digitOf(split))) ? split : null),
  ));
  return told.find((labels) => labels.filter((label) => label !== null).length > 1) ?? splits;
}

/**
 * What tells runs apart: the parameters in which they differ, their names where these differ, ids where nothing else does.
 * @param {{id: string, name: string | null, params: Record<string, string>}[]} rows
 * @returns {string[]}
 */
export function labelsOf(rows) {
  const names = new Set(rows.flatMap(({ params }) => Object.keys(params)));
  const varying = new Set([...names].filter((name) => new Set(rows.map(({ params }) => params[name])).size > 1));
  const named = new Set(rows.map(({ name }) => name)).size > 1;
  const labels = rows.map(({ id, name, params }) => {
    const given = Object.entries(params).filter(([param]) => varying.has(param)).map(([param, value]) => `${param}=${value}`);
    return [...(named || !given.length ? [name ?? id] : []), ...given].join(" ");
  });
  return labels.map((label, index) => (labels.indexOf(label) === labels.lastIndexOf(label) ? label : `${label} ${rows[index].id}`));
}
