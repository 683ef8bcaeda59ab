// The answers of the Open Inference Protocol as schemas.
//
// Owns: these schemas. Does not own: the request's (infer-body.ts), the error's (route.ts).

import { z } from "zod";

export const serverSchema = z.object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) });

export const readySchema = z.object({ ready: z.boolean() });
export const modelReadySchema = z.object({ name: z.string(), ready: z.boolean() });

const tensorSchema = z.object({ name: z.string(), datatype: z.string(), shape: z.array(z.int()) });

export const modelSchema = z.object({
  name: z.string(),
  /** Which may be asked for by name: the one there is. */
  versions: z.array(z.string()),
  platform: z.string(),
  inputs: z.array(tensorSchema),
  outputs: z.array(tensorSchema),
  /** Every datatype that the input is taken in. */
  parameters: z.object({ datatypes: z.string() }),
});

export const inferAnswerSchema = z.object({
  model_name: z.string(),
  model_version: z.string(),
  id: z.string(),
  /** One word per row, joined by commas. */
  parameters: z.object({
    mode: z.string(),
    /** Of the learned parameters that answered. */
    model_version: z.string(),
    trace_id: z.string(),
    /** Where the answer stands in the log, `seq.index`; empty where it was sent before it was written. */
    experience: z.string(),
    node: z.string(),
  }),
  outputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.enum(["BYTES", "INT64", "FP32"]),
      /** Rows. */
      shape: z.array(z.int().min(0)),
      parameters: z.object({ binary_data_size: z.int().min(0) }).optional(),
      /** Left out where it follows the JSON. */
      data: z.array(z.union([z.string(), z.number()])).optional(),
    }),
  ),
});
