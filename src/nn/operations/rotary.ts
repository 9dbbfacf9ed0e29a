import type { GradientRule, Tensor } from '../graph.ts';
import { cast, multiply, negate, reshape } from './arithmetic.ts';
import { cosine, sine } from './elementwise.ts';
import { range } from './layout.ts';
import { requireFit } from './shapes.ts';

/** The frequencies of a rotary embedding, for each pair of a head's numbers. */
export interface RotaryFrequencies {
  /** Radians per position // [head / 2] */
  inverse: Float32Array;
  /** The factor of cosine and sine; 1, except for some scalings to long texts. */
  scale: number;
}

/**
 * Rotary position embedding in its half-split form: number i of a head is paired with number i + head / 2, and the pair
 * is rotated by position · frequency (Su et al. 2021, in the layout of Transformers). The gradient of a rotation is the
 * rotation back.
 *
 * @param x // [batch, heads, sequence, head]
 * @param positions the position of each token // [batch, sequence], int32, each below the size of that axis
 */
export function rotate(x: Tensor, positions: Tensor, frequencies: RotaryFrequencies): Tensor {
  const { graph } = x;
  const [batch, , sequence, size] = x.shape;
  const placed = positions.shape[0] === batch && positions.shape[1] === sequence;
  requireFit(placed, 'RotaryEmbedding', x, positions, 'differ in texts or their lengths');
  const pairs = frequencies.inverse.length;
  requireFit(size === 2 * pairs, 'RotaryEmbedding', x, positions, `do not fit ${pairs} frequencies per head`);
  const length = positions.shape[1]!;
  const of = `${positions.name} ${frequencies.scale} ${frequencies.inverse.join(' ')}`;
  const shared = (part: string, build: () => Tensor) => graph.once(`rotary ${part} of ${of}`, build);
  const angles = () =>
    shared('angles', () => {
      const inverse = graph.constant(frequencies.inverse, [1, frequencies.inverse.length]);
      return multiply(reshape(cast(range(graph, length), 'float32'), [length, 1]), inverse);
    });
  const scaled = (wave: Tensor) =>
    frequencies.scale === 1 ? wave : multiply(wave, graph.constant(Float32Array.of(frequencies.scale), []));
  const cosines = shared('cosines', () => scaled(cosine(angles())));
  const sines = shared('sines', () => scaled(sine(angles())));
  const at = shared('positions', () => cast(positions, 'int64'));
  const back = () => shared('sines backward', () => negate(sines));
  return turn(x, at, cosines, sines, back);
}

function turn(x: Tensor, at: Tensor, cosines: Tensor, sines: Tensor, back: () => Tensor): Tensor {
  const gradient: GradientRule = (upstream) => [() => turn(upstream, at, cosines, back(), () => sines)];
  const outputs = [{ dtype: x.dtype, shape: x.shape }];
  const inputs = [x, at, cosines, sines];
  return x.graph.node({ operator: 'RotaryEmbedding', domain: 'com.microsoft', inputs, outputs, gradient })[0]!;
}
