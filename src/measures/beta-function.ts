/**
 * The regularised incomplete beta function I_x(a, b), given both x and 1 - x so that neither loses digits. The continued fraction (DLMF 8.17.22) converges
 * fast for x below (a + 1) / (a + b + 2); above it the reflection I_x(a, b) = 1 - I_{1-x}(b, a) is used.
 */
export function regularisedBeta(x: number, complement: number, a: number, b: number): number {
  if (x > (a + 1) / (a + b + 2)) return 1 - regularisedBeta(complement, x, b, a);
  // log1p keeps log(x) exact if x is close to 1.
  const logX = x > 0.5 ? Math.log1p(-complement) : Math.log(x);
  const logComplement = x > 0.5 ? Math.log(complement) : Math.log1p(-x);
  const front = Math.exp(a * logX + b * logComplement + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
  return front * betaFraction(x, a, b);
}

/** The continued fraction of the incomplete beta function, evaluated from the front (Lentz's method). */
function betaFraction(x: number, a: number, b: number): number {
  const TINY = 1e-300;
  const away = (value: number) => (Math.abs(value) < TINY ? TINY : value);
  let numerator = 1;
  let denominator = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = denominator;
  for (let m = 1; m <= 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    denominator = 1 / away(1 + even * denominator);
    numerator = away(1 + even / numerator);
    fraction *= denominator * numerator;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    denominator = 1 / away(1 + odd * denominator);
    numerator = away(1 + odd / numerator);
    const step = denominator * numerator;
    fraction *= step;
    if (Math.abs(step - 1) < 1e-15) break;
  }
  return fraction;
}

/** Stirling's series (DLMF 5.11.1), after moving the argument above 10, where five terms reach double precision. */
function logGamma(x: number): number {
  let shift = 0;
  let large = x;
  while (large < 10) shift += Math.log(large++);
  const inverse = 1 / (large * large);
  const series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)));
  return (large - 0.5) * Math.log(large) - large + 0.5 * Math.log(2 * Math.PI) + series / large - shift;
}
