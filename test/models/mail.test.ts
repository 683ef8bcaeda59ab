// The mail example's own parts, without the corpus: when a mail arrived, what of it is read, and what its words become.
import test from "ava";
import { arrivalOf, earlyUntilMs, readable } from "../../models/mail/corpus.js";
import { buckets, featuresOf } from "../../models/mail/features.js";

const mail = [
  "From lists@example.org  Thu Aug 22 12:36:23 2002",
  "Delivery-Date: Fri Aug 23 01:00:00 2002",
  "Date: Mon, 1 Jan 1990 00:00:00 +0000",
  "Subject: Win a prize",
  "X-List: nobody-reads-this",
  "",
  "Dear friend, 100 dollars!",
  "Subject: not this one",
].join("\n");

test("a mail arrived when the receiving machine says so, whatever the sender claims", (t) => {
  t.is(arrivalOf(mail), Date.UTC(2002, 7, 22, 12, 36, 23));
  t.is(arrivalOf(mail.split("\n").slice(1).join("\n")), Date.UTC(2002, 7, 23, 1));
  t.is(arrivalOf(mail.split("\n").slice(2).join("\n")), undefined);
  t.true(earlyUntilMs < (arrivalOf(mail) ?? 0));
});

test("a date in the body is no arrival", (t) => {
  t.is(arrivalOf("Subject: a\n\nDelivery-Date: Fri Aug 23 01:00:00 2002"), undefined);
});

test("subject and body are read, and no other header", (t) => {
  t.is(readable(mail), "Win a prize\n\n\nDear friend, 100 dollars!\nSubject: not this one");
  t.is(readable("no headers at all"), "\n");
});

test("words become buckets: of unit length, the same for the same words in any order and case", (t) => {
  const features = featuresOf("Win a PRIZE prize now");
  t.is(features.length, buckets);
  t.true(Math.abs(Math.hypot(...features) - 1) < 1e-6);
  t.deepEqual(featuresOf("now prize win a prize"), features);
  t.notDeepEqual(featuresOf("win a prize now"), features, "a word that comes twice counts more");
  t.is(features.filter((value) => value > 0).length, 3, "win, prize, now; one letter is no word");
});

test("numbers of one length are one word, and a text without words is all zeros", (t) => {
  t.deepEqual(featuresOf("call 12345"), featuresOf("call 99999"));
  t.notDeepEqual(featuresOf("call 12345"), featuresOf("call 123"));
  t.true(featuresOf("...").every((value) => value === 0));
});
