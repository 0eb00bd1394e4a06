// The group of Ed25519 in plain arithmetic (RFC 8032, section 5.1), for signatures that no library makes. Slow.
export const P = 2n ** 255n - 19n;
/** Order of the base point. */
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (n: bigint, m = P) => ((n % m) + m) % m;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = mod(b * b)) if (e & 1n) result = mod(result * b);
  return result;
}

const inverse = (n: bigint) => power(n, P - 2n);
const D = mod(-121665n * inverse(121666n));
const SQRT_OF_MINUS_1 = power(2n, (P - 1n) / 4n);

export interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

export const IDENTITY: Point = { x: 0n, y: 1n };

export function add(a: Point, b: Point): Point {
  return affine(sum(projective(a), projective(b)));
}

export function multiply(scalar: bigint, point: Point): Point {
  let result = projective(IDENTITY);
  for (let s = scalar, p = projective(point); s > 0n; s >>= 1n, p = sum(p, p)) if (s & 1n) result = sum(result, p);
  return affine(result);
}

/** x = X/Z and y = Y/Z, with T = XY/Z: sums without an inversion. */
type Projective = readonly [X: bigint, Y: bigint, Z: bigint, T: bigint];

const projective = ({ x, y }: Point): Projective => [x, y, 1n, mod(x * y)];

function affine([X, Y, Z]: Projective): Point {
  const inverseOfZ = inverse(Z);
  return { x: mod(X * inverseOfZ), y: mod(Y * inverseOfZ) };
}

/** RFC 8032, section 5.1.4. */
function sum([X1, Y1, Z1, T1]: Projective, [X2, Y2, Z2, T2]: Projective): Projective {
  const [a, b] = [mod((Y1 - X1) * (Y2 - X2)), mod((Y1 + X1) * (Y2 + X2))];
  const [c, d] = [mod(2n * D * T1 * T2), mod(2n * Z1 * Z2)];
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** The point with this y and the x of this lowest bit, if there is one. */
export function pointAt(y: bigint, sign = 0n): Point | undefined {
  const square = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(square, (P + 3n) / 8n);
  if (mod(x * x) !== square) x = mod(x * SQRT_OF_MINUS_1);
  if (mod(x * x) !== square) return undefined;
  return { x: (x & 1n) === sign ? x : mod(-x), y: mod(y) };
}

export const BASE = pointAt(4n * inverse(5n)) as Point;

export function encodeNumber(n: bigint): Buffer {
  return Buffer.from(n.toString(16).padStart(64, '0'), 'hex').reverse();
}

export function decodeNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

export function encodePoint({ x, y }: Point): Buffer {
  return encodeNumber(y | ((x & 1n) << 255n));
}

/** A point of order 8: its multiples are the eight of small order. */
function pointOfOrder8(): Point {
  for (let y = 2n; ; y += 1n) {
    const point = pointAt(y);
    if (point === undefined) continue;
    const small = multiply(L, point);
    const fourfold = multiply(4n, small);
    if (fourfold.x !== IDENTITY.x || fourfold.y !== IDENTITY.y) return small;
  }
}

const ORDER_8 = pointOfOrder8();
export const SMALL_ORDER: readonly Point[] = Array.from({ length: 8 }, (_, n) => multiply(BigInt(n), ORDER_8));

/** Every 32 bytes that decode to a point of small order, also those that are not its encoding. */
export const SMALL_ORDER_ENCODINGS: readonly Buffer[] = SMALL_ORDER.flatMap(({ x, y }) => {
  const signs = x === 0n ? [0n, 1n] : [x & 1n];
  const ys = y + P < 2n ** 255n ? [y, y + P] : [y];
  return ys.flatMap((each) => signs.map((sign) => encodeNumber(each | (sign << 255n))));
});
