// The flight record over real files: what a process leaves behind when it dies, and what the next one makes of it.

import { mkdtempSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type FlightRecord, openFlightRecord } from "../../supervision/process/flight-record.js";

function directoryOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), "driftmend-flight-"));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A process that ends with these ids in flight, and the next one. */
function death(directory: string, record: FlightRecord, ...ids: readonly string[]): FlightRecord {
  record.takeOff(ids);
  return openFlightRecord(directory, "digits");
}

test("(S1-48) in flight at three deaths an id is condemned; what came out before is clear", (t) => {
  const directory = directoryOf(t);
  let record = openFlightRecord(directory, "digits");
  record.takeOff(["through"]);
  record.land(["through"]);
  record = death(directory, record, "bad", "good");
  t.deepEqual(["bad", "good", "through"].map(record.standing, record), ["suspect", "suspect", "clear"]);
  record.takeOff(["good"]);
  record.land(["good"]);
  t.is(record.standing("good"), "clear", "alone, and out again");
  record = death(directory, record, "bad");
  record = death(directory, record, "bad");
  t.is(record.standing("bad"), "condemned");
  t.is(record.deaths("bad"), 3);
  t.is(openFlightRecord(directory, "digits").standing("bad"), "condemned", "an orderly end changes nothing");
  record.forgive("bad");
  t.is(openFlightRecord(directory, "digits").standing("bad"), "clear");
});

test("a death from outside condemns nobody: a suspect that comes out alone is cleared, also after several", (t) => {
  const directory = directoryOf(t);
  let record = openFlightRecord(directory, "digits");
  for (let kill = 0; kill < 20; kill += 1) {
    record = death(directory, record, "a", "b", "c");
    for (const id of ["a", "b", "c"]) {
      t.is(record.standing(id), "suspect");
      record.takeOff([id]);
      record.land([id]);
    }
    t.is(record.watched, 0);
  }
});

test("an id that is in flight more than once dies once: whoever asks three times at once condemns nothing", (t) => {
  const directory = directoryOf(t);
  const record = death(directory, openFlightRecord(directory, "digits"), "a", "a", "b", "a");
  t.is(record.deaths("a"), 1);
  t.is(record.standing("a"), "suspect");
});

test("coming out in company clears nobody", (t) => {
  const directory = directoryOf(t);
  const record = death(directory, openFlightRecord(directory, "digits"), "a", "b");
  record.takeOff(["a", "b"]);
  record.land(["a", "b"]);
  t.is(record.watched, 2);
});

test("files that are damaged hold nothing, and ids may be any text", (t) => {
  const directory = directoryOf(t);
  const odd = 'line\nbreak "quoted" \u2028';
  t.is(death(directory, openFlightRecord(directory, "digits"), odd).standing(odd), "suspect");
  return writeFile(join(directory, "digits.deaths"), "[[").then(() => {
    t.is(openFlightRecord(directory, "digits").watched, 0);
  });
});
