//! Reads from the output of test runners how many tests passed and failed.
//!
//! It knows four dialects: nextest, libtest, vitest, and a plain `N passed, N failed`.

use std::ops::AddAssign;

/// Tests that passed and failed, and those that passed at a second try only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed.
    pub(crate) failed: u64,
    /// Of those that passed, how many failed before.
    pub(crate) retried: u64,
}

impl Count {
    /// A check that is one test by itself.
    pub(crate) const ONE_PASSED: Self = Self { passed: 1, failed: 0, retried: 0 };

    /// Passed and failed.
    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.retried += other.retried;
    }
}

/// Sums over libtest's lines; of the others the last line counts.
pub(crate) fn read(output: &str) -> Count {
    let mut libtest = Count::default();
    let mut last = None;
    for line in output.lines().map(str::trim) {
        if line.starts_with("test result:") {
            libtest += numbers(line);
        } else if is_summary(line) {
            last = Some(numbers(line));
        }
    }
    last.unwrap_or(libtest)
}

/// Tests of nextest that passed at the second try.
pub(crate) fn retried(output: &str) -> impl Iterator<Item = &str> {
    let after = |line: &str| line.rfind(") ").map_or(0, |at| at + 2);
    output.lines().filter(|line| line.trim_start().starts_with("FLAKY")).map(move |line| line[after(line)..].trim())
}

/// `Summary [ 1.2s] 3 tests run: 3 passed`, `Tests  3 passed (3)`, `3 passed, 0 failed`.
fn is_summary(line: &str) -> bool {
    let begins = line.starts_with("Summary [") || line.starts_with("Tests ");
    let plain = line.chars().next().is_some_and(|c| c.is_ascii_digit())
        && line
            .split_whitespace()
            .nth(1)
            .is_some_and(|word| matches!(word.trim_end_matches([',', ';']), "passed" | "failed"));
    begins || plain
}

fn numbers(line: &str) -> Count {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || ",;()|".contains(c)).filter(|w| !w.is_empty()).collect();
    let before = |name: &str| {
        words.windows(2).find(|pair| pair[1] == name).and_then(|pair| pair[0].parse::<u64>().ok()).unwrap_or(0)
    };
    Count { passed: before("passed"), failed: before("failed") + before("timed"), retried: before("flaky") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_read() {
        for (output, passed, failed) in [
            ("     Summary [   4.208s] 12 tests run: 11 passed (1 slow), 1 failed, 3 skipped\n", 11, 1),
            ("Summary [ 0.1s] 2 tests run: 1 passed, 1 timed out, 0 skipped", 1, 1),
            (
                "test result: ok. 3 passed; 0 failed; 0 ignored\nx\ntest result: FAILED. 4 passed; 2 failed; 0 ignored",
                7,
                2,
            ),
            (" Test Files  1 passed (1)\n      Tests  2 failed | 30 passed (32)\n", 30, 2),
            ("ok chat\n7 passed, 0 failed\n", 7, 0),
            ("7 passed (3.1s)\n", 7, 0),
            ("nothing here", 0, 0),
        ] {
            assert_eq!(read(output), Count { passed, failed, retried: 0 }, "{output}");
        }
    }

    #[test]
    fn whoever_needed_a_second_try_is_counted_and_named() {
        let output = "     Summary [   9.1s] 3 tests run: 3 passed (1 slow, 1 flaky), 0 skipped\n   \
                      FLAKY 2/2 [   0.1s] (2/3) ainonymous-e2e::chat an_answer_comes\n";
        assert_eq!(read(output), Count { passed: 3, failed: 0, retried: 1 });
        assert_eq!(retried(output).collect::<Vec<_>>(), ["ainonymous-e2e::chat an_answer_comes"]);
    }
}
