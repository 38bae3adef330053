// Elements, and lists of them that keep what is already on the page: focus and open details survive.

/** An element; texts become text nodes, never markup. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Set a text only where it differs: an unchanged page is not laid out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Make the children of `list` stand for `items`, in their order.
 * @param {Map<*, {node: Element}>} known what the last call made; changed in place
 * @param {(item) => *} keyOf
 * @param {(item) => {node: Element, update?: (item) => void}} make
 */
export function arrange(list, known, items, keyOf, make) {
  const gone = new Set(known.keys());
  let at = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    gone.delete(key);
    let row = known.get(key);
    if (row === undefined) {
      row = make(item);
      known.set(key, row);
    }
    row.update?.(item);
    if (row.node === at) at = at.nextElementSibling;
    else list.insertBefore(row.node, at);
  }
  for (const key of gone) {
    known.get(key).node.remove();
    known.delete(key);
  }
}
