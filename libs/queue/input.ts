/** What a client sends to a running execution, published to its worker. Nobody keeps it. */
export type InputMessage = { readonly id: string } & (
  | { readonly kind: 'stdin'; readonly base64: string }
  | { readonly kind: 'eof' }
  | { readonly kind: 'signal'; readonly number: number }
);
