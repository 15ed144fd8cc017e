// Long conversations, put into the page's own store before it opens them.

const id = (kind, at) => `${kind}${String(at).padStart(31, "0")}`;
export const CONVERSATION = id("c", 1);

/** So many exchanges, one after the other. */
export function history(exchanges, answerOf) {
  const turns = Array.from({ length: exchanges }, (_, at) => ({
    ...{ id: id("a", at), conversation: CONVERSATION, parent: at === 0 ? null : id("a", at - 1), question: `Question number ${at + 1}?`, attachments: [] },
    ...{ modelId: "m", modelLabel: "gemma", leftOut: 0, askedMs: 1_000 + at },
    answer: { phase: "done", text: answerOf(at), reasoning: "", tokens: 9, asked: null, before: 0, firstTokenMs: 9, lastTokenMs: 99, statement: null, receipt: null, failure: null, passedOn: [] },
  }));
  const options = { system: "", temperature: null, topP: null, topK: null, maxTokens: null, seed: null };
  const conversation = { id: CONVERSATION, title: "A long talk", createdMs: 1, updatedMs: 2, leaf: turns.at(-1).id, modelId: null, options };
  return { conversation, turns };
}

/** Writes them below the page, which must be open and have made its store. */
export async function keep(page, kept) {
  await page.evaluate(async ({ conversation, turns }) => {
    const db = await new Promise((resolve, reject) => {
      const opening = indexedDB.open("ainonymous");
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    const tx = db.transaction(["conversations", "turns"], "readwrite");
    tx.objectStore("conversations").put(conversation);
    for (const turn of turns) tx.objectStore("turns").put(turn);
    await new Promise((resolve, reject) => ((tx.oncomplete = resolve), (tx.onerror = reject)));
    db.close();
  }, kept);
}
