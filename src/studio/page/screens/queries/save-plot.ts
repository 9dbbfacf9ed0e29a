/** Looks that the style sheet gives, which a file must hold itself. */
const LOOKS = ['fill', 'stroke', 'stroke-width', 'font-size', 'font-family', 'font-weight', 'opacity'];
/** A picture for a page has so many dots per pixel. */
const SHARPNESS = 2;

/** Saves a drawing as SVG, with its looks in it. */
export function saveSvg(drawing: SVGSVGElement, name: string): void {
  save(svgOf(drawing), `${name}.svg`);
}

/** Saves a drawing as PNG, on the paper of the page. */
export async function savePng(drawing: SVGSVGElement, name: string): Promise<void> {
  const address = URL.createObjectURL(svgOf(drawing));
  try {
    const picture = new Image();
    picture.src = address;
    await picture.decode();
    const canvas = document.createElement('canvas');
    canvas.width = drawing.clientWidth * SHARPNESS;
    canvas.height = drawing.clientHeight * SHARPNESS;
    canvas.getContext('2d')!.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const bytes = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/png'));
    if (bytes !== null) save(bytes, `${name}.png`);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** A copy whose parts say how they look, since a file has no style sheet. */
function svgOf(drawing: SVGSVGElement): Blob {
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const [from, to] = [drawing, copy].map((one) => [...one.querySelectorAll<SVGElement>('*')]);
  from!.forEach((part, at) => {
    const style = getComputedStyle(part);
    for (const look of LOOKS) to![at]!.setAttribute(look, style.getPropertyValue(look));
    to![at]!.removeAttribute('class');
  });
  copy.querySelector('.chosen, [data-chosen]')?.remove();
  const paper = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  paper.setAttribute('width', '100%');
  paper.setAttribute('height', '100%');
  paper.setAttribute('fill', getComputedStyle(document.body).backgroundColor);
  copy.prepend(paper);
  copy.removeAttribute('aria-hidden');
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: 'image/svg+xml' });
}

function save(content: Blob, file: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
}
