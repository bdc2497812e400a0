//! What a rank does.

use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use downhill_data::source::{InMemory, SourceBatches};
use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, Relu};
use downhill_log::JsonLines;
use downhill_mpi::{Link, MpiExchange, Ranks};
use downhill_network::{Network, sequential};
use downhill_optim::Optimizer;
use downhill_tensor::Seed;
use downhill_train::{Every, GradientExchange, Progress};
use ndarray::Array2;

use crate::FOLDER;
use crate::tasks::{left, mlp, task, trainer};

/// The latency of a link that messages are slowed down to.
pub(crate) const SLOW: Duration = Duration::from_millis(3);

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs a program as a rank; its words say what to do.
pub(crate) fn program(words: &[&str]) -> ExitCode {
    downhill_mpi::run(|ranks| {
        let exchange = exchange(ranks, words);
        match words {
            ["train", name, ..] => train(ranks, name, exchange, words),
            ["again", ..] => again(ranks, exchange, words),
            ["panic", ..] => stopped(ranks, exchange, || panic!("the third step is too much")),
            ["kill", ..] => stopped(ranks, exchange, || signal("-KILL")),
            ["freeze", ..] => stopped(ranks, exchange, || signal("-STOP")),
            ["hang", ..] => stopped(ranks, exchange, || thread::sleep(Duration::from_secs(3600))),
            ["error", ..] if ranks.rank() == 1 => Err("there is no file `data.csv`".into()),
            ["error", ..] => stopped(ranks, exchange, || {}),
            ["differ", what, ..] => differ(ranks, exchange, what),
            ["slow", ..] => slow(ranks, exchange),
            ["label", ..] => label(ranks, exchange),
            ["disk", ..] => disk(ranks, exchange, words),
            ["empty", ..] => empty(ranks, exchange),
            ["checkpoints", epochs, ..] => checkpoints(ranks, exchange, epochs.parse()?, words),
            _ => Err(format!("there is no program {words:?}").into()),
        }
    })
}

fn exchange(ranks: &Ranks, words: &[&str]) -> MpiExchange<f32> {
    let mut exchange = ranks.exchange().time_limit(Duration::from_secs(60));
    for word in words {
        exchange = match *word {
            "in-order" => exchange.in_order(),
            "synchronized" => exchange.synchronized(),
            "sharded" => exchange.sharded(),
            "own" => exchange.own_data(),
            "bf16" => exchange.bf16(),
            "timeline" => exchange.timeline(std::env::var_os(FOLDER).unwrap_or_default()),
            "impatient" => exchange.time_limit(Duration::from_secs(2)),
            "slow" => exchange.link(Link::new(SLOW, 1e8)),
            _ => exchange,
        };
    }
    exchange
}

fn leave(ranks: &Ranks, text: &str) -> io::Result<()> {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default());
    fs::write(folder.join(format!("rank-{}", ranks.rank())), text)
}

/// Trains a task, from other weights on each rank, which become those of rank 0.
fn train(ranks: &Ranks, name: &str, exchange: MpiExchange<f32>, words: &[&str]) -> Outcome {
    let (mut network, data, trainer) = task(name);
    if ranks.rank() > 0 {
        network.parameters_mut().fill(0.5);
    }
    let batches = if words.contains(&"two-batches") { 2 } else { 1 };
    let mut trainer = trainer.accumulate(batches).exchange(exchange);
    let history = trainer.fit(&mut network, &data)?;
    let memory: usize = trainer.optimizer().state().slots.iter().map(|(_, slot)| slot.len()).sum();
    leave(ranks, &format!("{memory} {}\n{}", network.parameters().len(), left(&network, &history)))?;
    Ok(())
}

/// Trains once more with a trainer whose first run has failed, next to one that has not.
fn again(ranks: &Ranks, exchange: MpiExchange<f32>, words: &[&str]) -> Outcome {
    let (mut network, data, trainer) = task("normalised");
    let mut trainer = trainer.exchange(exchange);
    trainer.optimizer_mut().set_base_learning_rate(1e30);
    let error = trainer.fit(&mut network, &data).map(|_| "it has trained").unwrap_err();
    assert!(error.to_string().contains("diverged"), "{error}");
    trainer.optimizer_mut().set_base_learning_rate(0.01);
    let history = trainer.fit(&mut network, &data)?;
    let text = left(&network, &history);
    let (mut network, _, trainer) = task("normalised");
    let history = trainer.exchange(self::exchange(ranks, words)).fit(&mut network, &data)?;
    assert!(text == left(&network, &history), "the failed run has left something");
    leave(ranks, &text)?;
    Ok(())
}

/// Has something happen to rank 1 after the third step.
fn stopped(ranks: &Ranks, exchange: MpiExchange<f32>, what: impl Fn() + Send) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let is_victim = ranks.rank() == 1;
    let trainer = trainer.on_step(move |end| {
        if is_victim && end.step == 2 {
            what();
        }
        ControlFlow::Continue(())
    });
    trainer.exchange(exchange).fit(&mut network, &data)?;
    Ok(())
}

/// Sends this process a signal: that of the kernel if memory runs out, or one that stops all its threads.
fn signal(name: &str) {
    let sent = Command::new("kill").args([name, &std::process::id().to_string()]).status();
    // A signal comes a moment later than its sender's end.
    thread::sleep(Duration::from_secs(1));
    panic!("it goes on: {sent:?}");
}

/// A rank as one of an older version would be seen.
#[derive(Debug)]
struct Older(MpiExchange<f32>);

impl GradientExchange<f32> for Older {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn ranks(&self) -> usize {
        self.0.ranks()
    }

    fn gather(&mut self, what: &str, own: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let own = String::from_utf8(own.to_vec()).map_err(|error| error.to_string())?;
        self.0.gather(what, own.replacen(env!("CARGO_PKG_VERSION"), "0.0.9", 1).as_bytes())
    }

    fn broadcast(&mut self, from: usize, numbers: &mut [f32]) -> Result<(), String> {
        self.0.broadcast(from, numbers)
    }

    fn send(&mut self, complete: Range<usize>, gradient: &[f32]) {
        self.0.send(complete, gradient);
    }

    fn owned(&self, len: usize, rank: usize) -> Vec<Range<usize>> {
        self.0.owned(len, rank)
    }

    fn add(&mut self, factors: &[Option<f32>], sum: &mut [f32]) -> Result<(), String> {
        self.0.add(factors, sum)
    }

    fn complete(&mut self, numbers: &mut [f32]) -> Result<(), String> {
        self.0.complete(numbers)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.0.settings()
    }
}

/// Has rank 1 come with something else than the others.
fn differ(ranks: &Ranks, exchange: MpiExchange<f32>, what: &str) -> Outcome {
    let is_other = |of: &str| ranks.rank() == 1 && what == of;
    let width = if is_other("network") { 21 } else { 20 };
    let mut network = Network::build([64], sequential![Affine::new(width), Relu, Affine::new(10)], Seed(1))?;
    let data: Dataset<f32> = digits()?;
    let data = if is_other("data") { data.select(&(1..data.len()).collect::<Vec<_>>())? } else { data };
    let batch_size = if is_other("settings") { 8 } else { 16 };
    let exchange = if is_other("precision") { exchange.bf16() } else { exchange };
    let trainer = trainer(1).batch_size(batch_size);
    let mut trainer = if is_other("version") { trainer.exchange(Older(exchange)) } else { trainer.exchange(exchange) };
    trainer.fit(&mut network, &data)?;
    leave(ranks, "it has trained")?;
    Ok(())
}

/// Has rank 2 take longer for each step.
fn slow(ranks: &Ranks, exchange: MpiExchange<f32>) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let (rank, mut slowest) = (ranks.rank(), Vec::new());
    // What writes files belongs to one rank.
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default());
    let log = (rank == 0).then(|| JsonLines::new(folder.join("log")));
    let trainer = if let Some(log) = log { trainer.callback(log) } else { trainer };
    let trainer = trainer.progress(Progress::Lines).on_step(move |_| {
        thread::sleep(Duration::from_millis(if rank == 2 { 30 } else { 0 }));
        ControlFlow::Continue(())
    });
    let trainer = trainer.on_epoch(|end| {
        slowest.extend(end.slowest.map(|slowest| (slowest.rank, slowest.seconds > 0.2)));
        ControlFlow::Continue(())
    });
    trainer.exchange(exchange).fit(&mut network, &data)?;
    leave(ranks, &format!("{slowest:?}"))?;
    Ok(())
}

/// Rank 1 reads a class that there is not in its second batch.
fn label(ranks: &Ranks, exchange: MpiExchange<f32>) -> Outcome {
    let classes: Vec<u32> = (0..64).map(|i| if ranks.rank() == 1 && i == 20 { 99 } else { i % 10 }).collect();
    let source = InMemory::new(Dataset::from_array(Array2::zeros((64, 64)), classes)?);
    let mut network = mlp();
    trainer(1).exchange(exchange).fit_batches(&mut network, &mut SourceBatches::sequential(source, 16)?)?;
    Ok(())
}

/// The folder of checkpoints is no folder any more after the third step, or no file may become as large as a checkpoint.
fn disk(ranks: &Ranks, exchange: MpiExchange<f32>, words: &[&str]) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default()).join("checkpoints");
    let (is_writer, broken) = (ranks.rank() == 0, folder.clone());
    let happens = words.get(1).copied().unwrap_or_default().to_owned();
    let trainer = trainer.checkpoint(&folder, Every::Steps(1)).on_step(move |end| {
        match &*happens {
            "no-folder" if is_writer && end.step == 2 => {
                fs::remove_dir_all(&broken).and_then(|()| fs::write(&broken, "a file")).unwrap();
            }
            "small-files" if is_writer && end.step == 2 => {
                let own = std::process::id().to_string();
                let limited = Command::new("prlimit").args(["--pid", &own, "--fsize=20000:20000"]).status();
                assert!(limited.is_ok_and(|status| status.success()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    trainer.exchange(exchange).fit(&mut network, &data)?;
    Ok(())
}

/// Rank 1 has no examples.
fn empty(ranks: &Ranks, exchange: MpiExchange<f32>) -> Outcome {
    let examples = if ranks.rank() == 1 { 0 } else { 40 };
    let own = Dataset::from_array(Array2::<f32>::zeros((examples, 64)), vec![0_u32; examples])?;
    trainer(1).exchange(exchange).fit(&mut mlp(), &own)?;
    Ok(())
}

/// Trains with checkpoints, and goes on if there are any; rank 1 kills itself after the step that a word names. Ranks say
/// by which number they can be killed.
fn checkpoints(ranks: &Ranks, exchange: MpiExchange<f32>, epochs: u64, words: &[&str]) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default());
    fs::write(folder.join(format!("process-{}", ranks.rank())), std::process::id().to_string())?;
    let folder = if words.contains(&"lost") {
        // The same path on all ranks, which is another folder on rank 1.
        let own = folder.join(if ranks.rank() == 1 { "elsewhere" } else { "." });
        fs::create_dir_all(&own).and_then(|()| std::env::set_current_dir(&own))?;
        PathBuf::from("checkpoints")
    } else {
        folder.join("checkpoints")
    };
    let number_in = |start: &str| words.iter().find_map(|word| word.strip_prefix(start)?.parse::<u64>().ok());
    let (killed_after, batches) = (number_in("kill-after-"), number_in("batches-").unwrap_or(1));
    let is_victim = ranks.rank() == 1;
    let trainer =
        trainer.accumulate(batches).epochs(epochs).checkpoint(&folder, Every::Steps(1)).resume_or_start(&folder);
    let mut trainer = trainer
        .on_step(move |end| {
            if is_victim && killed_after == Some(end.step) {
                signal("-KILL");
            }
            ControlFlow::Continue(())
        })
        .exchange(exchange);
    let history = trainer.fit(&mut network, &data)?;
    leave(ranks, &left(&network, &history))?;
    Ok(())
}
