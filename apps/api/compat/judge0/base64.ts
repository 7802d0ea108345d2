import { isUtf8 } from 'node:buffer';

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

/** What a field holds: text, or bytes that are none (a client that says `base64_encoded=true` may send any). */
export type Content = string | { readonly base64: string };

export function contentOf(bytes: Buffer): Content {
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') };
}

export function bytesOf(content: Content): Buffer {
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content.base64, 'base64');
}
