// Every text of the page in German.
import type { Answer } from "../chat/answer";
import type { BackendState, Model, Outlook, Peer, Provider, Readers, Reason, ReceiptState, Statement } from "../chat/backend";
import type { Unfit } from "../chat/files";
import type { IssuedInvite } from "../network/members";
import type { LocalModel, ModelEntry, Offer, Pull, Status } from "../sidecar/types";
import type { Catalogue, Check, Told } from "./en";
import { figures, shortKey } from "./figures";
import { reasonsDe } from "./reasons.de";
import type { ReasonCode } from "./reasons.en";

const { number, fine, bytes, credits, duration, counted } = figures("de");

function speed(tokensPerS: number): string {
  return `${tokensPerS < 10 ? tokensPerS.toFixed(1).replace(".", ",") : number(tokensPerS)} Token/s`;
}

function who({ key, kinship }: Pick<Provider, "key" | "kinship">): string {
  if (kinship === "self") return "der eigene Knoten";
  if (kinship === "own") return `eigener Knoten ${shortKey(key)}`;
  if (kinship === "friend") return `Freund ${shortKey(key)}`;
  return shortKey(key);
}

const others = (count: number) => (count > 0 ? ` Antwortet er nicht, ${count === 1 ? "kann ein anderer gefragt werden" : `können ${number(count)} andere gefragt werden`}.` : "");

function price([least, most]: readonly [number, number]): string {
  if (most === 0) return "kostenlos";
  const unit = "Einheiten je Million Parameter-Token";
  return least === most ? `${credits(most)} ${unit}` : `${least === 0 ? "kostenlos" : credits(least)} bis ${credits(most)} ${unit}`;
}

/** After a preposition: „seit 2 Tagen“. */
const during = (seconds: number) => duration(seconds).replace(/Tage$/, "Tagen");

const blocked = {
  no_environment: "Diese Seite wurde außerhalb einer Holochain-Umgebung geöffnet. „ainonymous up“ starten und die Adresse öffnen, die es ausgibt.",
  token_refused: "Der Conductor nimmt diese Seite nicht mehr an, etwa weil er neu gestartet wurde. Die Seite neu laden.",
  app_missing: "Die App AInonymous ist in diesem Conductor nicht installiert oder nicht eingeschaltet.",
  not_authorised: "Der Conductor lässt diese Seite die App nicht aufrufen. Neu laden gibt ihr die Erlaubnis.",
  key_needed: "Der Knoten verlangt seinen Schlüssel. Die Adresse öffnen, die „ainonymous up“ beim letzten Start ausgegeben hat.",
};

export const de: Catalogue = {
  number,
  speed,
  who,

  newConversation: "Neuer Chat",
  conversations: "Gespräche",
  views: "Ansichten",
  menu: "Menü",
  openMenu: "Menü öffnen",
  closeMenu: "Menü schließen",
  skip: "Zum Gespräch springen",
  untitled: "Ohne Titel",
  network: "Netz",
  node: "Mein Knoten",
  settings: "Einstellungen",
  close: "Schließen",
  cancel: "Abbrechen",
  keep: "Behalten",
  remove: "Löschen",
  removeNamed: (name) => `${name} löschen`,
  copied: "Kopiert",
  copyCommand: "Befehl kopieren",
  working: "Einen Augenblick…",
  exactly: "Im Wortlaut (englisch)",
  reason(code) {
    const said = code in reasonsDe ? reasonsDe[code as ReasonCode] : null;
    return said === null ? null : { what: said[0], remedy: said[1] };
  },
  reconnect: "Jetzt versuchen",
  reload: "Seite neu laden",

  state(state: BackendState): Told {
    switch (state.at) {
      case "connecting":
        return { short: "Verbindet…", long: "" };
      case "offline":
        return {
          short: "Offline",
          long: `Der eigene Knoten antwortet nicht; nächster Versuch in ${counted(Math.max(1, Math.round(state.retryInMs / 1_000)), "Sekunde", "Sekunden")}. Läuft er? „ainonymous status“ sagt es.`,
        };
      case "joining":
        return { short: "Tritt bei…", long: "Noch ist niemand in Sicht, der ein Modell bereitstellt. Ein neuer Knoten braucht bis zu einer Minute, um von anderen zu hören." };
      case "ready":
        return { short: `Bereit · ${counted(state.models.length, "Modell", "Modelle")}`, long: "" };
      case "blocked":
        return { short: "Nicht verbunden", long: blocked[state.why] };
    }
  },
  stages: "Wie weit es ist",
  stage: { starting: "Conductor", relay: "Relais", bootstrap: "Angemeldet", peers: "Teilnehmer", providers: "Modelle" },
  stageRemedy: {
    starting: "Der Conductor braucht lange. „ainonymous doctor“ sagt, was diesem Rechner fehlt.",
    relay: "Das Relais gibt keine Adresse. Netzverbindung und die Adresse nach „--bootstrap“ prüfen.",
    bootstrap: "Der Bootstrap-Server kennt diesen Knoten noch nicht. Die Adresse nach „--bootstrap“ prüfen.",
    peers: "Niemand sonst ist in diesem Netz online. Einen zweiten Knoten starten oder fragen, wer eingeladen hat.",
    providers: "Teilnehmer sind da, aber keiner stellt ein Modell bereit. Selbst eines teilen: „ainonymous serve gemma-4-e4b“.",
  },

  welcome: "Frag ein Modell, das jemand teilt.",
  welcomeDetail:
    "Die Frage geht vom eigenen Knoten zu einem Knoten, der das Modell ausführt, und die Antwort kommt, während sie geschrieben wird. Dazwischen steht kein Server, es gibt kein Konto und keine Münze. Unter jeder Antwort steht, wer sie geschrieben hat und was ihr Beleg wert ist.",
  examples: "Beispiele",
  exampleQuestions: ["Was ist die Hauptstadt von Frankreich?", "Erkläre einem zehnjährigen Kind öffentliche Schlüssel.", "Schreibe ein Haiku über das Meer."],

  transcript: "Gespräch",
  you: "Du",
  answer: "Antwort",
  model: "Modell",
  models: "Modelle",
  noModel: "Noch kein Modell",
  chooseModel: "Modell wählen",
  modelFacts({ providers, contextTokens, takesImages, rests }: Model): string {
    const fastest = Math.max(0, ...providers.map(({ tokensPerS }) => tokensPerS));
    const waits = providers.flatMap(({ waiting }) => (waiting === null ? [] : [waiting]));
    const own = providers.some(({ isOwn }) => isOwn);
    const peers = providers.filter(({ isOwn }) => !isOwn).length;
    const parts = [own ? (peers > 0 ? `hier und bei ${number(peers)} weiteren` : "hier") : counted(peers, "Teilnehmer", "Teilnehmer")];
    if (fastest > 0) parts.push(`bis ${speed(fastest)}`);
    if (waits.length > 0) parts.push(Math.min(...waits) === 0 ? "keine Wartezeit" : counted(Math.min(...waits), "Frage wartet", "Fragen warten"));
    parts.push(`${number(contextTokens)} Token Kontext`);
    const prices = providers.flatMap(({ milliPrice }) => (milliPrice === null ? [] : [milliPrice]));
    if (prices.length > 0) parts.push(price([Math.min(...prices), Math.max(...prices)]));
    if (takesImages) parts.push("sieht Bilder");
    if (rests) parts.push("wird bei der ersten Frage geladen");
    return parts.join(" · ");
  },
  question: "Deine Frage",
  placeholder: "Etwas fragen",
  send: "Senden",
  stop: "Anhalten",
  retry: "Noch einmal fragen",
  retryElsewhere: "Einen anderen Anbieter fragen",
  regenerate: "Noch einmal antworten",
  edit: "Bearbeiten und neu fragen",
  editing: "Du bearbeitest eine frühere Frage; die alte Antwort bleibt in ihrem Zweig.",
  branch: (at, count) => `${at} / ${count}`,
  branchBefore: "Früherer Zweig",
  branchAfter: "Späterer Zweig",
  copyQuestion: "Frage kopieren",
  copyAnswer: "Antwort kopieren",
  copyCode: "Code kopieren",
  code: "Code",
  table: "Tabelle",
  thoughts: "Gedanken",
  toEnd: "Zum Ende",
  attach: "Dateien anfügen",
  attachments: "Dateien",
  unfit(name: string, why: Unfit): string {
    const because: Record<Unfit, string> = {
      too_large: "ist zu groß.",
      not_text: "ist weder Text noch ein Bild.",
      no_image_here: "ist ein Bild, und danach wird dieses Modell von hier nicht gefragt.",
      image_unreadable: "lässt sich nicht lesen.",
    };
    return `${name} ${because[why]}`;
  },
  leftOut: (count) => `${count === 1 ? "Der erste Wechsel wurde" : `Die ersten ${number(count)} Wechsel wurden`} nicht mitgeschickt: Länger darf keine Frage sein.`,
  keys: "Enter sendet · Umschalt+Enter beginnt eine Zeile · Esc hält an · ↑ bearbeitet die letzte Frage",
  readers(readers: Readers): string {
    switch (readers.by) {
      case "self":
        return "Nur der eigene Knoten liest das.";
      case "one": {
        const kind = { own: "Ein eigener Knoten", friend: "Ein Freund", lan: "Ein Fremder", public: "Ein Fremder", self: "Der eigene Knoten" }[readers.provider.kinship];
        return `${kind} liest das: ${shortKey(readers.provider.key)}.${others(readers.others)}`;
      }
      case "one_of":
        return readers.strangers === readers.count
          ? `Einer von ${number(readers.count)} Fremden liest das; gewählt wird beim Senden.`
          : `Einer von ${number(readers.count)} Knoten liest das, darunter ${counted(readers.strangers, "fremder", "fremde")}.`;
      case "several":
        return `Zugleich gelesen von ${number(readers.count)} von ${counted(readers.among, "Knoten", "Knoten")}, deren Antworten verglichen werden.`;
    }
  },

  terms({ waiting, milliPrice }: Outlook): string {
    const wait = waiting === null ? [] : [waiting === 0 ? "Keine Wartezeit" : `${counted(waiting, "Frage wartet", "Fragen warten")} dort`];
    const terms = [...wait, milliPrice === null ? "Preis nicht genannt" : price(milliPrice)].join(" · ");
    return `${terms.slice(0, 1).toUpperCase()}${terms.slice(1)}.`;
  },
  auditorsRead: {
    friends: "Prüfer von Freunden können es danach lesen.",
    all: "Ausgeloste Prüfer können es danach lesen.",
  },
  hurdle: {
    nobody_allowed: "Von denen, die antworten dürfen, hat keiner dieses Modell. Mehr zulassen oder ein anderes Modell wählen.",
    too_few: "Hier dürfen weniger dieses Modell beantworten, als verglichen werden sollen. Weniger vergleichen, oder mehr zulassen.",
    cannot_hide: "Von hier gehen Fragen durch Signale, die deinen Agenten zeigen: Verbergen geht nicht. Offen fragen, oder durch einen eigenen Knoten.",
  },
  allowAnybody: "Alle zulassen",

  only: "Wer antworten darf",
  onlyOf: { anybody: "Alle", lan: "Eigene Knoten, Freunde und das lokale Netz", friends: "Eigene Knoten und Freunde", own: "Eigene Knoten", here: "Nur dieser Knoten" },
  hides: "Verbergen, wer fragt",
  hidesDetail: "Durch einen Router: Wer antwortet, erfährt weder die Adresse dieses Rechners noch seinen Agenten. Langsamer, und in Netzen auf Einladung nicht möglich.",
  answers: "Mehrere fragen und vergleichen",
  answersOf: (count) => (count === 1 ? "Nein, einer genügt" : `${number(count)} davon`),
  answersDetail: "Alle lesen die Frage und antworten mit denselben Würfeln. Gezeigt wird, was die meisten sagen, sobald alle fertig sind.",
  options: "Systemprompt und Parameter",
  systemPrompt: "Systemprompt",
  systemPlaceholder: "Woran sich das Modell in diesem Gespräch halten soll",
  option: { temperature: "Temperatur", topP: "Top p", topK: "Top k", maxTokens: "Längste Antwort, in Token", seed: "Startwert" },
  usual: "wie es kommt",
  optionsDetail: "Leere Felder bedeuten das Übliche. All das gilt für dieses Gespräch.",
  reset: "Zurück zum Üblichen",

  phase: { asking: "Sucht einen Anbieter…", reading: "Das Modell liest…", writing: "Schreibt…" },
  queued: (before) => `In der Schlange: ${counted(before, "Frage ist", "Fragen sind")} vorher dran.`,
  passedOn: (count) => `${counted(count, "Anbieter hat", "Anbieter haben")} nicht geantwortet; ein anderer wird gefragt.`,
  soFar: (tokens, perS) => (perS > 0 ? `${number(tokens)} Token · ${speed(perS)}` : `${number(tokens)} Token`),
  stopped: "Angehalten.",
  finish: { stop: "", length: "Die Antwort ist so lang, wie sie werden kann.", cancelled: "Der Anbieter hat die Antwort vorzeitig beendet." },
  spoken({ phase, text }: Answer): string {
    if (phase === "done") return `Antwort fertig. ${text.slice(0, 600)}`;
    return phase === "writing" ? "Die Antwort wird geschrieben." : phase === "stopped" ? "Angehalten." : "";
  },

  provider: "Anbieter",
  ownNode: "der eigene Knoten",
  why: "Warum dieser",
  whyUnsaid: (isOwn) => (isOwn ? "Er hat das Modell, also erfährt es niemand sonst." : "Von denen, die das Modell haben, werden schnellere öfter gefragt; ein Gespräch bleibt, wo es begann."),
  chosen({ kinship, firstTokenMs, waitMs, basis, prefixTokens, milliPrice, candidates, probed, nearEquals, lastResort, hedged }: Reason): string {
    const whose = { own: "Ein eigener Knoten", friend: "Ein Freund", lan: "In der Nähe", public: "Ein Fremder" }[kinship];
    const how = { measured: "nach Erfahrung", claimed: "nach eigener Angabe", assumed: "geschätzt" }[basis];
    const parts = [`${whose}, erstes Wort erwartet nach ${number(firstTokenMs)} ms (${how})`];
    if (waitMs > 0) parts.push(`davon ${number(waitMs)} ms in der Schlange`);
    if (prefixTokens > 0) parts.push(`hat noch ${number(prefixTokens)} Token dieses Gesprächs`);
    if (milliPrice !== null) parts.push(price([milliPrice, milliPrice]));
    parts.push(candidates === 1 ? "der einzige" : nearEquals > 1 ? `gelost unter ${number(nearEquals)} etwa gleichen von ${number(candidates)}, davon ${number(probed)} nach ihrer Schlange gefragt` : `der beste von ${number(candidates)}, davon ${number(probed)} nach ihrer Schlange gefragt`);
    if (lastResort) parts.push("versagte zuletzt, aber sonst ist niemand da");
    if (hedged) parts.push("schneller beim ersten Wort als ein vorher gefragter");
    return `${parts.join("; ")}.`;
  },
  route: "Weg",
  routes: {
    local: "Auf diesem Rechner.",
    direct: "Direkt, über eine verschlüsselte Verbindung zwischen beiden Knoten.",
    routed: "Durch einen Router, der sieht, dass gesprochen wird, und nicht, was.",
    signals: "Durch Signale, verschlüsselt zwischen beiden Conductors.",
    posted: "Durch einen versiegelten Eintrag in den gemeinsamen Daten.",
  },
  figures: "Zahlen",
  statement({ promptTokens, completionTokens, tokensPerS }: Statement, firstTokenMs: number | null): string {
    const parts = [`${number(promptTokens)} Token gelesen`, `${number(completionTokens)} geschrieben`];
    if (firstTokenMs !== null) parts.push(`erstes nach ${number(firstTokenMs)} ms`);
    if (tokensPerS > 0) parts.push(speed(tokensPerS));
    return parts.join(" · ");
  },
  receiptName: "Beleg",
  receipt(receipt: ReceiptState): Told {
    switch (receipt.at) {
      case "none":
        return { short: "", long: "Es gibt keinen Beleg: Der eigene Knoten hat geantwortet und muss sich selbst nichts beweisen." };
      case "signed":
        return { short: "Beleg signiert", long: "Der Anbieter hat genau diese Frage und Antwort signiert. Nun soll er den Beleg veröffentlichen." };
      case "checked":
        return { short: "Beleg geprüft ✓", long: `Der Beleg ist vom Anbieter signiert, gilt genau dieser Frage und Antwort und steht im veröffentlichten Bündel ${receipt.action}.` };
      case "unpublished":
        return { short: "Beleg nicht veröffentlicht", long: "Der Anbieter hat einen Beleg signiert, ihn aber nicht rechtzeitig veröffentlicht." };
      case "unreachable":
        return { short: "Beleg nicht gefunden", long: `Der Anbieter sagt, der Beleg stehe im Bündel ${receipt.action}, das nicht zu holen war.` };
      case "false":
        return { short: "Beleg falsch ✗", long: `Das veröffentlichte Bündel ${receipt.action} enthält den signierten Beleg nicht. Auf diese Antwort ist kein Verlass.` };
    }
  },
  checks(receipt, audit): Check[] {
    if (receipt.at === "none") return [];
    const published: Check = {
      signed: { state: "open", text: "noch nicht veröffentlicht" } as const,
      unpublished: { state: "failed", text: "nicht rechtzeitig veröffentlicht" } as const,
      unreachable: { state: "open", text: `soll im Bündel ${"action" in receipt ? receipt.action : ""} stehen, das nicht zu holen war` } as const,
      checked: { state: "passed", text: `steht im veröffentlichten Bündel ${"action" in receipt ? receipt.action : ""}` } as const,
      false: { state: "failed", text: `steht nicht im veröffentlichten Bündel ${"action" in receipt ? receipt.action : ""}` } as const,
    }[receipt.at];
    const replayed: Check = {
      unaudited: { state: "open", text: "niemand hat die Antwort nachgerechnet" } as const,
      running: { state: "open", text: "die Antwort wird nachgerechnet" } as const,
      audited: { state: "passed", text: "die Antwort wurde nachgerechnet und ist, was dieses Modell sagt" } as const,
      disputed: { state: "failed", text: "die Antwort wurde nachgerechnet und ist nicht, was dieses Modell sagt" } as const,
      inconclusive: { state: "open", text: "die Antwort wurde nachgerechnet, und nichts folgt daraus" } as const,
    }[audit];
    return [{ state: "passed", text: "vom Anbieter signiert" }, { state: "passed", text: "gilt genau dieser Frage und dieser Antwort" }, published, replayed];
  },
  checkState: { passed: "Bestanden", failed: "Gescheitert", open: "Offen" },
  saveReceipt: "Beleg",
  receiptGone: "Der Knoten hat diesen Beleg nicht mehr: Er bewahrt die letzten paar tausend auf, bis er anhält.",
  receiptGoneHere: "Der Browser hat diesen Beleg nicht mehr: Er bewahrt die der neuesten Antworten auf.",
  howToVerify: "So prüft man das",
  verifying: [
    "Der Anbieter hat einen Satz signiert: welche Frage (als Prüfsumme), welche Antwort (als Prüfsumme), welches Modell, wie viele Token, wann. Der eigene Knoten hat das mit dem verglichen, was er gesendet und empfangen hat, und es in dem Bündel gefunden, das der Anbieter veröffentlicht hat.",
    "Also kann der Anbieter diese Antwort nicht leugnen und unter demselben Beleg keine andere gegeben haben. Dass das Modell wirklich das genannte ist, beweist ein Beleg nicht: Das zeigt nur, wer die Antwort nachrechnet.",
  ],
  verifyFile: "Die Datei enthält Frage, Antwort, Beleg und den Weg zum Bündel. Wer sie hat, kann sie prüfen, ohne dieser Seite, dem eigenen Knoten oder dem Netz zu trauen:",
  verifyWithoutFile: "Der eigene Knoten gibt Belege nicht als Dateien heraus. Was er selbst geprüft hat, steht oben.",
  auditName: "Prüfung",
  audit: { unaudited: "ungeprüft", running: "wird nachgerechnet", audited: "geprüft", disputed: "bestritten", inconclusive: "offen" },
  auditLong: {
    unaudited: "Niemand hat diese Antwort nachgerechnet. Der Beleg bindet den Anbieter an seine Behauptung; ob sie stimmt, wurde nicht geprüft.",
    running: "Der eigene Knoten rechnet diese Antwort mit seiner Kopie des Modells nach.",
    audited: "Der eigene Knoten hat diese Antwort mit seiner Kopie des Modells nachgerechnet und gefunden, was der Anbieter behauptet.",
    disputed: "Der eigene Knoten hat diese Antwort mit seiner Kopie des Modells nachgerechnet und etwas anderes gefunden, als der Anbieter behauptet. Nicht darauf bauen.",
    inconclusive: "Der eigene Knoten hat diese Antwort nachgerechnet und kann nicht sagen, ob der Anbieter ehrlich ist.",
  },
  auditWhy: {
    not_opened: "Der Anbieter hat nicht gezeigt, was sein Beleg nennt; aus ihrem Wortlaut allein folgt nichts gegen ihn.",
    other_tokens: "Der Anbieter hat nicht gezeigt, was sein Beleg nennt, und das Modell hätte an Stellen anders gewählt, an denen ehrliche Rechner sich einig sind.",
    opened_otherwise: "Was der Anbieter gezeigt hat, ist nicht, was er unterschrieben hat.",
    not_replayed: "Die Antwort ließ sich nicht bis zum Ende nachrechnen.",
    cut_off: "Sie soll von selbst geendet haben, aber womit das Modell endet, fehlt: Sie wurde abgeschnitten.",
    other_answer: "Was der Anbieter gezeigt hat, gehört zu einer anderen Antwort.",
    as_honest: "Sie liegt so nahe, wie ehrliche Rechner einander kommen.",
    not_as_honest: "Sie liegt weiter entfernt, als ehrliche Rechner voneinander liegen.",
    uncalibrated: "Wie weit sich zwei ehrliche Rechner dieser Art bei solchen Antworten unterscheiden, wurde nicht gemessen, oder diese ist zu kurz, um es zu sagen.",
    beyond_rounding: "Wie weit sich zwei ehrliche Rechner dieser Art unterscheiden, wurde nicht gemessen, aber sie liegt weiter entfernt, als irgendein Runden erklärt.",
  },
  audits: "Prüfungen",
  auditsDetail: "Der eigene Knoten rechnet Antworten auf eigene Fragen nach, wo er das Modell hat, das geantwortet hat. Niemand sonst sieht davon etwas, außer er hat die Rolle des Prüfers oder zeigt Prüfern Antworten.",
  auditsNone: "Er hat noch niemanden geprüft.",
  auditsOf: ({ passed, failed, undecided, isConvicted, ratePercent }) => {
    const counts = `${number(passed)} bestanden · ${number(failed)} nicht bestanden · ${number(undecided)} offen`;
    return isConvicted ? `${counts} · verurteilt, wird nicht mehr gefragt` : `${counts} · ${number(Math.max(1, Math.round(ratePercent)))} % seiner Antworten werden geprüft`;
  },
  auditEvidence: ({ tokens, distance, impossible, isCanary }) =>
    [
      ...(tokens === null ? [] : [counted(tokens, "Token", "Token")]),
      ...(distance === null ? [] : [`${fine(distance)} Nat Abstand je Token`]),
      ...(impossible === null ? [] : [counted(impossible, "unmögliches Token", "unmögliche Token")]),
      ...(isCanary ? ["eine zum Prüfen ausgedachte Frage"] : []),
    ].join(" · "),
  auditedBy: (name) => `vom Prüfer ${name} festgestellt`,
  lastAudits: "Letzte Prüfungen",
  findings: "Was veröffentlicht ist",
  findingsAbout: (name) => `Was über ${name} veröffentlicht ist`,
  findingsOwn: "Was andere über diesen Knoten fanden",
  findingsOwnDetail: "Berichte, die Prüfer über Antworten dieses Knotens veröffentlicht haben. Wer einen Anbieter wählt, kann sie lesen.",
  findingsNone: "Niemand hat eine Prüfung seiner Antworten veröffentlicht.",
  findingsMore: "Ältere werden nicht gezeigt.",
  findingsFailing: "Was veröffentlicht ist, ließ sich nicht aus dem Netz lesen. Es wird wieder versucht.",
  findingsSummary: ({ reports, convictions, hasMore }) => {
    const of = (audit: string) => number(reports.filter((report) => report.audit === audit).length);
    const counts = `${of("audited")} bestanden · ${of("disputed")} nicht bestanden · ${of("inconclusive")} unentschieden`;
    return `${hasMore ? "Von den neuesten: " : ""}${counts}${convictions.length === 0 ? "" : ` · ${counted(convictions.length, "Verurteilung", "Verurteilungen")}`}`;
  },
  convicted: (ago, jurors) => `Verurteilt ${ago}: ${counted(jurors, "Geschworener hat", "Geschworene haben")} die Anklage bestätigt.`,
  isBelieved: "Der eigene Knoten vertraut genug dieser Geschworenen.",
  isNotBelieved: "Der eigene Knoten kennt zu wenige dieser Geschworenen, um das zu glauben.",
  appealed: (ago, { passed, failed }) =>
    `Der Anbieter hat ${ago} neue Geschworene verlangt: ${passed.length === 0 && failed.length === 0 ? "Noch hat niemand gesprochen" : `${counted(passed.length, "findet", "finden")} das versprochene Modell, ${number(failed.length)} dasselbe wie die ersten`}.`,
  isOverturned: "Der eigene Knoten vertraut genug von ihnen, um dem Urteil nicht zu glauben.",
  secondJury: "Berichte der neuen Geschworenen",
  jurorsReports: "Berichte der Geschworenen",
  theAccusation: "Die Anklage",
  theConviction: (author) => `Das Urteil, veröffentlicht von ${author}`,
  equivocated: (ago) => `Hat zwei Belege für eine Frage unterschrieben, gezeigt ${ago}.`,
  equivocationDetail: "Das beweist sich selbst: Niemandem muss geglaubt werden.",
  theProof: (author) => `Beide Belege, veröffentlicht von ${author}`,
  accused: (ago, author) => `Angeklagt ${ago} von ${author}.`,
  restsOn: (reports) => `Beruht auf ${counted(reports, "Bericht", "Berichten")}`,
  reports: "Berichte",
  reportedBy: (ago, author) => `${ago}, von ${author}`,
  evidence: "Beweis",
  report: "Bericht",
  verdict: "Urteil",
  verify: "Diese Antwort prüfen",
  isVerifying: "Der eigene Knoten rechnet nach…",
  notVerified: { what: "Die Prüfung fand nicht statt.", remedy: "Noch einmal versuchen, oder den Beleg speichern und anderswo prüfen." },
  agreementName: "Verglichen",
  agreement({ hasMajority, agreedTokens, voices }) {
    const answered = voices.filter(({ failed }) => failed === null);
    const agree = answered.filter(({ dissentsFrom }) => dissentsFrom === null).length;
    return hasMajority
      ? `${number(agree)} von ${number(answered.length)} sagen genau dies.`
      : `Keine Einigkeit: Mehr als die Hälfte haben nur ${counted(agreedTokens, "Token", "Token")} am Anfang gemeinsam. Dies ist eine von ${counted(answered.length, "Antwort", "Antworten")}.`;
  },
  voice: ({ isChosen, tokens, dissentsFrom, failed }) => {
    if (failed !== null) return "hat nicht geantwortet";
    const said = dissentsFrom === null ? "stimmt zu" : `weicht etwa ab Token ${number(dissentsFrom)} ab`;
    return `${said}, ${counted(tokens, "Token", "Token")}${isChosen ? ", hier gezeigt" : ""}`;
  },

  failure: {
    answer_broke: { what: "Die Antwort brach ab.", remedy: "Noch einmal fragen." },
    demands_unmet: { what: "Niemand, der antworten darf, erfüllt die Bedingungen.", remedy: "In den Einstellungen dieses Chats mehr Knoten zulassen." },
    image_unfit: { what: "Ein Bild ist nicht brauchbar.", remedy: "Ein anderes oder ein kleineres senden." },
    model_loading: { what: "Das Modell wird noch geladen.", remedy: "Gleich noch einmal fragen." },
    model_unusable: { what: "Das Modell passt nicht in den Speicher.", remedy: "Ein anderes entladen oder ein kleineres wählen." },
    no_way: { what: "Kein Weg zu einem Anbieter trägt diese Frage.", remedy: "Gleich noch einmal fragen, oder ohne Bilder und Einstellungen." },
    not_ready: { what: "Der eigene Knoten ist dem Netz noch nicht beigetreten.", remedy: "Warten, bis er bereit ist, dann noch einmal fragen." },
    routers_unmet: { what: "Kein Router ist bekannt, durch den sich die Frage verbergen ließe.", remedy: "Offen fragen, oder später noch einmal." },
    empty: { what: "Da ist keine Frage.", remedy: "Erst etwas schreiben." },
    too_long: { what: "Die Frage ist länger, als gesendet werden darf.", remedy: "Kürzen." },
    no_provider: { what: "Gerade stellt niemand dieses Modell bereit.", remedy: "Ein anderes Modell wählen oder später fragen." },
    not_sent: { what: "Die Frage ließ sich nicht senden.", remedy: "Noch einmal fragen." },
    disconnected: { what: "Die Verbindung zum eigenen Knoten brach ab.", remedy: "Sie wird wiederhergestellt; danach noch einmal fragen." },
    silent: { what: "Der Anbieter antwortet nicht.", remedy: "Einen anderen fragen." },
    gone: { what: "Der Anbieter verstummte mitten in der Antwort.", remedy: "Einen anderen fragen." },
    broken: { what: "Der Anbieter hat das Protokoll verletzt; seiner Antwort wird nicht getraut.", remedy: "Einen anderen fragen." },
    unknown_model: { what: "Der Anbieter stellt dieses Modell nicht mehr bereit.", remedy: "Einen anderen fragen." },
    busy: { what: "Die Schlange des Anbieters ist voll.", remedy: "Einen anderen fragen, oder später noch einmal." },
    prompt_too_long: { what: "Das Gespräch passt nicht mehr in den Kontext des Modells.", remedy: "Einen neuen Chat beginnen oder ein Modell mit mehr Kontext wählen." },
    malformed: { what: "Der Anbieter konnte die Frage nicht lesen.", remedy: "Die Seite neu laden; der eigene Knoten ist vielleicht älter." },
    draining: { what: "Der Anbieter hört gerade auf.", remedy: "Einen anderen fragen." },
    engine_failed: { what: "Beim Anbieter versagte die Rechnung.", remedy: "Einen anderen fragen." },
    unknown_request: { what: "Der Anbieter hat die Frage verloren.", remedy: "Noch einmal fragen." },
    not_admitted: { what: "Der Anbieter hält dich nicht für ein Mitglied dieses Netzes.", remedy: "Gleich noch einmal fragen, oder einen Gründer fragen, ob du ausgeschlossen wurdest." },
    cannot_see: { what: "Das Modell des Anbieters sieht keine Bilder.", remedy: "Einen anderen Anbieter fragen." },
    must_be_known: { what: "Der Anbieter antwortet nur denen, die er kennt.", remedy: "Einen anderen Anbieter fragen." },
    refused: { what: "Der eigene Knoten hat abgelehnt.", remedy: "Darunter sagt er, warum." },
    interrupted: { what: "Diese Antwort wurde unterbrochen.", remedy: "Ihr Tab wurde geschlossen oder der Rechner hielt an; noch einmal fragen." },
  },

  looking: "Schaut nach…",
  networkSummary: (peers, models, online) =>
    `${counted(peers, "Knoten stellt", "Knoten stellen")} ${counted(models, "Modell", "Modelle")} bereit${online === null ? "" : ` · ${number(online)} online`}`,
  networkFailing: "Der eigene Knoten antwortet nicht; was hier steht, kann alt sein.",
  networkEmpty: "Noch stellt in diesem Netz niemand ein Modell bereit. „ainonymous serve gemma-4-e4b“ teilt eines von einem Rechner mit gutem Prozessor.",
  graph: (peers, models) => `Bild von ${number(peers)} Knoten und ${counted(models, "Modell", "Modellen")}; die Tabelle darunter sagt dasselbe.`,
  graphLegend: "Weiter rechts ist weiter weg, nach der Umlaufzeit; eine Linie führt zu jedem Modell, das ein Knoten bereitstellt, dicker, wo er schneller ist.",
  graphLeft: (count) => `${counted(count, "weiter entfernter Knoten steht", "weiter entfernte Knoten stehen")} nur in der Tabelle.`,
  peers: "Knoten",
  peer: "Knoten",
  nameOf: ({ key, kinship }) => (kinship === "self" ? "Du" : shortKey(key)),
  kinship: { self: "dieser Knoten", own: "eigener", friend: "Freund", lan: "in der Nähe", public: "fremd" },
  speedName: "Tempo",
  claimedSpeed: (tokensPerS, isMeasured) => (tokensPerS === 0 ? "–" : isMeasured ? speed(tokensPerS) : `${speed(tokensPerS)} behauptet`),
  roundTrip: "Umlaufzeit",
  capacity: "Platz",
  capacityOf: ({ waiting, freeSlots, slots }: Peer) => {
    if (freeSlots !== null && slots !== null) return waiting ? counted(waiting, "wartet", "warten") : `${number(freeSlots)} von ${number(slots)} frei`;
    return waiting === null ? "unbekannt" : waiting === 0 ? "niemand wartet" : counted(waiting, "wartet", "warten");
  },
  notAnswering: "antwortete zuletzt nicht",
  routeTo: { self: "dieser Rechner", direct: "direkt", routed: "durch einen Router", signals: "durch Signale" },
  heardAgo: (ago) => `gehört ${ago}`,
  here: "hier",
  none: "keine",
  unknown: "unbekannt",
  notAsked: "noch nicht gefragt",
  notYet: "noch nicht",
  notJoined: "noch nicht beigetreten",
  networkId: "Netz",
  readAgo: "Gelesen",
  ownNetworks: "Eigene Netze",
  ownNetworksDetail: "Für Freunde, ein Haus, eine Firma: Dort fragen und antworten nur, die ein Gründer eingeladen hat. Ein Knoten ist immer in einem Netz.",
  ownNetworksElsewhere: [
    "Diese Seite läuft in einem Programm, das sein eigenes Holochain mitbringt. Sie fragt in dem Netz, für das dieses Programm gebaut wurde; wer darin ist, steht oben.",
    "Ein Netz auf Einladung braucht einen eigenen Knoten, denn zum Beitritt gehört ein Beweis, den nur „ainonymous“ zeigen kann. „ainonymous network create NAME“ macht eines, „ainonymous network join“ nimmt eine Einladung an; danach „ainonymous up --network NAME“ starten und die Adresse öffnen, die es ausgibt.",
  ],
  noOwnNetworks: "Dieser Knoten ist noch in keinem eigenen Netz. Eines machen und andere einladen, oder mit einer Einladung beitreten.",
  cannotChangeNetworks: "Dieser Knoten benutzt den Conductor eines anderen Programms und hat deshalb keine Schlüssel für eigene Netze. Ohne „--conductor“ starten.",
  makeNetwork: "Neues Netz",
  join: "Mit Einladung beitreten",
  joinNow: "Beitreten",
  joined: (name) => `Dieser Knoten kann jetzt „${name}“ beitreten. Veröffentlicht wurde noch nichts.`,
  madeNetwork: (name) => `„${name}“ ist gemacht, und du bist sein Gründer. Veröffentlicht wurde noch nichts.`,
  startIt: "Ein Knoten führt immer ein Netz. Diesen anhalten und so starten:",
  makeNow: "Machen",
  networkName: "Name, wie ihn alle Mitglieder sehen",
  networkNameExample: "Lesekreis",
  networkKind: "Wer beitritt, und wo man sich trifft",
  kinds: { public: "Öffentlich", private: "Auf Einladung", lan: "Auf Einladung, lokales Netz" },
  asksForWork: (bits: number) => `Wer neu ist, rechnet einmal, für ${bits} Bit: Der erste Start dauert länger.`,
  kindDetail: { private: "Die Knoten treffen sich an dem Server, den dieser Knoten benutzt.", lan: "Die Knoten finden sich im lokalen Netz; es geht ohne Internet." },
  isFounder: "du bist Gründer",
  isMember: "du bist Mitglied",
  runsHere: "läuft hier",
  invite: "Einladen",
  inviteTo: (name) => `In ${name} einladen`,
  inviteEnds: "Sie gilt",
  after: (seconds) => duration(seconds),
  inviteFor: "Nur für diesen Agenten (kann leer bleiben)",
  inviteForDetail: "Wer beitritt, bekommt den Schlüssel mit",
  makeInvite: "Einladung machen",
  inviteText: "Die Einladung, die du bekommen hast",
  inviteQr: "Die Einladung als QR-Code",
  copyInvite: "Einladung kopieren",
  inviteSecret: (expiresAtUs) =>
    `Wer diesen Text oder Code hat, kann bis ${new Date(expiresAtUs / 1_000).toLocaleString("de", { dateStyle: "medium", timeStyle: "short" })} beitreten. Auf einem Weg schicken, den nur der Empfänger liest; noch einmal gezeigt wird er nicht.`,
  invitePublic: "Das Netz ist öffentlich: Dies sagt, wo es ist, und ist kein Geheimnis.",
  membersOf: (name) => `Mitglieder von ${name}`,
  standingName: "Stand",
  standing: { founder: "Gründer", member: "Mitglied", unknown: "noch unbekannt", revoked: "ausgeschlossen" },
  cameWith: "Kam mit",
  withoutInvite: "ohne Einladung",
  online: "online",
  notOnline: "nicht online",
  invites: "Einladungen",
  inviteFacts({ leftS, agent, used, state }: IssuedInvite): string {
    const end = state === "open" ? `gilt noch ${duration(leftS)}` : state === "ended" ? "abgelaufen" : "lässt niemanden mehr ein";
    const came = used === 1 ? "1 Mitglied kam damit" : `${number(used)} Mitglieder kamen damit`;
    return [end, came, ...(agent === null ? [] : [`nur für ${shortKey(agent)}`])].join(" · ");
  },
  revoke: "Ausschließen",
  revokeNamed: (name) => `${name} ausschließen`,
  revokeAgentDetail: "Sobald die anderen davon hören, antwortet und fragt niemand diesen Agenten mehr, und laufende Antworten werden angehalten. Es gilt für immer: Wer wiederkommen soll, tritt als neuer Agent bei.",
  revokeInviteDetail: "Alle, die mit dieser Einladung kamen, werden ausgeschlossen, und niemand kann sie mehr annehmen. Es gilt für immer: Wer wiederkommen soll, braucht eine neue und tritt als neuer Agent bei.",
  revocation: { waiting: "wird veröffentlicht", revoked: "ausgeschlossen", refused: "abgelehnt" },

  ms: (ms) => `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1).replace(".", ",") : number(ms)} ms`,
  ago: (seconds) => (seconds < 2 ? "gerade eben" : `vor ${during(seconds)}`),

  nodeSummary: (status: Status) => {
    const phase = { starting: "startet", running: "läuft", degraded: "läuft, mit einem Problem", draining: "hört auf" }[status.phase.phase];
    return `${phase} seit ${during(status.uptime_s)}`;
  },
  nodeFailing: "Der Knoten antwortet nicht. Läuft er? „ainonymous status“ sagt es.",
  nodeStopped: "Der Knoten wurde angehalten. „ainonymous up“ startet ihn wieder; die Adresse öffnen, die es ausgibt.",
  runningNow: "Antworten in Arbeit",
  queuedNow: "Fragen warten",
  answeredForPeers: "für andere beantwortet",
  askedHere: "von hier gefragt",
  servedOverTime: "Für andere beantwortet",
  askedOverTime: "Von hier gefragt",
  plotTotal: (total, spanS) => (spanS === 0 ? "noch nichts" : `${number(total)} in ${during(spanS)}`),
  plotBar: (count, atS) => `${number(count)} bis ${new Date(atS * 1_000).toLocaleTimeString("de", { hour: "2-digit", minute: "2-digit" })}`,
  modelsHere: "Modelle auf diesem Rechner",
  noModelsHere: "Auf diesem Rechner ist kein Modell. Unten eines holen, oder „ainonymous pull gemma-4-e4b“.",
  modelHere(model: ModelEntry, local: LocalModel | undefined): string {
    const parts = [bytes(model.file_bytes), `${number(model.context_tokens)} Token Kontext`];
    if (local?.info !== undefined) {
      const { backend, backend_detail, gpu_layers, threads } = local.info;
      parts.push(backend_detail || backend);
      parts.push(gpu_layers > 0 ? `${counted(gpu_layers, "Schicht", "Schichten")} auf der GPU` : counted(threads, "Faden", "Fäden"));
    }
    if (local?.engine !== undefined) parts.push(`${number(local.engine.running)} laufen, ${number(local.engine.queued)} warten`);
    if (model.unloads_in_s !== null) parts.push(`verlässt den Speicher in ${duration(model.unloads_in_s)}`);
    return parts.join(" · ");
  },
  modelFailed: { what: "Das Modell ließ sich nicht laden.", remedy: "Noch einmal versuchen oder ein anderes wählen." },
  pullFailed: { what: "Das Modell ließ sich nicht holen.", remedy: "Noch einmal holen; was kam, bleibt." },
  degraded: { what: "Der Knoten läuft mit einem Problem.", remedy: "„ainonymous doctor“ sagt mehr." },
  modelState: { loaded: "geladen", loading: "lädt", unloaded: "auf der Platte", failed: "gescheitert" },
  load: "Laden",
  loading: "Lädt…",
  unload: "Entladen",
  pullTitle: "Ein Modell holen",
  pull: "Holen",
  pullName: "Name",
  pullHint: "Ein Name aus dem Katalog, „hf:Besitzer/Ablage“ oder eine Adresse. Geprüft wird mit der Prüfsumme, und es geht weiter, wo es aufhörte.",
  pulls: "Modelle, die kommen",
  offer: ({ about_bytes, memory_bytes, licence }: Offer) => `${bytes(about_bytes)}, braucht ${bytes(memory_bytes)} Speicher, ${licence}`,
  pullState({ state, phase, bytes_done, bytes_total }: Pull): string {
    if (state === "done") return "Geholt und geprüft.";
    if (state === "failed") return "Gescheitert; was kam, bleibt.";
    if (state === "cancelled") return "Abgebrochen; was kam, bleibt.";
    const part = bytes_total > 0 ? `${bytes(bytes_done)} von ${bytes(bytes_total)}` : bytes(bytes_done);
    return `${phase === "checking" ? "Wird geprüft" : "Kommt"}: ${part}`;
  },
  limits: "Was er gibt und nimmt",
  sharing: "Teilen",
  shares: "Andere dürfen die Modelle hier benutzen.",
  sharesNot: "Niemand außer dir benutzt die Modelle hier.",
  sharesPaused: "Pause: Fragen anderer werden abgelehnt.",
  refusedName: "Abgelehnt",
  receiptsName: "Belege",
  receiptsCounted: (published, checked) => `${number(published)} veröffentlicht, ${number(checked)} von anderen geprüft`,
  memory: "Speicher",
  memoryOf({ rss_bytes, models }: Status): string {
    const workers = models.reduce((sum, { engine }) => sum + (engine?.worker_rss_bytes ?? 0), 0);
    return `${rss_bytes === null ? "unbekannt" : bytes(rss_bytes)} für den Knoten, ${bytes(workers)} für die Modelle`;
  },
  version: "Version",
  pause: "Teilen aussetzen",
  resume: "Wieder teilen",
  pauseDetail: "Solange das Teilen ausgesetzt ist, werden Antworten in Arbeit fertig und neue Fragen anderer abgelehnt. Selbst fragen geht weiter.",
  stopNode: "Knoten anhalten",
  stopDetail: (running) =>
    `Neue Fragen werden abgelehnt, ${running === 0 ? "in Arbeit ist nichts" : `${counted(running, "Antwort", "Antworten")} in Arbeit bekommen ein paar Sekunden`}, Belege werden veröffentlicht, dann endet das Programm. Diese Seite geht dann nicht mehr.`,

  language: "Sprache",
  look: "Aussehen",
  looks: { system: "Wie das System", light: "Hell", dark: "Dunkel" },
  keptDetail: "Sie liegen in diesem Browser auf diesem Rechner und sonst nirgends. Wer dieses Browserprofil benutzen kann, kann sie lesen. Was ein Anbieter gelesen hat, macht Löschen nicht ungeschehen.",
  notKept: "Dieser Browser bewahrt nichts auf: Gespräche sind weg, wenn die Seite geschlossen wird.",
  export: "Als JSON ausgeben",
  import: "Einlesen",
  removeAll: "Alle Gespräche löschen",
  removeAllDetail: (count) => `${counted(count, "Gespräch wird", "Gespräche werden")} endgültig aus diesem Browser gelöscht.`,
  removedAll: "Alle Gespräche wurden gelöscht.",
  exported: (count) => `${counted(count, "Gespräch wurde", "Gespräche wurden")} ausgegeben.`,
  imported: (count) => `${counted(count, "Gespräch wurde", "Gespräche wurden")} eingelesen.`,
  importRefused: "Diese Datei enthält keine Gespräche dieser Seite.",
  privacy: "Wer mitliest",
  privacyDetail: "Der Knoten, der antwortet, liest die Frage und die Antwort. Beide sind unterwegs verschlüsselt und stehen nie offen in den gemeinsamen Daten. Vor dem Senden nennt eine Zeile, wer sie lesen wird.",
  waySidecar: "Diese Seite fragt durch den Knoten, der sie ausgeliefert hat: direkt, wo es geht, und zuerst den eigenen, wenn er das Modell hat.",
  wayConductor: "Diese Seite fragt durch den Conductor ihrer Umgebung: mit Signalen, die dem Anbieter den Schlüssel deines Agenten zeigen.",
  keyboard: "Tastatur",
  shortcuts: [
    ["Enter", "sendet die Frage"],
    ["Umschalt+Enter", "beginnt eine neue Zeile"],
    ["Esc", "hält die Antwort an oder beendet das Bearbeiten"],
    ["↑", "bearbeitet die letzte Frage, solange das Feld leer ist"],
    ["/", "führt zum Feld"],
    ["Strg+Umschalt+O", "beginnt einen neuen Chat"],
  ],
};
