/** A small curve of the last points of a metric. */
import { setAttribute } from "./dom.js";

const WIDTH = 48;
const HEIGHT = 16;
const MARGIN = 2;

/** @returns {{picture: Element, draw: (points: (number | string)[]) => void}} */
export function sparkline() {
  const space = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  for (const [name, value] of Object.entries({ class: "hopx-spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", preserveAspectRatio: "none" })) {
    picture.setAttribute(name, value);
  }
  picture.append(path);
  /** @type {unknown} */
  let drawn = null;
  const draw = (/** @type {(number | string)[]} */ points) => {
    if (points === drawn) return;
    drawn = points;
    setAttribute(picture, "hidden", points.length < 2 ? "" : null);
    setAttribute(path, "d", curveOf(points.map(Number)));
  };
  return { picture, draw };
}

/**
 * The curve through points, from the left edge to the right one; what is no number leaves a gap.
 * @param {number[]} points
 */
export function curveOf(points) {
  const finite = points.filter(Number.isFinite);
  const least = Math.min(...finite);
  // Halves: between the least and the largest numbers there is more than a number can tell.
  const span = Math.max(...finite) / 2 - least / 2;
  const steps = Math.max(1, points.length - 1);
  let pen = "M";
  return points.map((point, index) => {
    if (!Number.isFinite(point)) {
      pen = "M";
      return "";
    }
    const x = MARGIN + ((WIDTH - 2 * MARGIN) * index) / steps;
    const y = span > 0 ? HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * ((point / 2 - least / 2) / span) : HEIGHT / 2;
    const drawn = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
    return drawn;
  }).join("");
}
