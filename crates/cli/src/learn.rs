//! From a table to a model.

use std::ops::ControlFlow;

use downhill_data::{Dataset, Schema, StandardScaler, Table};
use downhill_layers::{Affine, Dropout, Gelu, Relu, Silu, Tanh};
use downhill_losses::{Loss, MeanSquaredError, SoftmaxCrossEntropy};
use downhill_model::Model;
use downhill_network::{Branches, Network, Sequential};
use downhill_optim::schedule::OneCycle;
use downhill_optim::{AdamW, Segment};
use downhill_tensor::Seed;
use downhill_train::{EarlyStopping, Slowest, StopReason, Trainer};

use crate::CliError;
use crate::look::Findings;
use crate::recipe::Recipe;
use crate::session::Session;
use crate::settings::{Activation, Task};

/// The fewest rows that a network is trained on.
pub(crate) const LEAST_ROWS: usize = 4;

/// The key of the stream that splits rows, apart from the members' seeds.
pub(crate) const ROWS: u64 = u64::MAX;

/// The share of rows that early stopping watches.
const WATCHED: f64 = 0.15;

/// A place in training, for whoever watches it.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The epochs that were run, of all members.
    pub done: u64,
    /// The epochs of all members, unless they stop early.
    pub epochs: u64,
    /// The loss of the last one.
    pub loss: f64,
    /// The process that the others have waited for in the last one, if several train together.
    pub slowest: Option<Slowest>,
}

/// A model that was just trained.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// The model.
    pub model: Model,
    /// The rows that it learnt from.
    pub rows: usize,
    /// The epochs that each member was trained for.
    pub epochs: Vec<u64>,
    /// The training loss of each member's last epoch.
    pub losses: Vec<f64>,
    /// Whether training was stopped, so that members are missing or have not learnt to the end.
    pub interrupted: bool,
}

/// The rows of a table that have a target.
///
/// # Errors
/// Returns an error if there are too few to learn from.
pub fn with_target(table: &Table, findings: &Findings) -> Result<Table, CliError> {
    let cells = table.column(&findings.target)?;
    let has = |&(_, cell): &(usize, &str)| !findings.markers.iter().any(|marker| marker == cell);
    let kept: Vec<usize> = cells.enumerate().filter(has).map(|(row, _)| row).collect();
    if kept.len() < LEAST_ROWS {
        return Err(CliError::TooFewRows { rows: kept.len(), least: LEAST_ROWS });
    }
    Ok(table.select(&kept)?)
}

/// Splits rows, all of which have a target: those to learn from, and a share to judge by. Classes keep their shares if
/// each has two rows.
///
/// # Errors
/// Returns an error if the share is none, or there are too few rows.
pub fn split(table: &Table, findings: &Findings, share: f64, seed: u64) -> Result<(Table, Table), CliError> {
    let seed = Seed(seed).derive(ROWS);
    if findings.task == Task::Classification
        && let Ok(parts) = table.stratified_split(&findings.target, 1.0 - share, seed)
    {
        return Ok(parts);
    }
    Ok(table.split(1.0 - share, seed)?)
}

/// Trains a network on a table, by a recipe; `watch` sees the progress of every epoch.
///
/// Once the session is stopped, training ends after its step: the members that are complete are kept, or the first
/// one as it is then. If several processes share the session, each takes its part of every batch.
///
/// # Errors
/// Returns an error if the columns can't be read, or training leaves the finite numbers.
pub fn learn(
    table: &Table,
    findings: &Findings,
    recipe: &Recipe,
    watch: &mut (dyn FnMut(Progress) + Send),
    session: &Session<'_>,
) -> Result<Learnt, CliError> {
    let (table, watched) = match recipe.patience {
        Some(_) => {
            let (table, watched) = split(table, findings, WATCHED, recipe.seed)?;
            (table, Some(watched))
        }
        None => (table.clone(), None),
    };
    let schema = findings.columns().fit(&table)?;
    let data: Dataset<f32> = schema.dataset(&table)?;
    let input_scaler = StandardScaler::fit(data.inputs().matrix())?;
    let target_scaler = data.target_values().map(|values| StandardScaler::fit(values.matrix())).transpose()?;
    let scaled = |data: Dataset<f32>| -> Result<Dataset<f32>, CliError> {
        let data = data.scale_inputs(&input_scaler)?;
        Ok(if let Some(scaler) = &target_scaler { data.scale_targets(scaler)? } else { data })
    };
    let watched = match watched {
        Some(watched) => rows_of_known_classes(&schema, &findings.target, &watched)?,
        None => None,
    };
    let watched = watched.map(|watched| scaled(schema.dataset(&watched)?)).transpose()?;
    let data = scaled(data)?;
    let trained = match findings.task {
        Task::Classification => {
            let loss = SoftmaxCrossEntropy::new().label_smoothing(recipe.label_smoothing);
            let outputs = schema.class_names().len();
            train(&data, watched.as_ref(), recipe, loss, outputs, watch, session)?
        }
        Task::Regression => train(&data, watched.as_ref(), recipe, MeanSquaredError::new(), 1, watch, session)?,
    };
    let mut model = Model::builder(trained.network).schema(schema).input_scaler(input_scaler);
    if let Some(scaler) = target_scaler {
        model = model.target_scaler(scaler);
    }
    let Trained { epochs, losses, interrupted, .. } = trained;
    Ok(Learnt { model: model.build()?, rows: data.len(), epochs, losses, interrupted })
}

/// The rows whose class a schema knows, if there are any; all rows if it predicts numbers. A class that is in few rows
/// may be in none of those that were learnt from.
pub(crate) fn rows_of_known_classes(schema: &Schema, target: &str, table: &Table) -> Result<Option<Table>, CliError> {
    let known = schema.class_names();
    if known.is_empty() {
        return Ok(Some(table.clone()));
    }
    let is_known = |&(_, cell): &(usize, &str)| known.iter().any(|class| class == cell);
    let kept: Vec<usize> = table.column(target)?.enumerate().filter(is_known).map(|(row, _)| row).collect();
    Ok(if kept.is_empty() { None } else { Some(table.select(&kept)?) })
}

/// A network with the epochs and the last loss of each of its members.
struct Trained {
    network: Network<f32>,
    epochs: Vec<u64>,
    losses: Vec<f64>,
    interrupted: bool,
}

/// Trains the members and makes one network of them.
fn train<L: Loss + Clone>(
    data: &Dataset<f32>,
    watched: Option<&Dataset<f32>>,
    recipe: &Recipe,
    loss: L,
    outputs: usize,
    watch: &mut (dyn FnMut(Progress) + Send),
    session: &Session<'_>,
) -> Result<Trained, CliError> {
    let (mut members, mut epochs, mut losses, mut interrupted) = (Vec::new(), Vec::new(), Vec::new(), false);
    // All processes together take the recipe's batch.
    let batch_size = recipe.batch_size.div_ceil(session.count());
    let steps = recipe.epochs * data.len().div_ceil(batch_size).div_ceil(session.count()) as u64;
    let all = recipe.epochs * recipe.members as u64;
    for member in 0..recipe.members as u64 {
        let seed = Seed(recipe.seed).derive(member);
        let mut network = Network::build(data.input_shape(), layers(recipe, outputs), seed)?;
        let optimizer = AdamW::new(recipe.learning_rate).weight_decay(recipe.weight_decay);
        let mut trainer = Trainer::new(loss.clone(), optimizer)
            .epochs(recipe.epochs)
            .batch_size(batch_size)
            .seed(seed)
            .schedule(OneCycle::new(steps))
            .stop_handle(session.stop().clone())
            .on_epoch(|end| {
                let record = end.record;
                watch(Progress {
                    done: member * recipe.epochs + record.epoch,
                    epochs: all,
                    loss: record.training_loss,
                    slowest: end.slowest,
                });
                ControlFlow::Continue(())
            });
        if let (Some(patience), Some(watched)) = (recipe.patience, watched) {
            trainer = trainer.validate(watched).early_stopping(EarlyStopping::new().patience(patience));
        }
        if let Some(exchange) = session.exchange() {
            trainer = trainer.exchange(exchange);
        }
        let history = trainer.fit(&mut network, data)?;
        interrupted = history.reason == StopReason::Interrupted;
        if interrupted && !members.is_empty() {
            break;
        }
        epochs.push(history.epochs.len() as u64);
        losses.extend(history.epochs.last().map(|record| record.training_loss));
        members.push(network);
        if interrupted {
            break;
        }
    }
    Ok(Trained { network: joined(members, recipe, outputs)?, epochs, losses, interrupted })
}

fn layers(recipe: &Recipe, outputs: usize) -> Sequential {
    let mut layers = Sequential::new();
    for &units in &recipe.hidden {
        layers = layers.then(Affine::new(units));
        layers = match recipe.activation {
            Activation::Relu => layers.then(Relu),
            Activation::Tanh => layers.then(Tanh),
            Activation::Gelu => layers.then(Gelu::new()),
            Activation::Silu => layers.then(Silu),
        };
        if recipe.dropout > 0.0 {
            layers = layers.then(Dropout::new(recipe.dropout));
        }
    }
    layers.then(Affine::new(outputs))
}

/// One network whose outputs are the mean of the members' outputs: their sum, each last layer having been divided.
fn joined(mut members: Vec<Network<f32>>, recipe: &Recipe, outputs: usize) -> Result<Network<f32>, CliError> {
    let count = members.len();
    let (Some(first), false) = (members.first(), count == 1) else {
        return members.pop().ok_or(CliError::TooFewRows { rows: 0, least: LEAST_ROWS });
    };
    let meaning = first.meaning();
    let Some(&shape) = first.input_shapes().first() else { return Err(CliError::NoColumns) };
    let names: Vec<String> = first.class_names().to_vec();
    let branches = (0..count).fold(Branches::sum(), |branches, _| branches.with(layers(recipe, outputs)));
    let mut network = Network::build(shape, branches, Seed(recipe.seed))?;
    for (place, member) in members.iter().enumerate() {
        // The last layer's bias and weight.
        let divided = member.segments().len().saturating_sub(2);
        for (index, Segment { name, .. }) in member.segments().iter().enumerate() {
            let share = if index < divided { 1.0 } else { 1.0 / count as f32 };
            network.parameter_mut(&format!("{place}.{name}"))?.assign(&member.parameter(name)?.mapv(|x| x * share));
        }
    }
    network.set_meaning(meaning);
    network.set_class_names(names);
    Ok(network)
}
