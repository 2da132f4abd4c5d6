/** What a view remembers over reloads and tells the second tab: a small piece of JSON that only this file reads. */

const MOST_SELECTED = 500;
const GROUPS = ["status", "name", "connection"];

/**
 * @param {import("./view.js").WatchView} view
 * @returns {Record<string, unknown>}
 */
export function remember({ order, table, selection, viewers, page }) {
  return {
    sort: order.sorting.map(({ column, reverse }) => (reverse ? `-${column}` : column)),
    group: order.grouping,
    folded: [...order.folded],
    filters: [...order.statuses],
    search: order.search,
    columns: table.layout.chosen,
    widths: table.layout.widths,
    selected: [...selection.slots].slice(0, MOST_SELECTED),
    viewers: viewers.openViewers(),
    row: Math.round(table.top),
    height: table.height,
    bell: page.bell.wanted,
  };
}

/**
 * @param {import("./view.js").WatchView} view
 * @param {Record<string, unknown> | null} remembered null before anything was told
 * @param {import("./messages.js").Initial | null} initial
 */
export function recall(view, remembered, initial) {
  const { order, table, selection } = view;
  const known = remembered ?? { sort: initial?.sort ? [initial.sort] : [], group: initial?.group };
  const sorting = list(known.sort).filter((sort) => typeof sort === "string").map(readSort);
  const sortable = sorting.filter(({ column }) => order.canSortBy(column));
  if (sortable.length) order.sorting = sortable;
  order.grouping = GROUPS.find((group) => group === known.group) ?? "none";
  order.folded = new Set(list(known.folded));
  order.statuses = new Set(list(known.filters));
  order.search = typeof known.search === "string" ? known.search : "";
  Object.assign(table.layout.chosen, known.columns);
  Object.assign(table.layout.widths, known.widths);
  table.height = typeof known.height === "number" ? known.height : null;
  selection.slots = new Set(list(known.selected).filter((slot) => view.store.rows.has(slot)));
  view.scrollAtFirst = Number(known.row) || 0;
  if (known.bell) view.page.bell.wanted = true;
}

/** @param {Record<string, unknown> | null} remembered @returns {import("./messages.js").OpenViewer[]} */
export function rememberedViewers(remembered) {
  return list(remembered?.viewers);
}

/** @param {unknown} value @returns {any[]} */
function list(value) {
  return Array.isArray(value) ? value : [];
}

/** @param {string} sort */
function readSort(sort) {
  return { column: sort.replace(/^-/, ""), reverse: sort.startsWith("-") };
}
