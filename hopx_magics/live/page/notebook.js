/** The notebook around a widget, where the front end gives it, and what of it is changed behind the reader's back. */

/** @import { Model } from "./link.js" */

/** With this JupyterLab changes what is saved of an output, and leaves alone what is seen of it. */
const SILENTLY = "silent-change";

/** @param {Model} model @returns {any} the notebook, null where the front end gives none that can be used so */
export function notebookOf(model) {
  try {
    const context = model.widget_manager?.context;
    return context?.saveState?.connect && context.model?.cells ? context : null;
  } catch {
    return null;
  }
}

/**
 * Changes what is saved of an output.
 * @param {any} cell @param {number} index @param {object} output
 * @returns {boolean} whether the front end has drawn it anew nevertheless
 */
export function replaceSilently(cell, index, output) {
  const shown = cell.outputs.get(index);
  cell.sharedModel.updateOutputs(index, index + 1, [output], SILENTLY);
  return cell.outputs.get(index) !== shown;
}
