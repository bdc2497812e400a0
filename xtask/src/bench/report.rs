//! The report as one HTML file: nothing is fetched, no script runs, and every bar is a few rectangles of SVG.

use super::Machine;
use crate::table::{Table, escape};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --soft: #5b6570; --line: #d6dbe1; --track: #e9edf1; --page: #fff;
  --one: #2f6fb3; --all: #3a9d82; --good: #2c8a4b; --bad: #c0392b; --other: #a3adb8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ed; --soft: #9aa5b1; --line: #343b43; --track: #262c33;
  --page: #14181c; --one: #6aa5e3; --all: #5fc9aa; --good: #57c27a; --bad: #f0796b; --other: #65707c; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 75rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } p { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
svg { vertical-align: middle; } .track { fill: var(--track); } .one { fill: var(--one); } .all { fill: var(--all); }
.good { fill: var(--good); } .bad { fill: var(--bad); } .other { fill: var(--other); }
.whisker { stroke: var(--text); stroke-width: 1; }
";

/// The whole page.
pub(super) fn html(machine: &Machine, tables: &[Table]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>downhill: measured speed</title>\n\
         <style>{STYLE}</style>\n<h1>downhill: measured speed</h1>\n<p>{}<br>\nCommit {}. {}</p>\n\
         <p>Times are medians, and a whisker is their 95 % confidence interval. \
         A bar is the share of what the machine itself did in the same run: its rate of multiply-adds on registers, \
         or one pass over memory.</p>\n{}",
        escape(&machine.description),
        escape(&machine.commit),
        escape(&machine.compiler),
        tables.iter().map(Table::html).collect::<String>(),
    )
}
