use std::io::Write;
use std::path::Path;

use downhill_data::DataError;
use downhill_model::Model;
use downhill_plot::ModelReport;

use crate::CliError;
use crate::args::{Cli, Evaluate};
use crate::judge::{Judge, Verdict};
use crate::output::{
    FAINT, GOOD, TITLE, check_free, check_place, in_input, number, open, styled, table_options, write_json, write_table,
};

pub(super) fn evaluate(args: &Evaluate, cli: &Cli, out: &mut dyn Write) -> Result<(), CliError> {
    let model = Model::open(&args.model)?;
    let mut judge = Judge::new(&model)?;
    let options = table_options(Some(&args.delimiter))?;
    let in_input = in_input(&args.data);
    let mut report = match &args.report {
        Some(path) => Some((report_place(path, args.force)?, ModelReport::new(&model)?)),
        None => None,
    };
    let mut rows = 0;
    for part in options.chunks(open(&args.data)?) {
        let part = part.map_err(&in_input)?;
        rows += part.len();
        match judge.add(&part) {
            // A part of which no row has a target; others may have some.
            Err(CliError::Data(DataError::NoRows { .. })) => continue,
            Err(CliError::Data(error)) => return Err(in_input(error)),
            other => other?,
        }
        if let Some((_, report)) = &mut report {
            report.add(&part)?;
        }
    }
    let verdict = judge.verdict();
    if verdict.rows == 0 {
        return Err(in_input(DataError::NoRows { rows }));
    }
    if let Some((path, report)) = &report {
        report.save(path)?;
    }
    if cli.json {
        return write_json(out, &verdict);
    }
    writeln!(out, "{}", styled(TITLE, format!("{} on {} rows", args.model.display(), verdict.rows)))?;
    write_verdict(out, &verdict, model.units().first().map(String::as_str))?;
    match &report {
        Some((path, _)) => Ok(writeln!(out, "\n{}", styled(GOOD, format!("Wrote {}", path.display())))?),
        None => Ok(()),
    }
}

/// Checks that a report can be written to a place, before the work that it is about.
pub(super) fn report_place(path: &Path, force: bool) -> Result<&Path, CliError> {
    check_free(path, force)?;
    check_place(path)?;
    Ok(path)
}

/// Writes measures, and which class was taken for which.
pub(super) fn write_verdict(out: &mut dyn Write, verdict: &Verdict, unit: Option<&str>) -> Result<(), CliError> {
    let rows: Vec<Vec<String>> = verdict
        .measures
        .iter()
        .map(|measure| {
            let unit = unit.filter(|_| measure.in_units).unwrap_or_default();
            vec![measure.name.clone(), number(measure.value), unit.to_owned()]
        })
        .collect();
    write_table(out, &["measure", "value", ""], &rows)?;
    if verdict.confusion.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  {}", styled(FAINT, "rows: the true class; columns: the class that it was taken for"))?;
    let names: Vec<String> = (0..verdict.confusion.len())
        .map(|class| verdict.classes.get(class).cloned().unwrap_or_else(|| class.to_string()))
        .collect();
    let titles: Vec<&str> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(&verdict.confusion)
        .map(|(name, counts)| [name.clone()].into_iter().chain(counts.iter().map(f64::to_string)).collect())
        .collect();
    write_table(out, &titles, &rows)
}
