// An element with attributes and children. Text only ever becomes text nodes, never markup.
function el(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "text", "circle", "rect", "path", "polyline", "title"].includes(tag);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
