/** Base64 as Ruby's `encode64` writes it: a newline after every 60 characters and at the end (RFC 2045 allows 76). */
export function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('base64')
    .replace(/.{1,60}/g, '$&\n');
}

/** Newlines and whatever else is no base64 are passed over. */
export function decode(text: string): Buffer {
  return Buffer.from(text.replace(/[^A-Za-z0-9+/=_-]/g, ''), 'base64');
}
