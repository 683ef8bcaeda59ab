// Which nats-server has which known hole: pure.

import test from "ava";
import { knownHoles, openHoles, serverVersion, soundVersion } from "../../transport/server/server-holes.js";

const ids = (version: string): string[] => openHoles(version).map(({ id }) => id);

test("versions are read as a server, a binary and a package say them", (t) => {
  const release = { major: 2, minor: 9, patch: 10, isPreview: false };
  for (const text of ["2.9.10", "v2.9.10", "nats-server: v2.9.10", "nats-server: v2.9.10\n"])
    t.deepEqual(serverVersion(text), release, text);
  t.deepEqual(serverVersion("2.12.0-RC.1"), { major: 2, minor: 12, patch: 0, isPreview: true });
  for (const text of ["", "unknown", "2.9", "2.9.x", "nats-server version"]) t.is(serverVersion(text), undefined, text);
});

test("a server below 2.11.16 has holes that any user can use, from 2.11.16 on none; the line of 2.12 is sound from 2.12.7 (S2-65)", (t) => {
  t.is(soundVersion, "2.11.16");
  t.deepEqual(ids("2.9.10"), ["CVE-2025-30215", "CVE-2026-33222", "CVE-2026-58251"]);
  t.deepEqual(ids("2.11.0"), ["CVE-2025-30215", "CVE-2026-33222", "CVE-2026-33249", "CVE-2026-58251"]);
  t.deepEqual(ids("2.11.15"), ["CVE-2026-58251"]);
  for (const sound of ["2.11.16", "2.12.7", "2.12.12", "2.14.0", "3.0.0"]) t.deepEqual(ids(sound), [], sound);
  for (const open of ["2.10.27", "2.12.0", "2.12.6"]) t.true(ids(open).length > 0, open);
});

test("a release candidate of the version that mends a hole still has it", (t) => {
  t.true(ids("2.11.16-RC.1").includes("CVE-2026-58251"));
  t.true(ids("2.12.0-RC.1").includes("CVE-2026-33249"));
});

test("a hole of a part that the server must be configured for says so, and keeps no server from a network", (t) => {
  const mqtt = knownHoles("2.11.16").filter(({ needs }) => needs === "MQTT");
  t.deepEqual(
    mqtt.map(({ id, fixedIn }) => `${id} ${fixedIn}`),
    ["CVE-2026-58213 2.12.9, 2.14.1", "CVE-2026-58209 2.12.12, 2.14.3"],
  );
  t.deepEqual(knownHoles("2.14.3"), []);
});

test("a version that cannot be read is judged as the oldest", (t) => {
  t.true(openHoles("no version").length >= openHoles("2.9.10").length);
  t.true(openHoles("").length > 0);
});
