// The evaluation's figures against cases worked out by hand.
import test from "ava";
import {
  accuracyByDrift,
  median,
  share,
  slidingAccuracy,
  spreadOf,
  worstWindow,
} from "../../../sim/evaluation/measures.js";
import { stretchesOf } from "../../../sim/evaluation/streams.js";
import { TimeLeft } from "../../../sim/evaluation/time-left.js";

const marks = (text: string): Uint8Array => Uint8Array.from(text, Number);

test("the worst window is the lowest difference to the source over so many requests in a row, and says where it begins", (t) => {
  const source = marks("1111100000");
  const method = marks("1100111111");
  //         lead  0 0 -1 -1 0 1 1 1 1 1: windows of 4 have leads -2, -2, -1, 1, ...
  t.deepEqual(worstWindow(method, source, 4), { difference: -2 / 4, from: 0 });
  t.deepEqual(worstWindow(method, source, 2), { difference: -1, from: 2 });
  t.deepEqual(worstWindow(source, method, 3), { difference: -1, from: 5 });
  t.deepEqual(worstWindow(method, source, 10), { difference: 0.3, from: 0 });
});

test("a worst window at the very end is seen, equal ones count once, and fewer requests than a window have none", (t) => {
  t.deepEqual(worstWindow(marks("111100"), marks("111111"), 2), { difference: -1, from: 4 });
  t.deepEqual(worstWindow(marks("0101"), marks("1111"), 2), { difference: -0.5, from: 0 });
  t.is(worstWindow(marks("111"), marks("111"), 4), null);
  t.deepEqual(worstWindow(new Uint8Array(200).fill(1), new Uint8Array(200), 200), { difference: 1, from: 0 });
  t.is(worstWindow(new Uint8Array(199), new Uint8Array(199)), null);
});

test("the sliding curve is the accuracy of the newest window, of all while there are fewer, and ends with the stream", (t) => {
  const source = new Uint8Array(1000);
  source.fill(1, 300);
  const curve = slidingAccuracy(source);
  t.deepEqual(curve[0], { at: 25, accuracy: 0 });
  t.deepEqual(curve.at(-1), { at: 1000, accuracy: 1 });
  t.is(curve.find(({ at }) => at === 400)?.accuracy, 0.5);
  t.true(curve.length <= 242);
  t.deepEqual(slidingAccuracy(marks("1100"), 3), [{ at: 4, accuracy: 1 / 3 }]);
});

test("accuracy by drift, share, spread and median are plain counts", (t) => {
  t.deepEqual(accuracyByDrift(["b", "a", "b", "b"], marks("1011"), marks("0101")), [
    { drift: "a", n: 1, accuracy: 0, source: 1 },
    { drift: "b", n: 3, accuracy: 1, source: 1 / 3 },
  ]);
  t.is(share(marks("1011")), 0.75);
  t.deepEqual(spreadOf([0.1, 0.4, 0.1]), { mean: 0.6 / 3, low: 0.1, high: 0.4 });
  t.is(median([5, 1, 9]), 5);
  t.is(median([4, 1, 9, 5]), 4);
});

test("requests of one drift and severity in a row are one stretch", (t) => {
  const request = (drift: string, severity: number) => ({ input: new Float32Array(), label: 0, drift, severity });
  const requests = [request("blur", 2), request("blur", 2), request("blur", 3), request("none", 0), request("blur", 2)];
  t.deepEqual(
    stretchesOf(requests).map(({ drift, severity, from, to }) => [drift, severity, from, to]),
    [
      ["blur", 2, 0, 2],
      ["blur", 3, 2, 3],
      ["none", 0, 3, 4],
      ["blur", 2, 4, 5],
    ],
  );
});

test("the time left follows from each method's own pace; one without a pace is taken for the mean of the others", (t) => {
  const left = new TimeLeft();
  t.is(left.of(new Map([["slow", 10]])), null);
  left.took("slow", 10, 100);
  left.took("quick", 100, 200);
  t.is(
    left.of(
      new Map([
        ["slow", 5],
        ["quick", 50],
      ]),
    ),
    150,
  );
  t.is(left.of(new Map([["unknown", 10]])), 60);
});
