// Light or dark: the person's choice, else the system's.

export type Look = "system" | "light" | "dark";
const KEY = "ainonymous.look";

function kept(): Look {
  try {
    const look = localStorage.getItem(KEY);
    return look === "light" || look === "dark" ? look : "system";
  } catch {
    return "system";
  }
}

class Looks {
  #look: Look = $state(kept());

  get look(): Look {
    return this.#look;
  }

  set look(look: Look) {
    this.#look = look;
    try {
      localStorage.setItem(KEY, look);
    } catch {
      // It holds as long as the page.
    }
  }
}

export const looks = new Looks();
