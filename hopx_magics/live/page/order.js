/**
 * Which rows are shown, in which order and groups; kept right as rows change at the cost of what changed. Pure.
 */
import { columnOf, GROUPS, nameIn, valueIn } from "./columns.js";
import { STATUSES } from "./format.js";
import { numberIn, readSearch } from "./search.js";
import { compareKeys, compareText, DEFAULT_ORDER, insertSorted, isSorted, sortKey } from "./sorting.js";
import { elapsedAt, noCounts, titleOf } from "./store.js";
import { nothingInWords, unknownInWords } from "./words.js";

/** @import { Row, Status } from "./messages.js" */
/**
 * @typedef {{slot: number, keys: (string | number | null)[], group: string}} Entry a row that is shown
 * @typedef {{group: string, label: string, entries: Entry[]}} Group
 * @typedef {Entry | Group} Item one line of the table
 * @typedef {{column: string, reverse: boolean}} Sorting
 */

const SORT_LEVELS = 3;

/**
 * Whether an item is a group's headline.
 * @param {Item} item
 * @returns {item is Group}
 */
export function isGroup(item) {
  return "entries" in item;
}

/**
 * What stays the same about a line while others come and go: a slot, or the name of a group.
 * @param {Item} item
 * @returns {number | string}
 */
export function itemKey(item) {
  return isGroup(item) ? `group ${item.group}` : item.slot;
}

export class Order {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Sorting[]} the first decides, the others where it doesn't; none: the default order */
    this.sorting = [];
    /** @type {import("./sorting.js").Level[]} by which the entries are sorted now */
    this.levels = [];
    /** @type {Set<Status>} */
    this.statuses = new Set();
    this.search = "";
    /** What `search` means, as far as the rows are known. */
    this.wanted = { ...readSearch("", store.known), text: "", version: 0 };
    /** Rows that have the words of the search in their output, as far as that was asked for. @type {Map<number, import("./messages.js").FoundLine>} */
    this.found = new Map();
    this.grouping = "none";
    /** @type {Set<string>} */
    this.folded = new Set();
    /** @type {Map<number, Entry>} */
    this.entries = new Map();
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    /** @type {Group[]} */
    this.groupOrder = [];
    /** @type {Item[]} */
    this.items = [];
    this.now = 0;
    this.compare = (/** @type {Entry} */ a, /** @type {Entry} */ b) => this.#compareEntries(a, b);
  }

  get filtered() {
    return this.statuses.size > 0 || this.search !== "";
  }

  /** Why the filters leave nothing. */
  nothingInWords() {
    const search = this.search ? [`"${this.search}"`] : [];
    const unknown = this.wanted.unknown.slice(0, 1).map((name) => unknownInWords(name, this.store.known));
    return [nothingInWords([], this.store.rows.size, [...this.statuses, ...search].join(", ")), ...unknown].join(": ");
  }

  /** What of it is worth remembering. */
  remember() {
    return {
      sort: this.sorting.map(({ column, reverse }) => (reverse ? `-${column}` : column)),
      group: this.grouping,
      folded: [...this.folded],
      filters: [...this.statuses],
      search: this.search,
    };
  }

  /** @param {Record<string, unknown>} known what was remembered, of which what can be used is taken over */
  recall(known) {
    const sorting = list(known.sort).filter((sort) => typeof sort === "string").map(readSort);
    this.sorting = sorting.filter(({ column }) => columnOf(column)?.kind);
    this.grouping = isGrouping(known.group) ? known.group : "none";
    this.folded = new Set(list(known.folded));
    this.statuses = new Set(list(known.filters));
    this.search = typeof known.search === "string" ? known.search : "";
  }

  /**
   * Sorts by a column; by the one that is sorted already: the other way round, and then no more.
   * @param {string} column
   */
  sortBy(column) {
    const [first] = this.sorting;
    const again = first?.column === column;
    const others = this.sorting.filter((sorting) => sorting.column !== column);
    if (again && first.reverse) this.sorting = [];
    else this.sorting = [{ column, reverse: again }, ...others].slice(0, SORT_LEVELS);
  }

  /**
   * Everything anew.
   * @param {number} now the kernel's clock
   */
  rebuild(now) {
    this.now = now;
    const chosen = this.sorting.flatMap(({ column, reverse }) => {
      const found = columnOf(column);
      return found ? [{ column: found, reverse }] : [];
    });
    this.levels = [...chosen, ...DEFAULT_ORDER];
    this.#understand();
    this.entries.clear();
    this.groups.clear();
    for (const [slot, row] of this.store.rows) {
      if (!this.#matches(slot, row)) continue;
      const entry = this.#entryOf(slot, row);
      this.entries.set(slot, entry);
      this.#groupOf(entry).entries.push(entry);
    }
    for (const group of this.groups.values()) group.entries.sort(this.compare);
    this.groupOrder = [...this.groups.values()];
    this.#arrange();
  }

  /**
   * Takes in that some rows changed.
   * @param {Set<number>} slots @param {number} now
   * @returns {Set<number>} those that came, went or moved
   */
  update(slots, now) {
    /** @type {Map<string, {removed: Set<Entry>, added: Entry[]}>} */
    const changes = new Map();
    const moved = new Set();
    if (!this.entries.size) this.now = now;
    if (this.#understand()) {
      this.rebuild(now);
      return new Set(this.entries.keys());
    }
    for (const slot of slots) {
      const before = this.entries.get(slot);
      const row = this.store.rows.get(slot);
      const after = row && this.#matches(slot, row) ? this.#entryOf(slot, row) : undefined;
      if (sameEntry(before, after)) continue;
      moved.add(slot);
      this.#replaceEntry(slot, before, after, changes);
    }
    if (moved.size) this.#merge(changes);
    return moved;
  }

  /**
   * Time has passed: what runs has run longer.
   * @param {number} now
   * @returns {boolean} whether rows changed places
   */
  advance(now) {
    const level = this.levels.findIndex(({ column }) => column.key === "elapsed");
    this.now = now;
    if (level < 0) return false;
    for (const entry of this.entries.values()) {
      const row = this.store.rows.get(entry.slot);
      if (row?.status === "running") entry.keys[level] = elapsedAt(row, now);
    }
    let changed = false;
    for (const group of this.groups.values()) {
      if (isSorted(group.entries, this.compare)) continue;
      group.entries.sort(this.compare);
      changed = true;
    }
    if (changed) this.#arrange();
    return changed;
  }

  /** @param {string} group */
  toggleFold(group) {
    if (!this.folded.delete(group)) this.folded.add(group);
    this.#arrange();
  }

  /** @param {number | string} key @returns {number} the line of a slot or group, -1 if it isn't shown */
  indexOf(key) {
    return this.items.findIndex((item) => itemKey(item) === key);
  }

  /** @param {number} slot @param {Row} row */
  #matches(slot, row) {
    if (this.statuses.size && !this.statuses.has(row.status)) return false;
    const { words, conditions } = this.wanted;
    if (!conditions.every((holds) => holds(row, this.now))) return false;
    return !words || this.found.has(slot) || [titleOf(row), row.id, row.last].some((text) => text.toLowerCase().includes(words));
  }

  /**
   * Reads the search, again when more is known of the rows: "loss<0.3" is a text until there is a metric of that name.
   * @returns {boolean} whether it means something else now
   */
  #understand() {
    const { known } = this.store;
    const { text, version, conditions } = this.wanted;
    if (text === this.search && (version === known.version || !/[<>=]/.test(text))) return false;
    this.wanted = { ...readSearch(this.search, known), text: this.search, version: known.version };
    return text !== this.search || conditions.length !== this.wanted.conditions.length;
  }

  /** @param {number} slot @param {Row} row @returns {Entry} */
  #entryOf(slot, row) {
    const keys = this.levels.map(({ column }) => sortKey(column, row, this.now));
    return { slot, keys, group: groupName(row, this.grouping) };
  }

  /** @param {string} group */
  #labelOf(group) {
    const own = !GROUPS.includes(this.grouping);
    const name = own ? nameIn(this.grouping) : this.grouping;
    if (!group) return `(no ${name})`;
    return own ? `${name}=${group}` : group;
  }

  /** @param {Entry} entry @returns {Group} */
  #groupOf(entry) {
    let group = this.groups.get(entry.group);
    if (!group) {
      group = { group: entry.group, label: this.#labelOf(entry.group), entries: [] };
      this.groups.set(entry.group, group);
    }
    return group;
  }

  /**
   * @param {number} slot @param {Entry | undefined} before @param {Entry | undefined} after
   * @param {Map<string, {removed: Set<Entry>, added: Entry[]}>} changes
   */
  #replaceEntry(slot, before, after, changes) {
    const changesOf = (/** @type {string} */ group) => {
      let change = changes.get(group);
      if (!change) changes.set(group, (change = { removed: new Set(), added: [] }));
      return change;
    };
    if (before) changesOf(before.group).removed.add(before);
    if (after) changesOf(after.group).added.push(after);
    if (after) this.entries.set(slot, after);
    else this.entries.delete(slot);
  }

  /** @param {Map<string, {removed: Set<Entry>, added: Entry[]}>} changes */
  #merge(changes) {
    for (const [name, { removed, added }] of changes) {
      const group = this.groups.get(name) ?? this.#groupOf(added[0]);
      if (!group.entries.length) this.groupOrder.push(group);
      const kept = removed.size ? group.entries.filter((entry) => !removed.has(entry)) : group.entries;
      group.entries = insertSorted(kept, added.sort(this.compare), this.compare);
      if (!group.entries.length) this.#dropGroup(group);
    }
    this.#arrange();
  }

  /** @param {Group} group */
  #dropGroup(group) {
    this.groups.delete(group.group);
    this.groupOrder = this.groupOrder.filter((other) => other !== group);
  }

  #arrange() {
    if (this.grouping === "none") {
      this.items = this.groupOrder[0]?.entries ?? [];
      return;
    }
    this.groupOrder.sort((a, b) => this.#compareGroups(a, b));
    this.items = [];
    for (const group of this.groupOrder) {
      this.items.push(group);
      if (!this.folded.has(group.group)) for (const entry of group.entries) this.items.push(entry);
    }
  }

  /** @param {Group} a @param {Group} b */
  #compareGroups(a, b) {
    if (this.grouping === "status") return statusNumber(a.group) - statusNumber(b.group);
    if (!a.group || !b.group) return Number(!a.group) - Number(!b.group);
    const [one, other] = [numberIn(a.group), numberIn(b.group)];
    return one !== null && other !== null && one !== other ? one - other : compareText(a.group, b.group);
  }

  /** @param {Entry} a @param {Entry} b */
  #compareEntries(a, b) {
    for (let level = 0; level < this.levels.length; level += 1) {
      const order = compareKeys(a.keys[level], b.keys[level], this.levels[level].reverse);
      if (order) return order;
    }
    return a.slot - b.slot;
  }
}

/** @param {unknown} value @returns {any[]} */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/** @param {unknown} group @returns {group is string} */
function isGrouping(group) {
  if (typeof group !== "string") return false;
  return GROUPS.includes(group) || ["param", "tag"].includes(columnOf(group)?.kind ?? "");
}

/** @param {string} sort */
function readSort(sort) {
  return { column: sort.replace(/^-/, ""), reverse: sort.startsWith("-") };
}

/** @param {string} status */
function statusNumber(status) {
  return STATUSES.indexOf(/** @type {Status} */ (status));
}

/** @param {Row} row @param {string} grouping */
function groupName(row, grouping) {
  if (grouping === "status") return row.status;
  if (grouping === "connection") return row.connection;
  if (grouping.includes(".")) return String(valueIn(/** @type {import("./columns.js").Column} */ (columnOf(grouping)), row, 0) ?? "");
  return grouping === "name" ? (row.name ?? "") : "";
}

/** @param {Entry | undefined} a @param {Entry | undefined} b */
function sameEntry(a, b) {
  if (!a || !b) return a === b;
  return a.group === b.group && a.keys.every((key, level) => key === b.keys[level]);
}

/**
 * What a group's headline tells about its rows.
 * @param {Group} group @param {import("./store.js").Store} store @param {number} now
 */
export function summarize(group, store, now) {
  const counts = noCounts();
  let total = 0;
  let longest = 0;
  for (const { slot } of group.entries) {
    const row = store.rows.get(slot);
    if (!row) continue;
    const elapsed = elapsedAt(row, now) ?? 0;
    counts[row.status] += 1;
    total += elapsed;
    longest = Math.max(longest, elapsed);
  }
  return { counts, total, longest };
}
