// Which language the page speaks: the person's choice, else the browser's.
import { de } from "./de";
import { en } from "./en";
import type { Catalogue } from "./en";

export const languages = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof languages;

const catalogues: Record<Language, Catalogue> = { en, de };
const KEY = "ainonymous.language";

function isLanguage(name: string | null | undefined): name is Language {
  return name === "en" || name === "de";
}

function kept(): Language | null {
  try {
    const name = localStorage.getItem(KEY);
    return isLanguage(name) ? name : null;
  } catch {
    return null;
  }
}

function ofBrowser(): Language {
  const wanted = typeof navigator === "undefined" ? [] : (navigator.languages ?? []);
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find(isLanguage) ?? "en";
}

class Words {
  #language: Language = $state(kept() ?? ofBrowser());

  get language(): Language {
    return this.#language;
  }

  set language(language: Language) {
    this.#language = language;
    try {
      localStorage.setItem(KEY, language);
    } catch {
      // It holds as long as the page.
    }
  }

  get t(): Catalogue {
    return catalogues[this.#language];
  }
}

export const words = new Words();
