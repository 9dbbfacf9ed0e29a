import { expect, test } from 'vitest';
import { ProtobufWriter } from './protobuf.ts';

const bytesOf = (writer: ProtobufWriter) => [...writer.finish()];

test("the specification's own examples", () => {
  // protobuf.dev/programming-guides/encoding: a = 150 in field 1; "testing" in field 2; a message in field 3
  expect(bytesOf(new ProtobufWriter().integer(1, 150))).toEqual([0x08, 0x96, 0x01]);
  expect(bytesOf(new ProtobufWriter().bytes(2, 'testing'))).toEqual([0x12, 7, ...Buffer.from('testing')]);
  expect(bytesOf(new ProtobufWriter().bytes(3, new ProtobufWriter().integer(1, 150)))).toEqual([
    0x1a, 3, 0x08, 0x96, 1,
  ]);
  expect(bytesOf(new ProtobufWriter().integer(1, -2))).toEqual([0x08, 0xfe, ...new Array(8).fill(0xff), 0x01]);
});

test('floats and large field numbers', () => {
  expect(bytesOf(new ProtobufWriter().float(2, 1))).toEqual([0x15, 0, 0, 0x80, 0x3f]);
  expect(bytesOf(new ProtobufWriter().double(1, 1))).toEqual([0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
  expect(bytesOf(new ProtobufWriter().integer(20, 1))).toEqual([0xa0, 0x01, 1]);
});
