// Substrate: none. What a buried message holds.

import test from "ava";
import { isFeedback, requestsIn } from "../../actors/giving-up.js";

test("buried feedback is no open request, though it has a `request`: it is answered over its own message", (t) => {
  const feedback = { kind: "feedback", served: {}, request: { id: "a" }, message: {} };
  t.true(isFeedback(feedback));
  t.deepEqual(requestsIn(feedback), []);
  const infer = { kind: "infer", request: { id: "a" } };
  t.false(isFeedback(infer));
  t.is(requestsIn(infer).length, 1);
});
