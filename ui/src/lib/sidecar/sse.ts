// Server-sent events out of a stream of bytes. Pure but for the stream. Bounded: an event that never ends is refused.

export type SseLine = { readonly type: "data"; readonly data: string } | { readonly type: "comment"; readonly text: string };

const LINE_CHARS_MAX = 16 << 20;

/** What a field may be, of which an event stream has few: data and comments are all that is read. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<SseLine> {
  const reader = body.getReader();
  const text = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? text.decode() : text.decode(value, { stream: true });
      let from = 0;
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", from)) {
        const line = rest.slice(from, rest[end - 1] === "\r" ? end - 1 : end);
        from = end + 1;
        if (line.startsWith("data:")) yield { type: "data", data: line.slice(line[5] === " " ? 6 : 5) };
        else if (line.startsWith(":")) yield { type: "comment", text: line.slice(1).trim() };
      }
      rest = rest.slice(from);
      if (rest.length > LINE_CHARS_MAX) throw new RangeError("an event is too long");
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
