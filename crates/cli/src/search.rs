//! A choice between a few recipes by cross-validation.

use downhill_data::Table;
use downhill_tensor::Seed;
use serde::Serialize;

use crate::CliError;
use crate::judge::{Judge, Verdict};
use crate::learn::{Progress, ROWS, learn, rows_of_known_classes};
use crate::look::Findings;
use crate::recipe::Recipe;
use crate::session::Session;
use crate::settings::{Settings, Task};

/// The folds by which recipes are compared.
const FOLDS: usize = 3;

/// The rows by which recipes are compared, at most.
const MOST_ROWS: usize = 5000;

/// The fewest rows in which the comparison means anything.
const LEAST_ROWS: usize = 60;

/// A recipe that was tried, with its loss on rows that it did not learn from.
#[derive(Clone, Debug, Serialize)]
pub struct Tried {
    /// The name of what differs.
    pub name: &'static str,
    /// The loss: the log loss of classes, or the root mean squared error of numbers.
    pub loss: f64,
}

/// Judges a recipe by a cross-validation: each row once, by a model that has not learnt from it. With settings, each fold
/// chooses its recipe, as [`search`] does, by rows that it learns from.
///
/// # Errors
/// Returns an error if there are too few rows, training fails, or the session is stopped.
pub fn cross_validate(
    table: &Table,
    findings: &Findings,
    recipe: &Recipe,
    folds: usize,
    search_with: Option<&Settings>,
    watch: &mut (dyn FnMut(Progress) + Send),
    session: &Session<'_>,
) -> Result<Vec<Verdict>, CliError> {
    let seed = Seed(recipe.seed).derive(ROWS);
    let stratified = match findings.task {
        Task::Classification => table.stratified_k_folds(&findings.target, folds, seed).ok(),
        Task::Regression => None,
    };
    let rounds = match stratified {
        Some(rounds) => rounds,
        None => table.k_folds(folds, seed)?,
    };
    let mut done = 0;
    let mut verdicts = Vec::new();
    for round in rounds {
        let every = recipe.epochs * recipe.members as u64;
        let epochs = every * folds as u64;
        let recipe = match search_with {
            Some(settings) => search(&round.train, findings, settings, recipe.clone(), &mut |_| (), session)?.0,
            None => recipe.clone(),
        };
        let mut part = |progress: Progress| watch(Progress { done: done + progress.done, epochs, ..progress });
        let learnt = learn(&round.train, findings, &recipe, &mut part, session)?;
        if learnt.interrupted {
            return Err(CliError::Interrupted);
        }
        done += every;
        let mut judge = Judge::new(&learnt.model)?;
        let schema = learnt.model.schema().ok_or(CliError::NoColumns)?;
        if let Some(known) = rows_of_known_classes(schema, &findings.target, &round.validation)? {
            judge.add(&known)?;
            verdicts.push(judge.verdict());
        }
    }
    Ok(verdicts)
}

/// Chooses among recipes that learn their table by heart more or less readily, unless the settings say which.
///
/// # Errors
/// Returns an error if training fails, or the session is stopped.
pub fn search(
    table: &Table,
    findings: &Findings,
    settings: &Settings,
    recipe: Recipe,
    watch: &mut (dyn FnMut(Progress) + Send),
    session: &Session<'_>,
) -> Result<(Recipe, Vec<Tried>), CliError> {
    let decided = [
        settings.hidden.is_some(),
        settings.activation.is_some(),
        settings.dropout.is_some(),
        settings.epochs.is_some(),
        settings.batch_size.is_some(),
        settings.learning_rate.is_some(),
        settings.weight_decay.is_some(),
        settings.patience.is_some(),
    ];
    if settings.search == Some(false) || decided.contains(&true) || table.len() < LEAST_ROWS {
        return Ok((recipe, Vec::new()));
    }
    let share = MOST_ROWS as f64 / table.len() as f64;
    let some = if share < 1.0 { table.split(share, Seed(recipe.seed).derive(ROWS))?.0 } else { table.clone() };
    let mut tried = Vec::new();
    let candidates = recipe.candidates();
    let count = candidates.len() as u64;
    for (place, (name, candidate)) in (0..).zip(&candidates) {
        let alone = Recipe { members: 1, ..candidate.clone() };
        let mut part = |progress: Progress| {
            let (done, epochs) = (place * progress.epochs + progress.done, count * progress.epochs);
            watch(Progress { done, epochs, ..progress });
        };
        let verdicts = cross_validate(&some, findings, &alone, FOLDS, None, &mut part, session)?;
        let losses = verdicts.iter().filter_map(|verdict| Some(verdict.loss()?.value * verdict.rows as f64));
        let rows: usize = verdicts.iter().map(|verdict| verdict.rows).sum();
        tried.push(Tried { name, loss: losses.sum::<f64>() / rows as f64 });
    }
    let best = tried.iter().zip(&candidates).min_by(|(a, _), (b, _)| a.loss.total_cmp(&b.loss));
    let chosen = best.map_or(recipe, |(_, (_, candidate))| candidate.clone());
    Ok((chosen, tried))
}
