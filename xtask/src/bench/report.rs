//! The report as one HTML file: nothing is fetched, no script runs, and every bar is a few rectangles of SVG.

use std::fmt::Write as _;

use super::building::{Build, Development, wanted};
use super::contest::Contest;
use super::measurement::{Measurement, SUITES};
use super::table::{count, significant, time};
use super::verdict::{Change, LEAST, Verdict};
use super::{Comparison, Run};

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --soft: #5b6570; --line: #d6dbe1; --track: #e9edf1; --page: #fff;
  --one: #2f6fb3; --all: #3a9d82; --good: #2c8a4b; --bad: #c0392b; --other: #a3adb8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ed; --soft: #9aa5b1; --line: #343b43; --track: #262c33;
  --page: #14181c; --one: #6aa5e3; --all: #5fc9aa; --good: #57c27a; --bad: #f0796b; --other: #65707c; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 75rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } p, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; }
svg { vertical-align: middle; } .track { fill: var(--track); } .one { fill: var(--one); } .all { fill: var(--all); }
.good { fill: var(--good); color: var(--good); } .bad { fill: var(--bad); color: var(--bad); }
.other { fill: var(--other); } .whisker, .axis { stroke: var(--text); stroke-width: 1; }
.axis { stroke: var(--soft); }
";

/// The width of a bar that is full.
const FULL: f64 = 220.0;

/// The whole page.
pub(super) fn html(run: &Run) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>downhill: measured speed</title>\n\
         <style>{STYLE}</style>\n<h1>downhill: measured speed</h1>\n<p>{}<br>\nCommit {}. {}</p>\n\
         <p>Times are medians, and a whisker is their 95 % confidence interval. \
         A bar is the share of what the machine itself did in the same run: its rate of multiply-adds on registers, \
         or one pass over memory.</p>\n",
        escape(&run.machine.description),
        escape(&run.machine.commit),
        escape(&run.machine.compiler),
    );
    if let Some(comparison) = &run.comparison {
        changes(&mut page, comparison);
    }
    if !run.contests.is_empty() {
        contests(&mut page, &run.contests);
    }
    if !run.builds.is_empty() {
        builds(&mut page, &run.builds);
        development(&mut page, &run.development);
    }
    for (suite, title) in SUITES {
        let lines: Vec<&Measurement> = run.measured.iter().filter(|line| line.suite() == suite).collect();
        if !lines.is_empty() {
            table(&mut page, title, &lines, run);
        }
    }
    page
}

fn builds(page: &mut String, builds: &[Build]) {
    open_table(page, "Release builds from nothing", &["", "seconds", "wanted", "stripped, MB"]);
    for build in builds {
        let (name, seconds) = (escape(&build.name), significant(build.seconds));
        let _ = writeln!(page, "<tr><td>{name}<td>{seconds}<td>{}<td>{}", wanted(build.wanted), build.megabytes());
    }
    close_table(page);
}

fn development(page: &mut String, lines: &[Development]) {
    open_table(page, "Development builds of an application of its own", &["", "measured", "wanted"]);
    for line in lines {
        let (name, measured) = (escape(line.name), line.measured());
        let _ = writeln!(page, "<tr><td>{name}<td>{measured}<td>{}", wanted(line.wanted));
    }
    close_table(page);
}

fn table(page: &mut String, title: &str, lines: &[&Measurement], run: &Run) {
    let head = ["", "threads", "time", "samples", "rate", "share of the ceiling"];
    open_table(page, title, &head);
    for line in lines {
        let share = run.ceilings.share(line);
        let samples = line.samples().map_or_else(String::new, |samples| format!("{}/s", count(samples)));
        let class = if line.threads == 1 { "one" } else { "all" };
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{samples}<td>{} {}<td>{:.0} % {}",
            escape(line.label()),
            line.threads,
            time(line.time.median),
            significant(line.rate() / 1e9),
            line.unit(),
            100.0 * share,
            share_bar(line, share, class),
        );
    }
    close_table(page);
}

/// The share, and by a whisker the share at either end of the interval. What goes beyond the ceiling is cut off.
fn share_bar(line: &Measurement, share: f64, class: &str) -> String {
    let at = |share: f64| (FULL * share.clamp(0.0, 1.0)).round();
    let end = |seconds: f64| at(share * line.time.median / seconds);
    format!(
        "<svg width=\"{FULL}\" height=\"14\" role=\"img\" aria-label=\"{:.0} %\">\
         <rect class=\"track\" width=\"{FULL}\" height=\"14\" rx=\"2\"/>\
         <rect class=\"{class}\" width=\"{}\" height=\"14\" rx=\"2\"/>\
         <path class=\"whisker\" d=\"M{} 7H{}\"/></svg>",
        100.0 * share,
        at(share),
        end(line.time.upper),
        end(line.time.lower),
    )
}

fn changes(page: &mut String, comparison: &Comparison) {
    let title = format!("Against {}", comparison.name);
    open_table(page, &title, &["", "threads", "then", "now", "times as fast", "", "verdict"]);
    for change in &comparison.changes {
        let class = match change.verdict {
            Verdict::Faster => "good",
            Verdict::Slower => "bad",
            Verdict::WithinNoise => "other",
        };
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{:.2}<td>{}<td class=\"{class}\">{}",
            escape(&change.after.name),
            change.after.threads,
            time(change.before.median),
            time(change.after.time.median),
            change.ratio,
            change_bar(change, class),
            change.verdict,
        );
    }
    close_table(page);
    let _ = writeln!(
        page,
        "<p>A line is called faster or slower where the two intervals have no point in common, and the medians differ \
         by more than {:.0} % and by more than the machine's own ceiling has moved.</p>",
        100.0 * (LEAST - 1.0)
    );
}

/// From the middle, as fast as before, to the right where it is faster; a half and twice as fast are the ends.
fn change_bar(change: &Change, class: &str) -> String {
    let middle = FULL / 2.0;
    let end = middle * (1.0 + change.ratio.log2().clamp(-1.0, 1.0));
    format!(
        "<svg width=\"{FULL}\" height=\"14\" role=\"img\" aria-label=\"{:.2}\">\
         <rect class=\"track\" width=\"{FULL}\" height=\"14\" rx=\"2\"/>\
         <rect class=\"{class}\" x=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>\
         <path class=\"axis\" d=\"M{middle} 0V14\"/></svg>",
        change.ratio,
        end.min(middle),
        (end - middle).abs(),
    )
}

fn contests(page: &mut String, contests: &[Contest]) {
    let _ = writeln!(page, "<h2>Beside other libraries</h2>");
    let versions = contests.iter().flat_map(|contest| &contest.entries).map(|entry| entry.library.as_str());
    let mut versions: Vec<&str> = versions.collect();
    versions.sort_unstable();
    versions.dedup();
    let _ = writeln!(
        page,
        "<p>The same shapes, start and data on every side; rounds in turn, and their medians. {}.</p>",
        escape(&versions.join(", "))
    );
    for contest in contests {
        let _ = writeln!(page, "<h3>{}, {}</h3>", escape(&contest.name), super::threads(contest.threads));
        let slowest = contest.entries.iter().map(|entry| entry.time.median).fold(0.0, f64::max);
        let height = 20 * contest.entries.len();
        let _ = write!(page, "<div class=\"wide\"><svg width=\"720\" height=\"{height}\" role=\"img\">");
        for (row, entry) in contest.entries.iter().enumerate() {
            let y = 20 * row;
            let width = (400.0 * entry.time.median / slowest).max(1.0);
            let class = match (entry.agrees, entry.is_ours()) {
                (false, _) => "bad",
                (true, true) => "one",
                (true, false) => "other",
            };
            let note = if entry.agrees { "" } else { " (does other work)" };
            let _ = write!(
                page,
                "<text x=\"170\" y=\"{}\" text-anchor=\"end\" fill=\"currentColor\">{}</text>\
                 <rect class=\"{class}\" x=\"180\" y=\"{}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"currentColor\">{}{note}</text>",
                y + 15,
                escape(&entry.peer),
                y + 3,
                186.0 + width,
                y + 15,
                time(entry.time.median),
            );
        }
        let _ = writeln!(page, "</svg></div>");
        if let Some((best, ratio)) = contest.best_peer() {
            let _ = writeln!(page, "<p>{} × as fast as {}.</p>", significant(ratio), escape(&best.peer));
        }
    }
}

fn open_table(page: &mut String, title: &str, head: &[&str]) {
    let head: String = head.iter().map(|title| format!("<th>{title}")).collect();
    let _ = writeln!(page, "<h2>{}</h2>\n<div class=\"wide\"><table>\n<tr>{head}", escape(title));
}

fn close_table(page: &mut String) {
    page.push_str("</table></div>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::measurement::Ceilings;
    use super::super::measurement::tests::measurement;
    use super::super::verdict::compare;
    use super::super::{Machine, Run};
    use super::*;

    #[test]
    fn the_page_holds_every_line_and_asks_for_nothing() {
        let measured =
            vec![measurement("ceiling/multiply-add f32", 1, [1.0; 3]), measurement("step/a < b", 1, [2.0; 3])];
        let before = [measured[0].clone(), measurement("step/a < b", 1, [3.0; 3])];
        let ceilings = Ceilings::of(&measured).unwrap();
        let changes = compare(&before, &measured, [&Ceilings::of(&before).unwrap(), &ceilings]);
        let run = Run {
            machine: Machine { description: "a \"machine\"".into(), commit: "c".into(), compiler: "r".into() },
            ceilings,
            measured,
            memory: Vec::new(),
            builds: vec![Build { name: "a <b>".into(), seconds: 31.0, wanted: None, bytes: None }],
            development: vec![Development { name: "rebuild", value: 4.2, unit: "s", wanted: Some(4.0) }],
            comparison: Some(Comparison { name: "before".into(), changes }),
            contests: Vec::new(),
        };
        let page = html(&run);
        for part in [
            "a &quot;machine&quot;",
            "a &lt; b",
            "50 % <svg",
            "Against before",
            "1.50",
            "faster",
            "a &lt;b&gt;<td>31.0<td>–<td>–",
            "rebuild<td>4.20 s<td>4.00",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        for part in ["<script", "http", "src=", "@import"] {
            assert!(!page.contains(part), "{part} in {page}");
        }
    }
}
