//! A QR code in characters. Two modules a line, light ones drawn: on a dark terminal it is the code, on a light one its
//! negative, which cameras read as well.

use fast_qr::{QRBuilder, ECL};

/// Light modules around the code.
const QUIET: usize = 2;

/// The code of a text as rows of modules, `1` for dark ones, without a margin; none if the text is too long for any.
pub(super) fn rows(text: &str) -> Option<Vec<String>> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let row = |y: usize| (0..code.size).map(|x| if code[y][x].value() { '1' } else { '0' }).collect();
    Some((0..code.size).map(row).collect())
}

/// The code of a text; none if the text is too long for any.
pub(super) fn draw(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let whole = code.size + 2 * QUIET;
    let light = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET..QUIET + code.size).contains(&at);
        y < whole && !(inside(x) && inside(y) && code[y - QUIET][x - QUIET].value())
    };
    let lines = (0..whole).step_by(2).map(|y| {
        let line = (0..whole).map(|x| match (light(x, y), light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        });
        line.collect::<String>()
    });
    Some(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_invite_fits_into_a_terminal() {
        let code = super::draw(&format!("AINONYMOUS-INVITE:{}", "A".repeat(420))).unwrap();
        let width = code.lines().next().unwrap().chars().count();
        assert!(width <= 80 && code.lines().all(|line| line.chars().count() == width), "{width}");
        assert_eq!(code.lines().count(), width.div_ceil(2));
        assert!(super::draw(&"a".repeat(10_000)).is_none());
    }

    #[test]
    fn rows_are_a_square_with_the_three_marks_of_every_code() {
        let rows = super::rows("AINONYMOUS-INVITE:AAAA").unwrap();
        assert!(rows.len() >= 21 && rows.iter().all(|row| row.len() == rows.len()));
        let end = rows.len() - 7;
        for (y, x) in [(0, 0), (0, end), (end, 0)] {
            assert_eq!([&rows[y][x..x + 7], &rows[y + 3][x..x + 7]], ["1111111", "1011101"], "{y} {x}");
        }
        assert!(super::rows(&"a".repeat(10_000)).is_none());
    }
}
