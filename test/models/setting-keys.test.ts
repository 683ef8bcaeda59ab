// Settings as words.
import test from "ava";
import { nearestKey, readSetting, settingKeys, valueAt, withSettings } from "../../models/setting-keys.js";
import { defaults } from "../../models/settings.js";

test("every shipped setting is a key, nested ones with a dot, and can be set to what it is", (t) => {
  t.true(settingKeys.includes("stages.head") && settingKeys.includes("learningRate.max"));
  for (const key of settingKeys) {
    const value = valueAt(defaults, key) ?? t.fail(key);
    t.deepEqual(readSetting(`${key}=${value}`), { kind: "setting", setting: { key, value } });
    t.deepEqual(withSettings(defaults, [{ key, value }]), { kind: "ok", settings: defaults });
  }
});

test("a setting changes its own field and no other, and leaves the given settings as they were", (t) => {
  const changed = withSettings(defaults, [{ key: "learningRate.max", value: 0.01 }]);
  t.deepEqual(changed, {
    kind: "ok",
    settings: { ...defaults, learningRate: { ...defaults.learningRate, max: 0.01 } },
  });
  t.is(defaults.learningRate.max, 3e-3);
});

test("an unknown key is refused with the nearest one, a value that does not fit with an example", (t) => {
  for (const [word, key] of [
    ["gat", "gate"],
    ["stages.heads", "stages.head"],
    ["learningrate.Max", "learningRate.max"],
    ["sharpness", "labelled.sharpness"],
  ] as const) {
    t.is(nearestKey(word), key);
    const read = readSetting(`${word}=1`);
    t.true(read.kind === "refused" && read.next.includes(`did you mean ${key}?`));
  }
  for (const word of [
    "gate",
    "gate=",
    "gate=x",
    "gate=NaN",
    "gate=-0.1",
    "stages.head=1",
    "strategy=loudest",
    "learningRate.min=1",
  ])
    t.like(readSetting(word), { kind: "refused" }, word);
  t.like(readSetting("stages=false"), { kind: "refused" }, "a group is no setting");
});

test("settings that are allowed one by one and not together are refused together", (t) => {
  const [low, high] = [
    { key: "learningRate.max", value: 0.01 },
    { key: "learningRate.min", value: 0.005 },
  ];
  t.is(withSettings(defaults, [low, high]).kind, "ok");
  t.is(withSettings(defaults, [high]).kind, "refused");
});
