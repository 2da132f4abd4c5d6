/** Where a view meets what is around it: the page's shortcuts, and the edge at which its height is dragged. */
import { el } from "./dom.js";

/**
 * The edge below the table, by which it is made higher or lower.
 * @param {import("./table.js").Table} table
 */
export function heightHandle(table) {
  const handle = el("div", { class: "hopx-handle", title: "Drag to resize, double-click for the default height" });
  handle.addEventListener("dblclick", () => table.setOwnHeight(null));
  handle.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    const above = table.element.offsetHeight - event.clientY;
    const move = (/** @type {PointerEvent} */ moved) => table.setOwnHeight(above + moved.clientY);
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
  });
  return handle;
}

/**
 * JupyterLab looks for its shortcuts before the table sees a key, and leaves out elements that are marked. Keys with
 * Ctrl or Cmd that mean nothing here (save, command palette) are JupyterLab's: for them the mark is lifted in time.
 * @param {HTMLElement} root
 * @returns {() => void} ends it
 */
export function passSomeShortcuts(root) {
  const name = "data-lm-suppress-shortcuts";
  const lift = (/** @type {KeyboardEvent} */ event) => {
    const ours = event.key.length > 1 || "acfvxz ".includes(event.key.toLowerCase());
    if (!(event.ctrlKey || event.metaKey) || (ours && !event.shiftKey)) return;
    if (!root.contains(/** @type {any} */ (event.target))) return;
    for (const marked of [root, ...root.querySelectorAll(`[${name}]`)]) {
      marked.removeAttribute(name);
      setTimeout(() => marked.setAttribute(name, "true"));
    }
  };
  window.addEventListener("keydown", lift, true);
  return () => window.removeEventListener("keydown", lift, true);
}
