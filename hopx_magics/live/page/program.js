/** Programs that the kernel sends when they are needed: a style sheet, and modules. */
import { el } from "./dom.js";
import { inflate } from "./link.js";

/**
 * @param {import("./link.js").Link} link @param {"viewers" | "charts"} name
 * @returns {Promise<any[]>} what its modules export by default
 */
export async function loadProgram(link, name) {
  const { buffers: [packed] } = await link.ask({ do: "program", name });
  const [styles, ...sources] = (await (await inflate(packed)).text()).split("\0");
  document.head.querySelector(`style[data-hopx=${name}]`)?.remove();
  document.head.append(el("style", { "data-hopx": name }, styles));
  return Promise.all(sources.map(moduleOf));
}

/** @param {string} source @returns {Promise<any>} */
async function moduleOf(source) {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return (await import(address)).default;
  } finally {
    URL.revokeObjectURL(address);
  }
}
