/** What a view remembers over reloads and tells the second tab: a small piece of JSON that only this file reads. */

import { rememberedColumns } from "./columnmemory.js";
import { columnOf } from "./columns.js";
import { list } from "./order.js";

const MOST_SELECTED = 500;

/**
 * @param {import("./view.js").WatchView} view
 * @returns {Record<string, unknown>}
 */
export function remember({ order, outputs, table, selection, viewers, page }) {
  return {
    ...order.remember(),
    outputs: outputs.wanted,
    found: [...order.found.keys()],
    columns: table.layout.chosen,
    only: table.layout.only,
    widths: table.layout.widths,
    selected: [...selection.slots].slice(0, MOST_SELECTED),
    viewers: viewers.openViewers(),
    charts: viewers.charts,
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
  const known = remembered ?? beginning(initial, view.page.model);
  order.recall(known);
  view.outputs.wanted = known.outputs === true;
  Object.assign(table.layout.chosen, known.columns);
  table.layout.only = Array.isArray(known.only) ? known.only.filter((key) => columnOf(String(key))) : null;
  Object.assign(table.layout.widths, known.widths);
  table.height = typeof known.height === "number" ? known.height : null;
  selection.slots = new Set(list(known.selected).filter((slot) => view.store.rows.has(slot)));
  Object.assign(view.viewers.charts, known.charts);
  view.scrollAtFirst = Number(known.row) || 0;
  if (known.bell) view.page.bell.wanted = true;
}

/**
 * How a table begins: with the columns that were asked for, else as the notebook remembers them.
 * @param {import("./messages.js").Initial | null} initial @param {import("./link.js").Model} model
 * @returns {Record<string, unknown>}
 */
function beginning(initial, model) {
  const told = { columns: initial?.chosen, only: initial?.columns };
  const columns = told.columns || told.only ? told : rememberedColumns(model);
  return { sort: initial?.sort ? [initial.sort] : [], group: initial?.group, ...columns };
}

/** @param {Record<string, unknown> | null} remembered @returns {import("./messages.js").OpenViewer[]} */
export function rememberedViewers(remembered) {
  return list(remembered?.viewers);
}
