/** `IMAGE[:PATH]`, where the path begins with a slash: `alpine:3:/etc`. */
export function splitImagePath(text: string): { readonly image: string; readonly path: string | undefined } {
  const colon = text.indexOf(":/");
  return colon < 0
    ? { image: text, path: undefined }
    : { image: text.slice(0, colon), path: text.slice(colon + 1) };
}
