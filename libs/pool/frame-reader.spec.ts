import { encodeFrame, FrameReader } from '@cordon/pool/frame-reader';
import { FRAME_PAYLOAD_MAX } from '@cordon/sentry/boot/boot-message';
import { describe, expect, it } from 'vitest';

function take(reader: FrameReader): [number, string][] {
  const frames: [number, string][] = [];
  for (let frame = reader.next(); frame !== null; frame = reader.next())
    frames.push([frame.type, frame.payload.toString()]);
  return frames;
}

describe('FrameReader', () => {
  const stream = Buffer.concat([
    encodeFrame(7, Buffer.from('one')),
    encodeFrame(8),
    encodeFrame(9, Buffer.from('three')),
  ]);
  const whole: [number, string][] = [
    [7, 'one'],
    [8, ''],
    [9, 'three'],
  ];

  it('cuts frames wherever the stream was cut', () => {
    for (let step = 1; step <= stream.length; step++) {
      const reader = new FrameReader();
      const frames: [number, string][] = [];
      for (let at = 0; at < stream.length; at += step) {
        reader.push(stream.subarray(at, at + step));
        frames.push(...take(reader));
      }
      expect(frames).toEqual(whole);
      expect(reader.pending).toBe(0);
    }
  });

  it('reads a large frame in small pieces without copying it over and over', () => {
    const reader = new FrameReader();
    const payload = Buffer.alloc(8 << 20, 'x');
    const frame = encodeFrame(1, payload);
    let copied = 0;
    const concat = Buffer.concat;
    Buffer.concat = ((list: readonly Uint8Array[]) => {
      const joined = concat(list);
      copied += joined.length;
      return joined;
    }) as typeof Buffer.concat;
    try {
      for (let at = 0; at < frame.length; at += 1000) {
        reader.push(frame.subarray(at, at + 1000));
        if (at + 1000 < frame.length) expect(reader.next()).toBeNull();
      }
      expect(reader.next()?.payload.length).toBe(payload.length);
    } finally {
      Buffer.concat = concat;
    }
    expect(copied).toBeLessThan(2 * frame.length);
  });

  it('refuses a length beyond the maximum', () => {
    const reader = new FrameReader();
    const header = Buffer.alloc(5);
    header.writeUInt32LE(FRAME_PAYLOAD_MAX + 1);
    reader.push(header);
    expect(() => reader.next()).toThrow(RangeError);
  });
});
