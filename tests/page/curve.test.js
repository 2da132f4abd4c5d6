/** Curves: put together from what the kernel tells, smoothed, and thinned on the lattice on which they are drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";

import {
  Curve, labelledSplits, labelsOf, latticeOver, logSplits, nearestIndex, onLattice,
} from "../../hopx_magics/live/page/curve.js";

function part(fields) {
  return { name: "loss", first: 0, every: 1, head: 0, count: 0, total: 0, knots: [], ...fields };
}

function curveOf(values, fields = {}) {
  const curve = new Curve();
  curve.take(part({ total: values.length, ...fields }), Float32Array.from(values));
  return curve;
}

function drawn(values, { low = 1, high = values.length, most = 100, log = false } = {}) {
  const curve = curveOf(values);
  return onLattice(curve.xs(false), curve.values, curve.length, latticeOver(low, high, most, 1), log);
}

test("what comes is put behind what is known, and what does not fit is refused", () => {
  const curve = curveOf([1, 2, 3]);
  assert.equal(curve.take(part({ first: 3, total: 5 }), Float32Array.of(4, 5)), true);
  assert.deepEqual([...curve.values.subarray(0, curve.length)], [1, 2, 3, 4, 5]);
  assert.equal(curve.take(part({ first: 6, total: 7 }), Float32Array.of(7)), false);
  const many = Float32Array.from({ length: 5000 }, (_, index) => index);
  assert.equal(curve.take(part({ first: 5, total: 5005 }), many), true);
  assert.equal(curve.values[5004], 4999);
  assert.equal(curve.take(part({ total: 1 }), Float32Array.of(9)), true, "all anew");
  assert.deepEqual([curve.length, curve.count, curve.stepAt(0)], [1, 1, 1]);
});

test("thinned values stand where those are for which they stand", () => {
  const curve = curveOf([1, 9, 2, 8, 5, 6], { head: 4, every: 8, total: 18 });
  assert.deepEqual([...curve.xs(false).subarray(0, 6)], [1, 5, 9, 13, 17, 18]);
});

test("seconds are those of the knots, and between them in proportion", () => {
  const curve = curveOf([1, 2, 3, 4, 5], { knots: [[1, 10], [3, 20]] });
  assert.deepEqual([...curve.xs(true).subarray(0, 5)], [10, 15, 20, 20, 20]);
  curve.take(part({ first: 5, total: 6, knots: [[6, 50]] }), Float32Array.of(6));
  assert.deepEqual([...curve.xs(true).subarray(0, 6)], [10, 15, 20, 30, 40, 50]);
  assert.equal(curveOf([1]).xs(true), null);
});

test("an exponential mean goes on where it was, and leaves out what is no number", () => {
  const curve = curveOf([1, NaN, 3]);
  const smooth = [...curve.smoothed(0.5).subarray(0, 3)];
  assert.equal(smooth[0], 1);
  assert.ok(Number.isNaN(smooth[1]));
  assert.ok(Math.abs(smooth[2] - (1 * 0.25 + 3 * 0.5) / 0.75) < 1e-6);
  curve.take(part({ first: 3, total: 4 }), Float32Array.of(3));
  const whole = curveOf([1, NaN, 3, 3]);
  assert.deepEqual(curve.smoothed(0.5).subarray(0, 4), whole.smoothed(0.5).subarray(0, 4));
  assert.deepEqual([...curve.smoothed(0).subarray(0, 4)], [1, NaN, 3, 3], "without weight it is the curve itself");
});

test("few values have a place each, of many the least and the largest stay in their order", () => {
  assert.deepEqual(drawn([5, 6, 7]).ys.slice(0, 3), [5, 6, 7]);
  const values = Array.from({ length: 1000 }, (_, index) => index % 3);
  values[421] = 99;
  values[423] = -99;
  const { ys } = drawn(values, { most: 50 });
  assert.ok(ys.length <= 53);
  const at = ys.indexOf(99);
  assert.ok(at >= 0 && ys.indexOf(-99) === at + 1);
});

test("what can't be drawn is a gap, and a point between gaps is known", () => {
  const { ys, alone } = drawn([1, NaN, 3, Infinity, 5, 6]);
  assert.deepEqual(ys.slice(0, 6), [1, null, 3, null, 5, 6]);
  assert.deepEqual(alone, [0, 2]);
  assert.deepEqual(drawn([1, 0, -1, 2], { log: true }).ys.slice(0, 4), [1, null, null, 2]);
  assert.deepEqual(drawn([NaN, NaN]).alone, []);
});

test("a lattice stays while what it is over grows", () => {
  const pitches = [90, 100, 110, 190].map((high) => latticeOver(1, high, 50, 1).pitch);
  assert.deepEqual(pitches, [2, 2, 4, 4]);
  assert.equal(latticeOver(0, 0, 100, 0.5).pitch, 0.5);
});

test("the nearest value", () => {
  const xs = Float64Array.of(1, 3, 9);
  assert.deepEqual([0, 1.9, 2.1, 8, 99].map((x) => nearestIndex(xs, 3, x)), [0, 0, 1, 2, 2]);
  assert.equal(nearestIndex(xs, 0, 1), -1);
});

test("a logarithmic axis has lines at all digits of few decades, and at few decades of many", () => {
  assert.deepEqual(logSplits(0.05, 3), [0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3]);
  assert.deepEqual(labelledSplits(logSplits(0.05, 3)).filter(Boolean), [0.1, 1]);
  assert.deepEqual(labelledSplits(logSplits(2, 9)).filter(Boolean), [2, 5]);
  assert.ok(logSplits(1e-45, 3e38).length < 12);
});

test("runs are called by what they differ in", () => {
  const row = (id, name, params) => ({ id, name, params });
  assert.deepEqual(labelsOf([row("a", "fit", { lr: "0.1", seed: "1" }), row("b", "fit", { lr: "0.2", seed: "1" })]), ["lr=0.1", "lr=0.2"]);
  assert.deepEqual(labelsOf([row("a", "fit", { lr: "0.1" }), row("b", "test", {})]), ["fit lr=0.1", "test"]);
  assert.deepEqual(labelsOf([row("a", "fit", {}), row("b", "fit", {})]), ["fit a", "fit b"]);
  assert.deepEqual(labelsOf([row("a", null, {})]), ["a"]);
});
