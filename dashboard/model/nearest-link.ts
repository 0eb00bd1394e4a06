// Which link of a graph somebody pointed at.

type Point = readonly [x: number, y: number];

const NEAR_PIXELS = 8;

/** Undefined where no link is near. */
export function nearestLink<T extends { readonly source: string; readonly target: string }>(
  links: readonly T[],
  at: (id: string) => Point | undefined,
  point: Point,
): T | undefined {
  let [nearest, distance]: [T | undefined, number] = [undefined, NEAR_PIXELS];
  for (const link of links) {
    const [from, to] = [at(link.source), at(link.target)];
    if (from === undefined || to === undefined) continue;
    const away = distanceToLine(point, from, to);
    if (away < distance) [nearest, distance] = [link, away];
  }
  return nearest;
}

/** Of a point to the line between two others. */
function distanceToLine([x, y]: Point, [fromX, fromY]: Point, [toX, toY]: Point): number {
  const [dx, dy] = [toX - fromX, toY - fromY];
  const part = Math.max(0, Math.min(1, ((x - fromX) * dx + (y - fromY) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x - (fromX + part * dx), y - (fromY + part * dy));
}
