/** Which keys are for what stands in an output, and which the notebook gets. */

const MARK = "data-lm-suppress-shortcuts";

/**
 * Lets keys reach an output. A notebook looks for its shortcuts first, from the element that has the focus outwards, and
 * stops at one that is marked. The shortcuts of its command mode fit whatever has the focus: so that is to be marked
 * itself, as a mark around it is never reached.
 * @param {string} selector of elements in which keys are pressed
 * @param {(event: KeyboardEvent) => boolean} isOurs
 * @returns {() => void} ends it
 */
export function keepKeys(selector, isOurs) {
  const mark = (/** @type {KeyboardEvent} */ event) => {
    const { target } = event;
    if (target instanceof Element && target.closest(selector)) target.toggleAttribute(MARK, isOurs(event));
  };
  window.addEventListener("keydown", mark, true);
  return () => window.removeEventListener("keydown", mark, true);
}

/** All but keys with Ctrl or Cmd that mean nothing in a table or an output: save, command palette. @param {KeyboardEvent} event */
export function isForTable(event) {
  const means = event.key.length > 1 || "acfvxz ".includes(event.key.toLowerCase());
  return !(event.ctrlKey || event.metaKey) || (means && !event.shiftKey);
}

/** Presses what has the focus. @param {KeyboardEvent} event */
export function isPress({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  return (key === "Enter" || key === " ") && !(ctrlKey || metaKey || altKey || shiftKey);
}
