// Every text of the page in German.
import type { Answer } from "../chat/answer";
import type { BackendState, Model, Peer, Provider, Readers, ReceiptState, Statement } from "../chat/backend";
import type { Unfit } from "../chat/files";
import type { LocalModel, ModelEntry, Offer, Pull, Status } from "../sidecar/types";
import type { Catalogue, Told } from "./en";
import { figures, shortKey } from "./figures";

const { number, bytes, duration, counted } = figures("de");

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
    }
  },

  options: "Systemprompt und Parameter",
  systemPrompt: "Systemprompt",
  systemPlaceholder: "Woran sich das Modell in diesem Gespräch halten soll",
  option: { temperature: "Temperatur", topP: "Top p", topK: "Top k", maxTokens: "Längste Antwort, in Token", seed: "Startwert" },
  usual: "wie es kommt",
  optionsDetail: "Leere Felder bedeuten das Übliche. Sie gelten für dieses Gespräch.",
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
  auditName: "Prüfung",
  audit: { unaudited: "ungeprüft", audited: "geprüft", disputed: "bestritten" },
  auditLong: {
    unaudited: "Niemand hat diese Antwort nachgerechnet. Der Beleg bindet den Anbieter an seine Behauptung; ob sie stimmt, wurde nicht geprüft.",
    audited: "Andere haben diese Antwort nachgerechnet und gefunden, was der Anbieter behauptet.",
    disputed: "Andere haben diese Antwort nachgerechnet und etwas anderes gefunden, als der Anbieter behauptet.",
  },

  failure: {
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
    refused: { what: "Der eigene Knoten hat die Frage abgelehnt.", remedy: "Darunter sagt er, warum." },
    interrupted: { what: "Diese Antwort wurde unterbrochen.", remedy: "Ihr Tab wurde geschlossen oder der Rechner hielt an; noch einmal fragen." },
  },

  looking: "Schaut nach…",
  networkSummary: (peers, models, online) =>
    `${counted(peers, "Knoten stellt", "Knoten stellen")} ${counted(models, "Modell", "Modelle")} bereit${online === null ? "" : ` · ${number(online)} online`}`,
  networkFailing: "Der eigene Knoten antwortet nicht; was hier steht, kann alt sein.",
  networkEmpty: "Noch stellt in diesem Netz niemand ein Modell bereit. „ainonymous serve gemma-4-e4b“ teilt eines von einem Rechner mit gutem Prozessor.",
  networkOwn: "Ein eigenes Netz, für Freunde oder eine Firma, entsteht auf der Kommandozeile; dies druckt eine Einladung mit QR-Code:",
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
  heard: "Gehört",
  here: "hier",
  now: "jetzt",
  none: "keine",
  unknown: "unbekannt",
  notAsked: "noch nicht gefragt",
  notYet: "noch nicht",
  notJoined: "noch nicht beigetreten",
  networkId: "Netz",
  readAgo: "Gelesen",
  ms: (ms) => `${ms < 10 && !Number.isInteger(ms) ? ms.toFixed(1).replace(".", ",") : number(ms)} ms`,
  ago: (seconds) => (seconds < 2 ? "gerade eben" : `vor ${duration(seconds).replace(/Tage$/, "Tagen")}`),

  nodeSummary: (status: Status) => {
    const phase = { starting: "startet", running: "läuft", degraded: "läuft, mit einem Problem", draining: "hört auf" }[status.phase.phase];
    return `${phase} seit ${duration(status.uptime_s).replace(/Tage$/, "Tagen")}`;
  },
  nodeFailing: "Der Knoten antwortet nicht. Läuft er? „ainonymous status“ sagt es.",
  nodeStopped: "Der Knoten wurde angehalten. „ainonymous up“ startet ihn wieder; die Adresse öffnen, die es ausgibt.",
  runningNow: "Antworten in Arbeit",
  queuedNow: "Fragen warten",
  answeredForPeers: "für andere beantwortet",
  askedHere: "von hier gefragt",
  servedOverTime: "Für andere beantwortet",
  askedOverTime: "Von hier gefragt",
  plotTotal: (total, spanS) => (spanS === 0 ? "noch nichts" : `${number(total)} in ${duration(spanS).replace(/Tage$/, "Tagen")}`),
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
  modelState: { loaded: "geladen", loading: "lädt", unloaded: "auf der Platte", failed: "gescheitert" },
  load: "Laden",
  loading: "Lädt…",
  unload: "Entladen",
  pullTitle: "Ein Modell holen",
  pull: "Holen",
  pullName: "Name",
  pullHint: "Ein Name aus dem Katalog, „hf:Besitzer/Ablage“ oder eine Adresse. Geprüft wird mit der Prüfsumme, und es geht weiter, wo es aufhörte.",
  pulls: "Modelle, die kommen",
  offer: ({ about_bytes, memory_bytes, note }: Offer) => `${bytes(about_bytes)}, braucht ${bytes(memory_bytes)} Speicher. ${note}`,
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
