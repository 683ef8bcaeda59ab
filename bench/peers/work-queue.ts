// The model behind a JetStream work queue: requests are stored first, a worker takes them, answers, and acknowledges.
//
// Owns: the stream, its consumer, and the client library of the nats.js 2 line as far as the comparison needs them.
// Does not own: the model (runner.ts), the NATS server.
//
// The stream is on disk, as driftmend's log is. Who asks names the place of the answer in a header: a message that was stored has no
// reply subject any more.
import { connect, headers, type JsMsg } from "nats";
import { jetStreamApi } from "../../transport/subjects.js";
import type { Call, Serve } from "./peer.js";
import { pictureIn, type Runner } from "./runner.js";

const answerTo = "Answer-To";
const worker = "worker";
/** What a worker may hold at once: as much as the largest load keeps in flight. */
const takenMax = 256;

export const serveWorkQueue: Serve = async (runner, { natsUrl, name }) => {
  const stream = name.replaceAll(/\W/g, "-");
  const connection = await connect({ servers: natsUrl });
  const ask = async (subject: string, body: object): Promise<void> => {
    const reply = await connection.request(subject, Buffer.from(JSON.stringify(body)));
    const { error } = JSON.parse(Buffer.from(reply.data).toString()) as {
      readonly error?: { readonly description: string };
    };
    if (error !== undefined) throw new Error(`${subject}: ${error.description}`);
  };
  await ask(jetStreamApi.streamCreate(stream), {
    name: stream,
    subjects: [`${stream}.work`],
    retention: "workqueue",
    storage: "file",
  });
  await ask(jetStreamApi.consumerCreate(stream, worker), {
    stream_name: stream,
    config: { name: worker, durable_name: worker, ack_policy: "explicit", max_ack_pending: takenMax },
  });
  const consumer = await connection.jetstream().consumers.get(stream, worker);
  const publish = (to: string, data: Uint8Array): void => connection.publish(to, data);
  await consumer.consume({ max_messages: takenMax, callback: (message) => work(runner, message, publish) });
  return stream;
};

function work(runner: Runner, message: JsMsg, publish: (to: string, data: Uint8Array) => void): void {
  const to = message.headers?.get(answerTo) ?? "";
  runner.infer(pictureIn(message.data)).then(
    ({ index, confidence }) => {
      publish(to, Buffer.from(JSON.stringify({ index, confidence })));
      message.ack();
    },
    () => message.nak(),
  );
}

export const callWorkQueue: Call = async (stream, { natsUrl, pictures }) => {
  const connection = await connect({ servers: natsUrl });
  const inbox = `answers.${stream}`;
  const open = new Map<string, (answer: { readonly index: number } | undefined) => void>();
  connection.subscribe(`${inbox}.*`, {
    callback: (_error, { subject, data }) => {
      open.get(subject)?.(JSON.parse(Buffer.from(data).toString()));
      open.delete(subject);
    },
  });
  // The stream's word that it has the request: whoever asks of a queue wants it, so it is sent; nobody waits for it before the answer.
  connection.subscribe(`stored.${stream}`, { callback: () => undefined });
  await connection.flush();
  const bodies = pictures.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
  let next = 1;
  return {
    ask: (picture, done) => {
      const to = `${inbox}.${next++}`;
      open.set(to, done);
      const named = headers();
      named.set(answerTo, to);
      connection.publish(`${stream}.work`, bodies[picture] ?? new Uint8Array(0), {
        headers: named,
        reply: `stored.${stream}`,
      });
    },
    close: () => connection.close(),
  };
};
