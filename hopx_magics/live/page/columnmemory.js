/** The notebook remembers which columns were chosen in it, where the front end gives it: its next table begins with them. */
import { notebookOf } from "./notebook.js";

/** Of the notebook's metadata. */
const OWN_METADATA = "hopx_magics";

/** @import { Model } from "./link.js" */

/** @param {Model} model @param {import("./layout.js").Layout} layout */
export function rememberColumns(model, { chosen, only }) {
  const isDefault = !only && !Object.keys(chosen).length;
  try {
    const notebook = notebookOf(model)?.model;
    if (isDefault) notebook?.deleteMetadata?.(OWN_METADATA);
    else notebook?.setMetadata?.(OWN_METADATA, { columns: { ...chosen }, only: only && [...only] });
  } catch (error) {
    console.debug("the notebook does not remember the columns", error);
  }
}

/** @param {Model} model @returns {{columns?: any, only?: any}} */
export function rememberedColumns(model) {
  try {
    const known = notebookOf(model)?.model.getMetadata?.(OWN_METADATA);
    return known && typeof known === "object" ? { columns: known.columns, only: known.only } : {};
  } catch {
    return {};
  }
}
