use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use downhill_data::Table;
use downhill_model::Model;
use downhill_plot::ModelReport;
use downhill_train::StopHandle;
use serde::Serialize;

use crate::CliError;
use crate::args::{Cli, Train};
use crate::commands::evaluate::{report_place, write_verdict};
use crate::judge::{Judge, Verdict};
use crate::learn::{Learnt, learn, rows_of_known_classes, split, with_target};
use crate::look::{Findings, look};
use crate::output::{FAINT, GOOD, Line, TITLE, bytes, check_free, in_input, is_stream, number, open, styled};
use crate::output::{check_place, printable, table_options, write_json, write_table};
use crate::recipe::Recipe;
use crate::search::{Tried, cross_validate, search};
use crate::session::Session;
use crate::settings::{Settings, Task};

/// The share of rows that are kept to judge by, unless set.
const HOLDOUT: f64 = 0.2;

/// All that a training has to tell.
#[derive(Serialize)]
struct Report<'r> {
    data: &'r Path,
    found: &'r Findings,
    recipe: &'r Recipe,
    /// The processes that each batch was shared among.
    ranks: usize,
    tried: &'r [Tried],
    judged: &'r Judged,
    rows: usize,
    epochs: &'r [u64],
    losses: &'r [f64],
    interrupted: bool,
    seconds: f64,
    model: &'r Path,
    bytes: u64,
}

/// How the recipe was judged.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "by", content = "verdicts")]
enum Judged {
    Holdout(Box<Verdict>),
    Folds(Vec<Verdict>),
    Nothing,
}

pub(super) fn train(args: &Train, cli: &Cli, session: Session<'_>, out: &mut dyn Write) -> Result<(), CliError> {
    let start = Instant::now();
    let file = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let settings = args.settings.clone().or(file);
    if session.count() > 1 && is_stream(&args.data) {
        return Err(CliError::StreamOnRanks);
    }
    let options = table_options(settings.delimiter.as_deref())?;
    let table = options.read(open(&args.data)?).map_err(in_input(&args.data))?;
    let found = look(&table, &settings)?;
    // Until here Ctrl-C ends the program.
    let session = session.stop_handle(StopHandle::on_interrupt()?);
    // What is written is written by one process for all.
    let is_first = session.is_first();
    let report = args.report.as_deref().filter(|_| is_first);
    let path = args.output.clone().unwrap_or_else(|| file_name(&found.target));
    if is_first {
        check_free(&path, args.force)?;
    }
    let table = with_target(&table, &found)?;
    let first = Recipe::choose(&settings, found.task, table.len())?;
    check_judging(&settings)?;
    if is_first {
        check_place(&path)?;
    }
    if let Some(report) = report {
        check_reporting(report, &settings)?;
        report_place(report, args.force)?;
    }
    let text = !cli.json;
    if text {
        write_findings(out, &args.data, &found)?;
    }
    let mut line = Line::new(cli.quiet, &session);
    let judgement = judge(&table, &found, &settings, first, report, &mut line, &session)?;
    let Judgement { recipe, tried, judged, interrupted } = judgement;
    if text {
        line.clear();
        write_recipe(out, &recipe, &tried, session.count())?;
        write_judged(out, &judged, settings.unit.as_deref())?;
        match (report, &judged) {
            (Some(path), Judged::Holdout(_)) => {
                writeln!(out, "{} of these rows.\n", styled(GOOD, format!("Wrote {}", path.display())))?;
            }
            (Some(path), _) => writeln!(out, "{} is not written, for the same reason.\n", path.display())?,
            (None, _) => {}
        }
    }
    let learnt = match interrupted {
        Some(learnt) => *learnt,
        None => learn(&table, &found, &recipe, &mut |progress| line.show("training on all rows", progress), &session)?,
    };
    line.clear();
    if !is_first {
        return Ok(());
    }
    let model = finished(&learnt, &recipe, &settings, &args.data)?;
    model.save(&path)?;
    let bytes_of_file = fs::metadata(&path).map_err(|cause| CliError::read(&path, cause))?.len();
    let seconds = start.elapsed().as_secs_f64();
    if !text {
        let Learnt { rows, epochs, losses, interrupted, .. } = &learnt;
        let report = Report {
            data: &args.data,
            found: &found,
            recipe: &recipe,
            ranks: session.count(),
            tried: &tried,
            judged: &judged,
            rows: *rows,
            epochs,
            losses,
            interrupted: *interrupted,
            seconds,
            model: &path,
            bytes: bytes_of_file,
        };
        return write_json(out, &report);
    }
    if let Some(said) = interruption(&learnt, &recipe) {
        writeln!(out, "{} {said}; the network is saved as it is.", styled(TITLE, "Interrupted:"))?;
    }
    let saved = styled(GOOD, format!("Saved {}", path.display()));
    let (size, rows) = (bytes(bytes_of_file), learnt.rows);
    let rows = if rows == table.len() { format!("all {rows} rows") } else { format!("{rows} of {} rows", table.len()) };
    writeln!(out, "{saved} ({size}), which has learnt from {rows}, in {seconds:.1} s.")?;
    let next = format!("Ask it: downhill predict {} --data FILE", path.display());
    Ok(writeln!(out, "{}", styled(FAINT, next))?)
}

/// The model with what the command knows about it.
fn finished(learnt: &Learnt, recipe: &Recipe, settings: &Settings, data: &Path) -> Result<Model, CliError> {
    let model = learnt.model.clone();
    let unit = settings.unit.as_ref().filter(|_| model.class_names().is_empty());
    let mut builder = model.into_builder().note("trained on", named(data));
    builder = builder.note("rows", learnt.rows.to_string()).units(unit);
    if let Some(said) = interruption(learnt, recipe) {
        builder = builder.note("interrupted", said);
    }
    Ok(builder.build()?)
}

/// Checks how the recipe is to be judged.
fn check_judging(settings: &Settings) -> Result<(), CliError> {
    let error = |setting, value, reason| Err(CliError::Setting { setting, value, reason });
    match (settings.holdout, settings.folds) {
        (Some(share), _) if !(0.0..1.0).contains(&share) => {
            error("holdout", share.to_string(), "it must be at least 0 and less than 1")
        }
        (_, Some(folds)) if folds < 2 => error(
            "folds",
            folds.to_string(),
            "it must be 2 or more, so that there are rows to learn from and to judge by",
        ),
        _ => Ok(()),
    }
}

/// Checks that there will be rows to report on, which no network has seen that learns from others.
fn check_reporting(report: &Path, settings: &Settings) -> Result<(), CliError> {
    let reason = match (settings.folds, settings.holdout) {
        (Some(_), _) => "it is of the rows that are kept to judge by, which folds do without; leave `--folds` out",
        (_, Some(0.0)) => "it is of the rows that are kept to judge by, but `--holdout 0` keeps none",
        _ => return Ok(()),
    };
    Err(CliError::Setting { setting: "report", value: report.display().to_string(), reason })
}

/// How far training came, if Ctrl-C ended it.
fn interruption(learnt: &Learnt, recipe: &Recipe) -> Option<String> {
    let (done, all) = (learnt.epochs.iter().sum::<u64>(), recipe.epochs * recipe.members as u64);
    learnt.interrupted.then(|| format!("training was stopped after {done} of {all} epochs"))
}

/// What judging has come to.
struct Judgement {
    recipe: Recipe,
    tried: Vec<Tried>,
    judged: Judged,
    /// What was judged, if its training was interrupted, so that it is what will be saved.
    interrupted: Option<Box<Learnt>>,
}

/// Chooses the recipe and judges it, on rows that neither the choice nor the network has seen.
fn judge(
    table: &Table,
    found: &Findings,
    settings: &Settings,
    first: Recipe,
    report: Option<&Path>,
    line: &mut Line,
    session: &Session<'_>,
) -> Result<Judgement, CliError> {
    let search = |table: &Table, line: &mut Line| {
        search(table, found, settings, first.clone(), &mut |progress| line.show("comparing recipes", progress), session)
    };
    if let Some(folds) = settings.folds {
        let mut watch = |progress| line.show("judging by folds", progress);
        let verdicts = cross_validate(table, found, &first, folds, Some(settings), &mut watch, session)?;
        let (recipe, tried) = search(table, line)?;
        return Ok(Judgement { recipe, tried, judged: Judged::Folds(verdicts), interrupted: None });
    }
    let share = settings.holdout.unwrap_or(HOLDOUT);
    let kept = (table.len() as f64 * share).round() as usize;
    let too_few = kept == 0 || table.len() - kept < crate::learn::LEAST_ROWS;
    let (rest, kept) = if too_few {
        (table.clone(), None)
    } else {
        let (rest, kept) = split(table, found, share, first.seed)?;
        (rest, Some(kept))
    };
    let (recipe, tried) = search(&rest, line)?;
    let Some(kept) = kept else { return Ok(Judgement { recipe, tried, judged: Judged::Nothing, interrupted: None }) };
    let learnt = learn(&rest, found, &recipe, &mut |progress| line.show("training to be judged", progress), session)?;
    let mut judge = Judge::new(&learnt.model)?;
    let schema = learnt.model.schema().ok_or(CliError::NoColumns)?;
    let judged = match rows_of_known_classes(schema, &found.target, &kept)? {
        Some(kept) => {
            judge.add(&kept)?;
            if let Some(path) = report {
                let model = learnt.model.clone();
                let unit = settings.unit.as_ref().filter(|_| model.class_names().is_empty());
                let model = model.into_builder().units(unit).build()?;
                let mut report = ModelReport::new(&model)?;
                report.add(&kept)?;
                report.save(path)?;
            }
            Judged::Holdout(Box::new(judge.verdict()))
        }
        None => Judged::Nothing,
    };
    let interrupted = learnt.interrupted.then(|| Box::new(learnt));
    Ok(Judgement { recipe, tried, judged, interrupted })
}

/// The name of a model's file, if none was given.
fn file_name(target: &str) -> PathBuf {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let name: String = target.chars().map(safe).collect();
    PathBuf::from(format!("{}.downhill", if name.is_empty() { "model" } else { &name }))
}

/// The name of the table, for people.
fn named(data: &Path) -> String {
    if is_stream(data) { "the standard input".to_owned() } else { data.display().to_string() }
}

fn write_findings(out: &mut dyn Write, data: &Path, found: &Findings) -> Result<(), CliError> {
    let task = match found.task {
        Task::Classification => "its class",
        Task::Regression => "its number",
    };
    writeln!(out, "{}", styled(TITLE, format!("{} rows of {}", found.rows, printable(&named(data)))))?;
    let target = printable(&format!("`{}`, {task} ({})", found.target, found.because));
    writeln!(out, "To predict: {target}")?;
    if found.without_target > 0 {
        writeln!(out, "Rows without a target, which are left out: {}", found.without_target)?;
    }
    writeln!(out)?;
    let rows: Vec<Vec<String>> = found
        .columns
        .iter()
        .map(|found| {
            let count = |count: usize| count.to_string();
            vec![
                found.column.clone(),
                found.kind.to_string(),
                count(found.values),
                count(found.missing),
                found.note.clone(),
            ]
        })
        .collect();
    write_table(out, &["column", "read as", "values", "missing", "holds"], &rows)?;
    Ok(writeln!(out)?)
}

fn write_recipe(out: &mut dyn Write, recipe: &Recipe, tried: &[Tried], ranks: usize) -> Result<(), CliError> {
    let hidden: Vec<String> = recipe.hidden.iter().map(usize::to_string).collect();
    let units =
        if hidden.is_empty() { "no hidden units".to_owned() } else { format!("{} hidden units", hidden.join("-")) };
    let shared = if ranks == 1 { String::new() } else { format!(" shared among {ranks} processes") };
    let members = if recipe.members == 1 { "one network".to_owned() } else { format!("{} networks", recipe.members) };
    writeln!(
        out,
        "{} {members} of {units}, {} epochs in batches of {}{shared}, rate {}, decay {}, dropout {}, seed {}",
        styled(TITLE, "Recipe:"),
        recipe.epochs,
        recipe.batch_size,
        recipe.learning_rate,
        recipe.weight_decay,
        recipe.dropout,
        recipe.seed
    )?;
    if !tried.is_empty() {
        let losses: Vec<String> = tried.iter().map(|tried| format!("{} {}", tried.name, number(tried.loss))).collect();
        writeln!(
            out,
            "{}",
            styled(FAINT, format!("the best of three by cross-validation, with losses {}", losses.join(", ")))
        )?;
    }
    Ok(writeln!(out)?)
}

fn write_judged(out: &mut dyn Write, judged: &Judged, unit: Option<&str>) -> Result<(), CliError> {
    match judged {
        Judged::Holdout(verdict) => {
            let title = format!("Judged on {} rows that it had not seen", verdict.rows);
            writeln!(out, "{}", styled(TITLE, title))?;
            write_verdict(out, verdict, unit)?;
        }
        Judged::Folds(verdicts) => {
            writeln!(
                out,
                "{}",
                styled(
                    TITLE,
                    format!("Judged by {} folds, each row once by a network that had not seen it", verdicts.len())
                )
            )?;
            let mut rows = Vec::new();
            for measure in verdicts.iter().flat_map(|verdict| &verdict.measures) {
                if rows.iter().any(|row: &Vec<String>| row.first() == Some(&measure.name)) {
                    continue;
                }
                let values = || {
                    verdicts
                        .iter()
                        .flat_map(|verdict| &verdict.measures)
                        .filter(|other| other.name == measure.name)
                        .map(|other| other.value)
                };
                let count = values().count() as f64;
                let mean = values().sum::<f64>() / count;
                let spread = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
                let unit = unit.filter(|_| measure.in_units).map_or_else(String::new, |unit| format!(" {unit}"));
                rows.push(vec![measure.name.clone(), number(mean), format!("± {}{unit} among folds", number(spread))]);
            }
            write_table(out, &["measure", "mean", ""], &rows)?;
        }
        Judged::Nothing => writeln!(out, "Not judged, since no rows were kept for it.")?,
    }
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_the_target_and_stays_in_its_folder() {
        assert_eq!(file_name("species"), Path::new("species.downhill"));
        assert_eq!(file_name("../price (EUR)"), Path::new("___price__EUR_.downhill"));
        assert_eq!(file_name(""), Path::new("model.downhill"));
    }
}
