// The protocol of a line of chunks, byte by byte: good streams however they are cut, and streams that nobody should send.

import test from "ava";
import { type Random, seededRandom } from "../../../models/clock.js";
import { header } from "../../../transport/subjects.js";
import { LineReader } from "../../../transport/tensors/line-reader.js";
import { patterned } from "./exchange.js";

const latin = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** What was read, pieces of one chunk put together. */
function reading() {
  const said: string[] = [];
  const kept: Uint8Array[][] = [];
  const put = (word: string): void => void said.push(word);
  const reader = new LineReader({
    begins: (subject, { offset, crc = "" }, bytes) => {
      put(`begins ${subject} ${offset} ${bytes}${crc}`);
      kept.push([]);
    },
    piece: (bytes) => void kept.at(-1)?.push(bytes.slice()),
    info: (text) => put(`info ${text}`),
    ping: () => put("ping"),
    pong: () => put("pong"),
    failed: (message) => put(`failed ${message}`),
  });
  return { reader, said, chunks: () => kept.map((pieces) => Buffer.concat(pieces)) };
}

function headed(subject: string, head: string, bytes: Uint8Array): Uint8Array {
  const headers = `NATS/1.0\r\n${head}\r\n\r\n`;
  const line = `HMSG ${subject} 1 ${headers.length} ${headers.length + bytes.byteLength}\r\n${headers}`;
  return Buffer.concat([latin(line), bytes, latin("\r\n")]);
}

const chunk = patterned(20_000);
const good = Buffer.concat([
  latin('INFO {"max_payload":1}\r\n+OK\r\nPING\r\n'),
  headed("c.chunk.n.a", `${header.offset}: 4096`, chunk),
  latin("MSG c.chunk.n.a 1 0\r\n\r\nPONG\r\n"),
  headed("c.chunk.n.b", `X: y\r\n${header.offset}: 7`, latin("\r\nPING\r\n")),
  latin(`MSG c.chunk.n.c 1 _INBOX.x 3\r\nabc\r\n-ERR 'Permissions Violation'\r\n`),
]);
const expected = [
  'info {"max_payload":1}',
  "ping",
  "begins c.chunk.n.a 4096 20000",
  "begins c.chunk.n.a NaN 0",
  "pong",
  "begins c.chunk.n.b 7 8",
  "begins c.chunk.n.c NaN 3",
  "failed 'Permissions Violation'",
];

/** Feeds all of it in pieces of chance lengths; false when the reading ended before. */
function feed(reader: LineReader, bytes: Uint8Array, random: Random, most: number): boolean {
  for (let at = 0; at < bytes.byteLength; ) {
    const end = Math.min(bytes.byteLength, at + 1 + Math.floor(random() * most));
    if (!reader.feed(bytes.subarray(at, end))) return false;
    at = end;
  }
  return true;
}

test("a stream says the same however it is cut, byte by byte included", (t) => {
  for (const most of [1, 2, 7, 64, 4096, 65_536, good.length]) {
    const { reader, said, chunks } = reading();
    t.true(feed(reader, good, seededRandom(most), most));
    t.deepEqual(said, expected, `pieces of up to ${most}`);
    const [first, ...others] = chunks();
    t.deepEqual(
      others.map(({ byteLength }) => byteLength),
      [0, 8, 3],
    );
    t.is(Buffer.compare(first ?? latin(""), chunk), 0);
  }
});

test("an offset that is none is NaN: the chunk behind it belongs nowhere", (t) => {
  for (const head of [
    "X: 1",
    `${header.offset}: -1`,
    `${header.offset}: 1e9`,
    `${header.offset}: `,
    `${header.offset}: ${"9".repeat(16)}`,
  ]) {
    const { reader, said } = reading();
    t.true(reader.feed(headed("s", head, latin("a"))));
    t.deepEqual(said, ["begins s NaN 1"], head);
  }
});

test("(S0-41) headers that are longer than a chunk's are passed over, not kept, and end nothing: anybody may publish them", (t) => {
  const { reader, said } = reading();
  const before = process.memoryUsage().heapUsed;
  t.true(reader.feed(latin("HMSG s 1 50000000 50000003\r\n")));
  for (let left = 50_000_000; left > 0; left -= 100_000) t.true(reader.feed(latin("x".repeat(100_000))));
  t.true(process.memoryUsage().heapUsed - before < 30_000_000, "negative control: kept, they would be 50 MB");
  t.true(reader.feed(latin("abc\r\nPING\r\n")));
  t.deepEqual(said, ["begins s NaN 3", "ping"]);
});

const refused: Readonly<Record<string, string>> = {
  "no word of the protocol": "HELLO\r\n",
  "a message without a length": "MSG s 1\r\n",
  "a negative length": "MSG s 1 -5\r\n",
  "a length of ten digits": "MSG s 1 9999999999\r\n",
  "headers longer than the message": "HMSG s 1 100 50\r\n",
  "no headers in a message with headers": "HMSG s 1 0 50\r\n",
  "a line without an end": "INFO ".padEnd(80_000, "x"),
};
for (const [what, text] of Object.entries(refused)) {
  test(`(S0-41) ${what} ends the reading, and nothing was handed on`, (t) => {
    for (const most of [3, 100_000]) {
      const { reader, said } = reading();
      t.false(feed(reader, latin(text), seededRandom(1), most));
      t.deepEqual(said, []);
    }
  });
}

test("(S0-41) 3,000 streams with chance bytes in them: no throw, nothing handed on that was not counted, little kept", (t) => {
  const random = seededRandom(20);
  for (let round = 0; round < 3_000; round += 1) {
    const bytes = Uint8Array.from(good.subarray(0, 400));
    for (let hits = 1 + Math.floor(random() * 8); hits > 0; hits -= 1)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    let [announced, came] = [0, 0];
    const reader = new LineReader({
      begins: (_subject, { offset }, count) => {
        t.true(Number.isNaN(offset) || Number.isSafeInteger(offset));
        announced += count;
      },
      piece: ({ byteLength }) => {
        came += byteLength;
      },
      ...{ info: () => undefined, ping: () => undefined, pong: () => undefined, failed: () => undefined },
    });
    feed(reader, bytes, random, 64);
    if (came > announced) return t.fail(`round ${round}: ${came} bytes of ${announced}`);
  }
  t.pass();
});
