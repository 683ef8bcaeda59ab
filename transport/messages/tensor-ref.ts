// Where the bytes of a large tensor are, while its message goes ahead without them.
//
// Owns: the reference {id, n, crc?, host?, file?, ask} inside a tensor map, as data. Does not own: its bytes on the wire (codec.ts),
// segments of shared memory, chunks, or who chooses between the two (the files beside this one).
//
// T1. Whoever sends keeps the bytes until the receiver confirms, or the request is over.
// T2. A receiver takes bytes only when their number and their checksum are the ones that were named: the checksum in the message, or, where the
//     message went ahead of it, in the segment or with the last chunk. It is made once, over the bytes as they were at first.

export interface TensorRef {
  /** 32 hexadecimal characters that nobody can guess. */
  readonly id: string;
  readonly bytes: number;
  /** CRC-32 of all bytes (ISO 3309, as zlib has it); absent when the message left before they were all looked at. */
  readonly crc?: number;
  /** Identity of the host in whose shared memory the bytes stand as well; absent when they come in chunks only. */
  readonly host?: string;
  /** Owner's directory and file under the cluster's directory of shared memory: `<pid>-<start time>/<id>`. */
  readonly file?: string;
  /** The sender's own subject: where a receiver pulls chunks, confirms, or says that it gives up. */
  readonly ask: string;
}
