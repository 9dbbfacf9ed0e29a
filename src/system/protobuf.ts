/**
 * Writes Protocol Buffers, the wire format of ONNX model files (https://protobuf.dev/programming-guides/encoding): a message is a
 * sequence of fields, each a varint key `number << 3 | wire type` and a value. Fields that equal their default may be omitted; this
 * writer writes every field that it is given.
 */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];

  /** A non-negative whole number, or a negative one in 64-bit two's complement. Wire type 0. */
  integer(field: number, value: number | bigint): this {
    this.#parts.push(varint(BigInt(field) << 3n), varint(BigInt.asUintN(64, BigInt(value))));
    return this;
  }

  /** A 32-bit float. Wire type 5. */
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#parts.push(varint((BigInt(field) << 3n) | 5n), bytes);
    return this;
  }

  /** A 64-bit float. Wire type 1. */
  double(field: number, value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    this.#parts.push(varint((BigInt(field) << 3n) | 1n), bytes);
    return this;
  }

  /** Bytes, a text in UTF-8, or a message inside this one. Wire type 2. */
  bytes(field: number, value: Uint8Array | string | ProtobufWriter): this {
    const content = typeof value === 'string' ? new TextEncoder().encode(value) : value;
    const bytes = content instanceof ProtobufWriter ? content.finish() : content;
    this.#parts.push(varint((BigInt(field) << 3n) | 2n), varint(BigInt(bytes.byteLength)), bytes);
    return this;
  }

  /** The message so far. */
  finish(): Uint8Array {
    const whole = new Uint8Array(this.#parts.reduce((sum, part) => sum + part.byteLength, 0));
    let offset = 0;
    for (const part of this.#parts) {
      whole.set(part, offset);
      offset += part.byteLength;
    }
    return whole;
  }
}

/** Base 128, least significant group first; the high bit says that another byte follows. */
function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
