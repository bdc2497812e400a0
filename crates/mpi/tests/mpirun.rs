//! Real processes under `mpirun`: this program starts itself as their ranks, and compares what they leave.
//!
//! `cargo xtask mpi` runs it. A part of a test's name, as an argument, runs the tests with that name.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::thread;
use std::time::{Duration, Instant};

use downhill_data::source::{InMemory, SourceBatches};
use downhill_data::{Dataset, digits};
use downhill_layers::{Affine, BatchNorm, Dropout, Embedding, Flatten, Relu};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_mpi::{Link, MpiExchange, Ranks};
use downhill_network::{Network, TransformerEncoderBlock, sequential};
use downhill_optim::schedule::Cosine;
use downhill_optim::{AdamW, Optimizer};
use downhill_tensor::Seed;
use downhill_train::metrics::Accuracy;
use downhill_train::{EarlyStopping, Every, History, Trainer};
use ndarray::Array2;

/// Names the program that this process runs as a rank.
const PROGRAM: &str = "DOWNHILL_MPI_PROGRAM";

/// The folder in which ranks leave what they have.
const FOLDER: &str = "DOWNHILL_MPI_FOLDER";

/// The latency of a link that messages are slowed down to.
const SLOW: Duration = Duration::from_millis(3);

type Outcome = Result<(), Box<dyn std::error::Error>>;

// What is trained.

fn mlp() -> Network<f32> {
    let layers = sequential![Affine::new(48), BatchNorm::new(), Relu, Dropout::new(0.2), Affine::new(10)];
    Network::build([64], layers, Seed(1)).unwrap()
}

/// Does the word 0 stand more often in the first half of a sentence than in the second?
fn transformer() -> Network<f32> {
    let block = TransformerEncoderBlock::new(2, 16);
    let layers = sequential![Embedding::new(8, 8), block, Flatten, Affine::new(2)];
    Network::build([12], layers, Seed(2)).unwrap()
}

fn sentences() -> Dataset<f32> {
    let mut stream = Seed(5).stream(0);
    let words = Array2::from_shape_fn((350, 12), |_| (stream.uniform() * 8.0).floor() as f32);
    let zeros = |sentence: &[f32]| sentence.iter().filter(|&&word| word == 0.0).count();
    let rows = words.rows();
    let labels: Vec<u32> = rows
        .into_iter()
        .map(|row| {
            let row = row.to_vec();
            u32::from(zeros(&row[..6]) > zeros(&row[6..]))
        })
        .collect();
    Dataset::from_array(words, labels).unwrap()
}

type AnyTrainer<'a> = Trainer<'a, f32, SoftmaxCrossEntropy, AdamW<f32>>;

fn trainer<'a>(epochs: u64) -> AnyTrainer<'a> {
    Trainer::new(SoftmaxCrossEntropy::new(), AdamW::new(0.01)).epochs(epochs).batch_size(16).seed(Seed(3))
}

/// A network, its data and its trainer, by name: the same on all ranks, and in one process.
fn task(name: &str) -> (Network<f32>, Dataset<f32>, AnyTrainer<'static>) {
    match name {
        "mlp" => {
            let data = digits().unwrap().select(&(0..700).collect::<Vec<_>>()).unwrap();
            (mlp(), data, trainer(3).schedule(Cosine::new(150)).metric(Accuracy::new()))
        }
        // Its gradient is sent in several pieces.
        "wide" => {
            let layers = sequential![Affine::new(30_000), Relu, Affine::new(10)];
            let data = digits().unwrap().select(&(0..100).collect::<Vec<_>>()).unwrap();
            (Network::build([64], layers, Seed(1)).unwrap(), data, trainer(1))
        }
        "transformer" => (transformer(), sentences(), trainer(3).early_stopping(EarlyStopping::new().patience(5))),
        other => panic!("there is no task {other}"),
    }
}

/// What a run leaves: the bits of all numbers and the losses, as text.
fn left(network: &Network<f32>, history: &History) -> String {
    let mut text = String::new();
    for epoch in &history.epochs {
        let _ = writeln!(text, "{:?} {:?}", epoch.training_loss, epoch.metrics);
    }
    for x in network.parameters().iter().chain(network.statistics()) {
        let _ = write!(text, "{:08x}", x.to_bits());
    }
    text
}

/// What one process leaves that accumulates this number of batches.
fn alone(name: &str, batches: u64) -> String {
    let (mut network, data, trainer) = task(name);
    let history = trainer.accumulate(batches).fit(&mut network, &data).unwrap();
    left(&network, &history)
}

// What a rank does.

/// Runs a program as a rank; its words say what to do.
fn program(words: &[&str]) -> ExitCode {
    downhill_mpi::run(|ranks| {
        let exchange = exchange(ranks, words);
        match words {
            ["train", name, ..] => train(ranks, name, exchange, words),
            ["panic", ..] => stopped(ranks, exchange, || panic!("the third step is too much")),
            ["kill", ..] => stopped(ranks, exchange, kill),
            ["hang", ..] => stopped(ranks, exchange, || thread::sleep(Duration::from_secs(3600))),
            ["error", ..] if ranks.rank() == 1 => Err("there is no file `data.csv`".into()),
            ["error", ..] => stopped(ranks, exchange, || {}),
            ["network", ..] => other_network(ranks, exchange),
            ["label", ..] => label(ranks, exchange),
            ["disk", ..] => disk(ranks, exchange),
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
            "sharded" => exchange.sharded(),
            "own" => exchange.own_data(),
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

/// Ends this process as the kernel does if memory runs out.
fn kill() {
    let killed = Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    panic!("it survived: {killed:?}");
}

fn other_network(ranks: &Ranks, exchange: MpiExchange<f32>) -> Outcome {
    let width = 20 + ranks.rank();
    let mut network = Network::build([64], sequential![Affine::new(width), Relu, Affine::new(10)], Seed(1))?;
    trainer(1).exchange(exchange).fit(&mut network, &digits()?)?;
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

/// The folder of checkpoints can't be written to after the third step.
fn disk(ranks: &Ranks, exchange: MpiExchange<f32>) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default()).join("checkpoints");
    let (is_writer, broken) = (ranks.rank() == 0, folder.clone());
    let trainer = trainer.checkpoint(&folder, Every::Steps(1)).on_step(move |end| {
        if is_writer && end.step == 2 {
            fs::remove_dir_all(&broken).and_then(|()| fs::write(&broken, "a file")).unwrap();
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

/// Trains with checkpoints, and goes on if there are any; rank 1 kills itself after the step that a word names.
fn checkpoints(ranks: &Ranks, exchange: MpiExchange<f32>, epochs: u64, words: &[&str]) -> Outcome {
    let (mut network, data, trainer) = task("mlp");
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default()).join("checkpoints");
    let killed_after = words.iter().find_map(|word| word.strip_prefix("kill-after-")?.parse::<u64>().ok());
    let is_victim = ranks.rank() == 1;
    let trainer = trainer.epochs(epochs).checkpoint(&folder, Every::Steps(1)).resume_or_start(&folder);
    let mut trainer = trainer
        .on_step(move |end| {
            if is_victim && killed_after == Some(end.step) {
                kill();
            }
            ControlFlow::Continue(())
        })
        .exchange(exchange);
    let history = trainer.fit(&mut network, &data)?;
    leave(ranks, &left(&network, &history))?;
    Ok(())
}

// What is compared.

/// What a launcher has left.
struct Launched {
    output: Output,
    seconds: f64,
    /// What each rank has left, if it came to that.
    ranks: Vec<String>,
}

impl Launched {
    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// What all ranks have left, which ended well.
    fn all(self) -> Vec<String> {
        assert!(self.output.status.success(), "{}\n{}", self.output.status, self.errors());
        self.ranks
    }

    /// Checks that all ranks have ended soon, with an exit code other than 0 and this in a message.
    fn ended_with(&self, message: &str) {
        assert!(!self.output.status.success(), "it ended well: {}", self.errors());
        assert!(self.seconds < 15.0, "it took {} s", self.seconds);
        assert!(self.errors().contains(message), "no {message:?} in:\n{}", self.errors());
    }
}

/// Starts this number of ranks of a program.
fn launch(ranks: usize, words: &str) -> Launched {
    let folder = folder_of(ranks, words);
    let _ = fs::remove_dir_all(&folder);
    launch_in(&folder, ranks, words)
}

fn folder_of(ranks: usize, words: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(words.replace(' ', "-")).join(ranks.to_string())
}

fn launch_in(folder: &Path, ranks: usize, words: &str) -> Launched {
    fs::create_dir_all(folder).unwrap();
    let mut mpirun = Command::new(std::env::var_os("MPIRUN").unwrap_or_else(|| "mpirun".into()));
    // More ranks than cores are Open MPI's to allow, and a machine for tests has one user.
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.env("OMPI_MCA_rmaps_base_oversubscribe", "1").env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    mpirun.env("OMPI_MCA_hwloc_base_binding_policy", "none");
    let started = Instant::now();
    let output = mpirun
        .args(["-n", &ranks.to_string()])
        .arg(std::env::current_exe().unwrap())
        .env(PROGRAM, words)
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap_or_else(|error| panic!("mpirun could not be started ({error}): install `openmpi-bin`"));
    let seconds = started.elapsed().as_secs_f64();
    let left = |rank| fs::read_to_string(folder.join(format!("rank-{rank}")));
    let ranks = (0..ranks).filter_map(|rank| left(rank).ok()).collect();
    Launched { output, seconds, ranks }
}

fn without_memory(left: &str) -> &str {
    left.split_once('\n').unwrap_or_default().1
}

fn ranks_have_the_bits_of_one_process() {
    for name in ["mlp", "transformer"] {
        for ranks in [1, 2, 4] {
            let all = launch(ranks, &format!("train {name}")).all();
            assert_eq!(all.len(), ranks);
            let expected = alone(name, ranks as u64);
            assert!(all.iter().all(|left| without_memory(left) == expected), "{name} on {ranks} ranks");
        }
    }
}

fn ranks_that_accumulate_have_these_bits_in_order() {
    let all = launch(2, "train mlp two-batches in-order").all();
    let expected = alone("mlp", 4);
    assert!(all.iter().all(|left| without_memory(left) == expected));
    // Each rank by itself first: the same on all ranks, and another order of sums than that of one process.
    let all = launch(2, "train transformer two-batches").all();
    assert!(all.iter().all(|left| *left == all[0]) && all.len() == 2);
    let loss = |left: &str| left.split(' ').next().unwrap().parse::<f64>().unwrap();
    let (own, expected) = (loss(without_memory(&all[0])), loss(&alone("transformer", 4)));
    assert!((own - expected).abs() < 1e-4 * expected, "{own} {expected}");
}

fn a_gradient_of_several_pieces_has_these_bits() {
    let expected = alone("wide", 3);
    for words in ["train wide", "train wide sharded"] {
        let all = launch(3, words).all();
        assert!(all.len() == 3 && all.iter().all(|left| without_memory(left) == expected), "{words}");
    }
}

fn a_sharded_optimizer_has_these_bits_and_its_share_of_the_memory() {
    let all = launch(4, "train mlp sharded").all();
    let expected = alone("mlp", 4);
    for left in &all {
        assert_eq!(without_memory(left), expected);
        let (memory, parameters) = left.lines().next().unwrap().split_once(' ').unwrap();
        let (memory, parameters): (usize, usize) = (memory.parse().unwrap(), parameters.parse().unwrap());
        assert!((2 * (parameters / 4)..=2 * (parameters / 4 + 1)).contains(&memory), "{memory} of {parameters}");
    }
}

/// What a timeline says under a name, summed over the events of one.
fn sum_of(timeline: &str, name: &str, number: &str) -> usize {
    let events = timeline.lines().filter(|line| line.contains(&format!(r#""name":"{name}""#)));
    let number = |line: &str| {
        let after = line.split_once(&format!(r#""{number}":"#))?.1;
        after.split([',', '}']).next()?.parse::<usize>().ok()
    };
    events.filter_map(number).sum()
}

fn timelines_show_the_least_bytes_that_there_are() {
    for ranks in [2, 3] {
        let launched = launch(ranks, "train mlp timeline");
        let folder = folder_of(ranks, "train mlp timeline");
        let all = launched.all();
        let parameters: usize = all[0].lines().next().unwrap().split_once(' ').unwrap().1.parse().unwrap();
        // 700 examples make 44 batches.
        let steps = 3 * 44_usize.div_ceil(ranks);
        let mut total = 0;
        for rank in 0..ranks {
            let timeline = fs::read_to_string(folder.join(format!("rank-{rank}.json"))).unwrap();
            assert!(timeline.starts_with("[\n{") && timeline.ends_with("}\n]\n"), "{timeline}");
            total +=
                sum_of(&timeline, "the gradients", "bytes") + sum_of(&timeline, "the parts of the weights", "bytes");
        }
        // 2 (n − 1)/n times the bytes of θ for each rank.
        assert_eq!(total, steps * 2 * (ranks - 1) * 4 * parameters);
    }
}

fn a_link_slows_messages_down_and_leaves_the_bits() {
    let words = "train transformer sharded timeline slow";
    let launched = launch(2, words);
    let folder = folder_of(2, words);
    let expected = alone("transformer", 2);
    assert!(launched.all().iter().all(|left| without_memory(left) == expected));
    let timeline = fs::read_to_string(folder.join("rank-1.json")).unwrap();
    for name in ["the gradients", "the loss of a step", "the parts of the weights"] {
        let messages: Vec<&str> =
            timeline.lines().filter(|line| line.contains(name) && line.contains(r#""tid":0"#)).collect();
        let micros = sum_of(&messages.join("\n"), name, "dur");
        let least = SLOW.as_micros() as usize * messages.len();
        assert!(!messages.is_empty() && micros >= least, "{name}: {micros} of at least {least}");
    }
}

fn a_panic_ends_all_ranks() {
    let launched = launch(4, "panic");
    launched.ended_with("rank 1 panicked:");
    launched.ended_with("the third step is too much");
}

fn an_error_of_one_rank_ends_all() {
    launch(4, "error").ended_with("rank 1: there is no file `data.csv`");
}

fn a_killed_rank_ends_all() {
    launch(4, "kill").ended_with("signal 9");
}

fn a_rank_that_hangs_is_named() {
    let launched = launch(4, "hang impatient");
    launched.ended_with("of all ranks did not come together within 2 s: rank 1 did not arrive, ranks ");
}

fn ranks_that_differ_are_told_in_what() {
    let launched = launch(3, "network");
    launched.ended_with("rank 1 differs from rank 0 in the network: `");
    assert!(launched.errors().contains("21") && launched.errors().contains("20"), "{}", launched.errors());
}

fn a_label_out_of_range_ends_all_ranks() {
    let launched = launch(3, "label own");
    launched.ended_with("rank 1: the targets of the training data do not fit");
    launched.ended_with("class 99");
}

fn a_checkpoint_that_can_not_be_written_ends_all_ranks() {
    let launched = launch(3, "disk sharded");
    launched.ended_with("rank 0: ");
    launched.ended_with("rank 0 has ended the run: ");
}

fn a_rank_without_examples_ends_all() {
    launch(3, "empty own").ended_with("rank 1: ");
}

fn killed_runs_go_on_with_their_bits_and_on_other_numbers_of_ranks() {
    let whole = launch(3, "checkpoints 3").all();
    let folder = |name: &str| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        folder
    };
    let same = folder("same-ranks");
    for step in [4, 23] {
        launch_in(&same, 3, &format!("checkpoints 3 sharded kill-after-{step}")).ended_with("signal 9");
    }
    let resumed = launch_in(&same, 3, "checkpoints 3").all();
    assert_eq!(resumed, whole);
    let other = folder("other-ranks");
    launch_in(&other, 4, "checkpoints 3 sharded kill-after-8").ended_with("signal 9");
    let resumed = launch_in(&other, 2, "checkpoints 3 sharded").all();
    assert!(resumed.len() == 2 && resumed[0] == resumed[1]);
    let loss = |left: &str| left.lines().nth(2).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    assert!(loss(&resumed[0]) < 1.5 * loss(&whole[0]), "{} {}", loss(&resumed[0]), loss(&whole[0]));
}

/// Every test, by name.
macro_rules! tests {
    ($($test:ident),* $(,)?) => { [$((stringify!($test), $test as fn())),*] };
}

fn main() -> ExitCode {
    if let Ok(words) = std::env::var(PROGRAM) {
        return program(&words.split(' ').collect::<Vec<_>>());
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let tests = tests![
        ranks_have_the_bits_of_one_process,
        ranks_that_accumulate_have_these_bits_in_order,
        a_gradient_of_several_pieces_has_these_bits,
        a_sharded_optimizer_has_these_bits_and_its_share_of_the_memory,
        timelines_show_the_least_bytes_that_there_are,
        a_link_slows_messages_down_and_leaves_the_bits,
        a_panic_ends_all_ranks,
        an_error_of_one_rank_ends_all,
        a_killed_rank_ends_all,
        a_rank_that_hangs_is_named,
        ranks_that_differ_are_told_in_what,
        a_label_out_of_range_ends_all_ranks,
        a_rank_without_examples_ends_all,
        a_checkpoint_that_can_not_be_written_ends_all_ranks,
        killed_runs_go_on_with_their_bits_and_on_other_numbers_of_ranks,
    ];
    let mut failed = 0;
    for (name, test) in tests {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u32::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
