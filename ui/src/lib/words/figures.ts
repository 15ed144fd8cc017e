// Numbers, sizes and times as a language writes them. Pure.

/** The beginning and the end of a key: enough to tell nodes apart. */
export function shortKey(key: string): string {
  return key.length > 14 ? `${key.slice(0, 8)}…${key.slice(-4)}` : key;
}

interface Units {
  readonly second: readonly [string, string];
  readonly minute: readonly [string, string];
  readonly hour: readonly [string, string];
  readonly day: readonly [string, string];
}

const units: Record<string, Units> = {
  en: { second: ["second", "seconds"], minute: ["minute", "minutes"], hour: ["hour", "hours"], day: ["day", "days"] },
  de: { second: ["Sekunde", "Sekunden"], minute: ["Minute", "Minuten"], hour: ["Stunde", "Stunden"], day: ["Tag", "Tage"] },
};

export interface Figures {
  number(value: number): string;
  /** To a thousandth. */
  fine(value: number): string;
  /** A count with its noun. */
  counted(count: number, one: string, many: string): string;
  /** Binary, as memory and files are sold by nobody but measured by everybody. */
  bytes(count: number): string;
  /** Thousandths of a credit, as credits. */
  credits(milli: number): string;
  /** The greatest whole unit. */
  duration(seconds: number): string;
}

export function figures(language: "en" | "de"): Figures {
  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const exact = new Intl.NumberFormat(language, { maximumFractionDigits: 3 });
  const short = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const names = units[language] as Units;
  const number = (value: number) => whole.format(value);
  const fine = (value: number) => exact.format(value);
  const counted = (count: number, one: string, many: string) => `${number(count)} ${count === 1 ? one : many}`;
  return {
    number,
    fine,
    counted,
    bytes(count) {
      const unit = ["B", "KiB", "MiB", "GiB", "TiB"];
      let [value, at] = [count, 0];
      for (; value >= 1_000 && at < unit.length - 1; at += 1) value /= 1_024;
      return `${(value < 10 && at > 0 ? short : whole).format(value)} ${unit[at]}`;
    },
    credits: (milli) => exact.format(milli / 1_000),
    duration(seconds) {
      const [size, name] =
        seconds < 100 ? ([1, names.second] as const) : seconds < 6_000 ? ([60, names.minute] as const) : seconds < 172_800 ? ([3_600, names.hour] as const) : ([86_400, names.day] as const);
      return counted(Math.round(seconds / size), name[0], name[1]);
    },
  };
}
