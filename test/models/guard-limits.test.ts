// Guardrails may be tightened by whoever likes to, and loosened only by name.

import test from "ava";
import {
  GuardrailError,
  guarded,
  guardrailNames,
  guardrails,
  isLooser,
  said,
} from "../../models/learning/guard-limits.js";
import { defaults } from "../../models/settings.js";
import { smallModel } from "../actors/small-node.js";

/** One step in each direction from what is shipped. */
function around(name: (typeof guardrailNames)[number]): { readonly tighter: number; readonly looser: number } {
  const [less, more] = [defaults[name] * 0.5, defaults[name] * 1.05];
  return guardrails[name].tighter === "lower" ? { tighter: less, looser: more } : { tighter: more, looser: less };
}

for (const name of guardrailNames)
  test(`(S2-53) ${name} can be tightened, not loosened or taken away, unless it is said to be unsafe`, (t) => {
    const model = smallModel();
    const { tighter, looser } = around(name);
    t.is(guarded(model, { [name]: tighter }, false).manifest.learning[name], tighter);
    t.is(guarded(model, { [name]: defaults[name] }, false).manifest.learning[name], defaults[name]);
    for (const value of [looser, guardrails[name].off]) {
      const error = t.throws(() => guarded(model, { [name]: value }, false), { instanceOf: GuardrailError });
      t.regex(error.message, new RegExp(`--guardrail: ${name} .*--unsafe-guardrails`));
      t.is(guarded(model, { [name]: value }, true).manifest.learning[name], value);
    }
  });

test("(S2-53) a manifest is held to the same bounds, and named", (t) => {
  const error = t.throws(() => guarded(smallModel({ klLimit: 2 }), {}, false), { instanceOf: GuardrailError });
  t.regex(error.message, /the manifest of small: klLimit 2 .*0\.5 or less/);
  t.is(guarded(smallModel({ klLimit: 2 }), { klLimit: 0.2 }, false).manifest.learning.klLimit, 0.2);
});

test("what is taken away is said to be off", (t) => {
  for (const name of guardrailNames) {
    t.is(said(name, guardrails[name].off), "off");
    t.true(isLooser(name, guardrails[name].off));
    t.false(isLooser(name, defaults[name]));
  }
});
