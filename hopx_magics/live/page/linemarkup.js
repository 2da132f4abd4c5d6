/**
 * HTML that the kernel has written, as elements: only such as stand in a list here, with attributes that do nothing.
 *
 * The kernel escapes what processes say; this is a second wall, behind which nothing runs even if the first one breaks.
 */

const TAGS = new Set(
  ("div span p br hr b i em strong code pre blockquote ul ol li details summary table caption thead tbody tfoot tr th td "
    + "h1 h2 h3 h4 h5 h6 a img iframe").split(" "),
);
const ATTRIBUTES = new Set(
  "class style title role aria-label alt width height colspan rowspan border open sandbox srcdoc".split(" "),
);
const ADDRESSES = { a: /^https?:\/\//i, img: /^data:image\//i };
/** What a frame may be allowed: with any other word it could reach the page. */
const HARMLESS = new Set(["", "allow-scripts"]);

/** @param {string} html @returns {DocumentFragment} */
export function elementsOf(html) {
  const made = document.createDocumentFragment();
  const parsed = new DOMParser().parseFromString(html, "text/html");
  made.append(...copiesOf(parsed.body));
  return made;
}

/** @param {Node} parent @returns {Node[]} */
function copiesOf(parent) {
  return [...parent.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return [document.createTextNode(node.textContent ?? "")];
    return node instanceof Element ? copyOf(node) : [];
  });
}

/** @param {Element} element @returns {Node[]} without the element where that isn't known */
function copyOf(element) {
  const tag = element.localName;
  if (!TAGS.has(tag)) return tag === "script" || tag === "style" ? [] : copiesOf(element);
  if (tag === "iframe" && !HARMLESS.has(element.getAttribute("sandbox") ?? "none")) return [];
  const copy = document.createElement(tag);
  // The rules of a frame come before what is shown in it.
  const attributes = [...element.attributes].sort(({ name }) => (name === "sandbox" ? -1 : 0));
  for (const { name, value } of attributes) if (isHarmless(tag, name, value)) copy.setAttribute(name, value);
  if (tag === "a") copy.setAttribute("rel", "noopener noreferrer");
  copy.append(...copiesOf(element));
  return [copy];
}

/** @param {string} tag @param {string} name @param {string} value */
function isHarmless(tag, name, value) {
  if (name === "href" || name === "src") {
    const allowed = /** @type {Record<string, RegExp>} */ (ADDRESSES)[tag];
    return allowed !== undefined && (name === "href") === (tag === "a") && allowed.test(value);
  }
  return ATTRIBUTES.has(name) || (tag === "a" && name === "target");
}
