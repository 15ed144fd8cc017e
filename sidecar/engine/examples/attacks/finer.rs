//! Eight bits served as sixteen: the tests' model in place of what it may have been rounded from, judged by the table of that.

use crate::deeds::Deed;
use crate::providers::{attack, Attack, Lab};
use crate::row::Row;
use crate::score::{row, Fair, Tables};
use crate::{Files, Relatives};

const ATTACKS: [Attack; 2] = [
    attack("q8_0 served as f16", Deed::CheaperQuantisation, 90, "its own fingerprint"),
    attack(
        "q8_0 served as f16, laundered",
        Deed::CheaperLaundered,
        0,
        "the right model's fingerprint: only margins speak",
    ),
];

/// What becomes of the honest, and a row for each attack.
pub(crate) async fn rows(files: &Files<'_>, relatives: Relatives<'_>, answers: u64) -> (Fair, Vec<Row>) {
    let Relatives { tuned: _, finer, finer_table } = relatives;
    let table = Tables::read(finer_table, finer).ordinary();
    let lab =
        Lab::open(&Files { model: finer, cheaper: files.model, table: finer_table, relatives: None, ..*files }).await;
    let fair = Fair::of(&table, &lab.honest(answers).await);
    let mut rows = Vec::new();
    for attack in ATTACKS {
        let outcomes = lab.attack(attack, answers).await;
        rows.push(row(&attack, &table, &outcomes, &fair));
    }
    lab.close().await;
    (fair, rows)
}
