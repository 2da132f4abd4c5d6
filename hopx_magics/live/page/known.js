/** What the rows of a table have that may be columns: what they were given, their metrics, and in what they differ. Pure. */

/** @import { Row } from "./messages.js" */

/** Names of one kind that are offered as columns. */
export const MOST_NAMES = 200;
const DEFAULT_GIVEN = 4;
const DEFAULT_METRICS = 3;
/** Kinds of columns, in the order in which a bare name is looked for. @type {("param" | "tag" | "metric")[]} */
export const KINDS = ["param", "tag", "metric"];

/** @typedef {{first: string, several: boolean, longest: string}} Values of one parameter or tag */

export class Known {
  constructor() {
    /** @type {{param: Map<string, Values>, tag: Map<string, Values>, metric: Map<string, number>}} of metrics: rows */
    this.names = { param: new Map(), tag: new Map(), metric: new Map() };
    this.leftOut = false;
    this.fails = false;
    /** Whether any row was seen on a GPU. */
    this.gpus = false;
    /** @type {Set<string>} */
    this.languages = new Set();
    /** @type {Map<string, number>} how many rows have each title */
    this.titles = new Map();
    this.shared = 0;
    /** Whether rows differ in a parameter. */
    this.varies = (/** @type {string} */ name) => this.names.param.get(name)?.several ?? false;
    /** It grows with each name that is new, and each that begins to vary. */
    this.version = 0;
  }

  /** @param {Partial<Row>} fields of a row that are new */
  see(fields) {
    if (fields.params) this.#seeGiven(this.names.param, fields.params);
    if (fields.tags) this.#seeGiven(this.names.tag, fields.tags);
    if (fields.metrics) this.#seeMetrics(fields.metrics);
    if (fields.exit_code && !this.fails) this.#changed((this.fails = true));
    if (typeof fields.gpu_memory === "number" && !this.gpus) this.#changed((this.gpus = true));
    if (fields.language && !this.languages.has(fields.language)) this.#changed(this.languages.add(fields.language));
  }

  /** Whether several rows have one title. */
  get sameTitles() {
    return this.shared > 0;
  }

  /** A row is called otherwise now, came, or is gone. @param {string | null} before @param {string | null} after */
  rename(before, after) {
    if (before === after) return;
    const shared = this.sameTitles;
    if (before !== null) this.#countTitle(before, -1);
    if (after !== null) this.#countTitle(after, 1);
    if (shared !== this.sameTitles) this.#changed(shared);
  }

  /** @param {string} title @param {1 | -1} by */
  #countTitle(title, by) {
    const count = (this.titles.get(title) ?? 0) + by;
    if (count === (by > 0 ? 2 : 1)) this.shared += by;
    if (count) this.titles.set(title, count);
    else this.titles.delete(title);
  }

  /** The columns that tell rows apart, and the first metrics. @returns {string[]} */
  get defaults() {
    const varying = [...this.names.param].filter(([, { several }]) => several).slice(0, DEFAULT_GIVEN);
    const metrics = [...this.names.metric.keys()];
    const best = metrics.filter((name) => /^(min|max) /.test(name) && this.names.metric.has(name.slice(4)));
    const first = [...new Set([...best, ...metrics])].slice(0, DEFAULT_METRICS);
    return [...varying.map(([name]) => `param.${name}`), ...first.map((name) => `metric.${name}`)];
  }

  /** The keys of all columns that are not always there. @returns {string[]} */
  get keys() {
    return KINDS.flatMap((kind) => [...this.names[kind].keys()].map((name) => `${kind}.${name}`));
  }

  /** By what rows can be grouped, other than by what all have. @returns {string[]} */
  get groups() {
    const kinds = /** @type {const} */ (["param", "tag"]);
    return kinds.flatMap((kind) => [...this.names[kind]].filter(([, { several }]) => several).map(([name]) => `${kind}.${name}`));
  }

  /** @param {Map<string, Values>} names @param {Record<string, string>} given */
  #seeGiven(names, given) {
    for (const [name, value] of Object.entries(given)) {
      const known = names.get(name);
      if (!known) this.#add(names, name, { first: value, several: false, longest: value });
      else if (value.length > known.longest.length) this.#changed((known.longest = value));
      if (known && !known.several && value !== known.first) this.#changed((known.several = true));
    }
  }

  /** @param {Row["metrics"]} metrics */
  #seeMetrics(metrics) {
    for (const name in metrics) if (!this.names.metric.has(name)) this.#add(this.names.metric, name, 1);
  }

  /** @template T @param {Map<string, T>} names @param {string} name @param {T} value */
  #add(names, name, value) {
    if (names.size >= MOST_NAMES) {
      this.leftOut = true;
      return;
    }
    names.set(name, value);
    this.#changed(name);
  }

  /** @param {unknown} _ what is new */
  #changed(_) {
    this.version += 1;
  }
}
