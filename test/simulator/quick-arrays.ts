// Every cache of lru-cache makes its lists of ten thousand places with `Array.from({ length })`, which took a third of a
// story: a node has two dozen caches, and a story starts ten nodes.

/** Makes such lists in one go until the returned function is called. */
export function quickArrays(): () => void {
  const { from } = Array;
  const quick = (items: { readonly length: number }, ...mapping: []) =>
    Array.isArray(items) || mapping.length > 0 || Object.getPrototypeOf(items) !== Object.prototype
      ? from(items, ...mapping)
      : new Array(items.length).fill(undefined);
  Object.assign(Array, { from: quick });
  return () => void Object.assign(Array, { from });
}
