//! How training on several processes compares with training on one, and with what [`Plan`] says: this program starts
//! itself as ranks under `mpirun`, and prints tables.
//!
//! `cargo xtask mpi` runs it with the folder of MNIST, with `--model` to compare steps over slow links with the plan, and
//! with the Python that has PyTorch.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, hint, thread};

use downhill_data::Dataset;
use downhill_layers::{Affine, Embedding, Flatten, Mode, Relu};
use downhill_losses::SoftmaxCrossEntropy;
use downhill_mpi::{Link, MpiExchange, Plan, Ranks};
use downhill_network::{BackwardObserver, Network, PassError, Purpose, TransformerEncoderBlock, sequential};
use downhill_optim::{Adam, Optimizer};
use downhill_tensor::Seed;
use downhill_tensor::threads::Threads;
use downhill_train::{GradientExchange, Progress, Trainer};
use ndarray::Array2;

/// Names the program that this process runs as a rank.
const PROGRAM: &str = "DOWNHILL_MPI_PROGRAM";

/// The folder in which ranks leave what they have.
const FOLDER: &str = "DOWNHILL_MPI_FOLDER";

/// The folder of MNIST's files.
const MNIST: &str = "DOWNHILL_MNIST";

/// The steps before those that are timed.
const WARM_UP: usize = 5;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

// What is trained.

/// A network, and the examples of its global batch.
struct Task {
    name: &'static str,
    title: &'static str,
    batch: usize,
    /// The steps of a measurement.
    steps: usize,
}

const TASKS: [Task; 3] = [
    Task { name: "mnist", title: "784-256-128-10, batch 1024", batch: 1024, steps: 100 },
    Task { name: "wide", title: "784-1024-1024-10, batch 4096", batch: 4096, steps: 8 },
    Task { name: "transformer", title: "2 transformer blocks of 64, batch 256", batch: 256, steps: 30 },
];

fn network(name: &str) -> Outcome<Network<f32>> {
    let affine = Affine::new;
    Ok(match name {
        "mnist" => Network::build([784], sequential![affine(256), Relu, affine(128), Relu, affine(10)], Seed(1))?,
        "wide" => Network::build([784], sequential![affine(1024), Relu, affine(1024), Relu, affine(10)], Seed(1))?,
        "transformer" => {
            let block = || TransformerEncoderBlock::new(4, 256).dropout(0.0);
            Network::build([32], sequential![Embedding::new(64, 64), block(), block(), Flatten, affine(2)], Seed(1))?
        }
        other => return Err(format!("there is no task {other}").into()),
    })
}

/// MNIST; or sentences, of which some have more of the first 8 words in their first half than in their second.
fn data(name: &str) -> Outcome<Dataset<f32>> {
    if name != "transformer" {
        return Ok(downhill_data::mnist(std::env::var_os(MNIST).unwrap_or_default())?.0);
    }
    let mut stream = Seed(5).stream(0);
    let words = Array2::from_shape_fn((16_384, 32), |_| (stream.uniform() * 64.0).floor() as f32);
    let count = |words: &[f32]| words.iter().filter(|&&word| word < 8.0).count();
    let label = |sentence: &[f32]| u32::from(count(&sentence[..16]) > count(&sentence[16..]));
    let labels: Vec<u32> = words.as_slice().unwrap_or_default().chunks_exact(32).map(label).collect();
    Ok(Dataset::from_array(words, labels)?)
}

fn trainer<'a>(batch: usize) -> Trainer<'a, f32, SoftmaxCrossEntropy, Adam<f32>> {
    let trainer = Trainer::new(SoftmaxCrossEntropy::new(), Adam::new(0.001)).progress(Progress::Quiet).drop_last();
    trainer.epochs(u64::from(u32::MAX)).batch_size(batch).seed(Seed(3)).threads(Threads::one())
}

// What a rank does.

/// The words of a program: a name, and `key=value` or a key alone.
struct Words(String);

impl Words {
    fn value(&self, key: &str) -> Option<&str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.value(key)?.parse().ok()
    }

    fn has(&self, key: &str) -> bool {
        self.0.split(' ').any(|word| word == key)
    }
}

fn rank(words: &Words) -> ExitCode {
    downhill_mpi::run(|ranks| {
        let left = match words.0.split(' ').next() {
            Some("train") => train(ranks, words)?,
            Some("passes") => passes(ranks, words)?,
            Some("messages") => messages(ranks)?,
            _ => return Err(format!("there is no program {}", words.0).into()),
        };
        let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default());
        Ok::<_, Box<dyn Error>>(fs::write(folder.join(format!("rank-{}", ranks.rank())), left)?)
    })
}

fn exchange(ranks: &Ranks, words: &Words) -> MpiExchange<f32> {
    let mut exchange = ranks.exchange().time_limit(Duration::from_secs(60));
    if words.has("sharded") {
        exchange = exchange.sharded();
    }
    if words.has("timeline") {
        exchange = exchange.timeline(std::env::var_os(FOLDER).unwrap_or_default());
    }
    if let (Some(micros), Some(megabits)) = (words.number("latency"), words.number("megabits")) {
        exchange = exchange.link(slow(micros, megabits));
    }
    exchange
}

fn slow(micros: usize, megabits: usize) -> Link {
    Link::new(Duration::from_micros(micros as u64), megabits as f64 * 1e6 / 8.0)
}

/// Trains for some steps, and leaves the seconds of one, the numbers that the optimizer remembers, the number of parameters,
/// a checksum of their bits, and the loss of each step.
fn train(ranks: &Ranks, words: &Words) -> Outcome<String> {
    let name = words.value("task").unwrap_or_default();
    let (mut network, data) = (network(name)?, data(name)?);
    let (batch, steps) = (words.number("batch").unwrap_or(1), words.number("steps").unwrap_or(1));
    let (mut ends, mut losses) = (Vec::new(), Vec::new());
    let mut trainer = trainer(batch)
        .accumulate(words.number("accumulate").unwrap_or(1) as u64)
        .on_step(|end| {
            ends.push(Instant::now());
            losses.push(end.loss);
            // The others hear of it with the next step.
            if ends.len() > WARM_UP + steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .exchange(exchange(ranks, words));
    trainer.fit(&mut network, &data)?;
    let memory: usize = trainer.optimizer().state().slots.iter().map(|(_, slot)| slot.len()).sum();
    drop(trainer);
    let seconds = ends[WARM_UP..].windows(2).map(|ends| (ends[1] - ends[0]).as_secs_f64());
    let seconds = median(seconds.take(steps).collect());
    losses.truncate(WARM_UP + steps);
    let bits = network
        .parameters()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, x| (sum ^ u64::from(x.to_bits())).wrapping_mul(0x0000_0100_0000_01b3));
    let losses: Vec<String> = losses.iter().map(f64::to_string).collect();
    Ok(format!("{seconds} {memory} {} {bits:x}\n{}", network.parameters().len(), losses.join(" ")))
}

/// When the numbers of a gradient are complete.
struct Completion {
    began: Instant,
    seen: Vec<(usize, f64)>,
}

impl BackwardObserver<f32> for Completion {
    fn parameter_gradient(&mut self, complete: Range<usize>, _: &[f32]) {
        self.seen.push((complete.start, self.began.elapsed().as_secs_f64()));
    }
}

/// Leaves the seconds of a step without other ranks and of an update, and for each bucket the share of the passes after which
/// it is complete, and its bytes.
fn passes(ranks: &Ranks, words: &Words) -> Outcome<String> {
    let name = words.value("task").unwrap_or_default();
    let step: f64 = train(ranks, words)?.split(' ').next().unwrap_or_default().parse()?;
    let (mut network, data) = (network(name)?, data(name)?);
    let batch: Vec<usize> = (0..words.number("batch").unwrap_or(1)).collect();
    let batch = data.select(&batch)?;
    let (mut rule, mut workspace) = (Adam::new(0.001), network.workspace(Purpose::Training));
    let buckets = exchange(ranks, words).owned(network.parameters().len(), 0);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); buckets.len() + 2];
    Threads::one().run(|| -> Result<(), PassError> {
        for _ in 0..words.number("steps").unwrap_or(1) {
            let mut seen = Completion { began: Instant::now(), seen: Vec::new() };
            let (mode, loss) = (Mode::Training { step: 0 }, SoftmaxCrossEntropy::new());
            let (x, targets) = (batch.inputs(), batch.targets());
            network.backpropagate_observed(x, targets, None, &loss, &mut workspace, mode, &mut seen)?;
            let passes = seen.began.elapsed();
            network.step(&mut rule, &mut workspace)?;
            times[0].push((seen.began.elapsed() - passes).as_secs_f64());
            times[1].push(passes.as_secs_f64());
            for (bucket, times) in buckets.iter().rev().zip(&mut times[2..]) {
                times.extend(seen.seen.iter().find(|(start, _)| *start <= bucket.start).map(|(_, seconds)| *seconds));
            }
        }
        Ok(())
    })?;
    let times: Vec<f64> = times.into_iter().map(median).collect();
    let (update, passes) = (times[0], step - times[0]);
    let mut left = format!("{step} {update}");
    for (bucket, seconds) in buckets.iter().rev().zip(&times[2..]) {
        // What a step does before its passes, such as the choice of examples, comes first.
        let share = 1.0 - (times[1] - seconds) / passes;
        left += &format!(" {share} {}", size_of_val(&network.parameters()[bucket.clone()]));
    }
    Ok(left)
}

/// Leaves the seconds of the smallest message, and the bytes per second of large ones.
fn messages(ranks: &Ranks) -> Outcome<String> {
    const NUMBERS: usize = 1 << 20;
    let mut exchange: MpiExchange<f32> = ranks.exchange();
    let (mut small, mut large) = (Vec::new(), Vec::new());
    let (mut numbers, mut sum) =
        (vec![1.0; NUMBERS], vec![0.0; exchange.owned(NUMBERS, ranks.rank()).iter().map(Range::len).sum()]);
    let factors = vec![Some(1.0); ranks.count()];
    for _ in 0..200 {
        let began = Instant::now();
        exchange.gather("a small message", &[0])?;
        small.push(began.elapsed().as_secs_f64());
    }
    for _ in 0..50 {
        let began = Instant::now();
        exchange.send(0..NUMBERS, &numbers);
        exchange.add(&factors, &mut sum)?;
        exchange.complete(&mut numbers)?;
        large.push(began.elapsed().as_secs_f64());
    }
    let (small, large) = (median(small), median(large));
    let others = 1.0 - 1.0 / ranks.count() as f64;
    let bytes = 2.0 * others * size_of_val(&numbers[..]) as f64;
    Ok(format!("{small} {}", bytes / (large - 2.0 * small)))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

// How ranks are started.

struct Bench {
    folder: PathBuf,
    mnist: String,
    /// The Python that has PyTorch, and the script.
    python: Option<(String, String)>,
    /// The rounds of a comparison, each of which takes every side in turn.
    rounds: usize,
    /// The one task that is wanted.
    task: Option<String>,
}

/// What a rank has left of its training.
struct Trained {
    seconds: f64,
    memory: usize,
    parameters: usize,
    bits: String,
    losses: Vec<f64>,
}

impl Bench {
    fn wants(&self, task: &Task) -> bool {
        self.task.as_ref().is_none_or(|wanted| wanted == task.name)
    }

    fn spawn(&self, ranks: usize, folder: &Path, words: &str) -> Outcome<Child> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let mut mpirun = Command::new(std::env::var_os("MPIRUN").unwrap_or_else(|| "mpirun".into()));
        mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        mpirun.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
        mpirun.env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
        // Two launchers at a time would take the same core.
        if thread::available_parallelism().map_or(1, usize::from) != ranks {
            mpirun.env("OMPI_MCA_hwloc_base_binding_policy", "none");
        }
        mpirun.env(PROGRAM, words).env(FOLDER, folder).env(MNIST, &self.mnist);
        Ok(mpirun.args(["-n", &ranks.to_string()]).arg(std::env::current_exe()?).stdin(Stdio::null()).spawn()?)
    }

    /// Runs a program, and returns what its ranks have left.
    fn launch(&self, ranks: usize, words: &str) -> Outcome<Vec<String>> {
        let folder = self.folder.join("ranks");
        let status = self.spawn(ranks, &folder, words)?.wait()?;
        if !status.success() {
            return Err(format!("`{words}` on {ranks} ranks ended with {status}").into());
        }
        Ok((0..ranks).map(|rank| fs::read_to_string(folder.join(format!("rank-{rank}")))).collect::<Result<_, _>>()?)
    }

    fn train(&self, ranks: usize, words: &str) -> Outcome<Vec<Trained>> {
        let read = |left: &String| -> Option<Trained> {
            let (first, losses) = left.split_once('\n')?;
            let mut words = first.split(' ');
            Some(Trained {
                seconds: words.next()?.parse().ok()?,
                memory: words.next()?.parse().ok()?,
                parameters: words.next()?.parse().ok()?,
                bits: words.next()?.to_owned(),
                losses: losses.split(' ').map(|loss| loss.parse().ok()).collect::<Option<_>>()?,
            })
        };
        let left = self.launch(ranks, words)?;
        left.iter().map(read).collect::<Option<_>>().ok_or_else(|| format!("this is no result: {left:?}").into())
    }

    /// The seconds of a step of PyTorch's, if it is there.
    fn ddp(&self, task: &Task, ranks: usize) -> Outcome<Option<f64>> {
        let Some((python, script)) = &self.python else { return Ok(None) };
        let batch = (task.batch / ranks).to_string();
        let arguments = [task.name, &ranks.to_string(), &batch, &task.steps.to_string(), &self.mnist];
        let output = Command::new(python).arg(script).args(arguments).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{script} ended with {}", output.status).into());
        }
        let printed = String::from_utf8(output.stdout)?;
        let mut words = printed.split(' ');
        let seconds = words.next().and_then(|word| word.parse().ok());
        let parameters = words.next().and_then(|word| word.parse::<usize>().ok());
        if parameters != Some(network(task.name)?.parameters().len()) {
            return Err(format!("{script} does not have the network {}: {printed}", task.name).into());
        }
        Ok(seconds)
    }
}

/// The events of the timelines of all ranks in a folder, as numbers: the sum over the events of a row and a name.
fn sum_of(folder: &Path, ranks: usize, row: u8, name: &str, number: &str) -> Outcome<(usize, f64)> {
    let (mut count, mut sum) = (0, 0.0);
    for rank in 0..ranks {
        let timeline = fs::read_to_string(folder.join(format!("rank-{rank}.json")))?;
        let (name, row) = (format!(r#""name":"{name}""#), format!(r#""tid":{row},"ts""#));
        for line in timeline.lines().filter(|line| line.contains(&name) && line.contains(&row)) {
            let after = line.split_once(&format!(r#""{number}":"#)).map_or("", |(_, after)| after);
            sum += after.split([',', '}']).next().unwrap_or_default().parse::<f64>()?;
            count += 1;
        }
    }
    Ok((count, sum))
}

fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let rule = || head.iter().map(|_| "---".to_owned()).collect();
    let rows: Vec<Vec<String>> =
        [head.iter().map(|&cell| cell.to_owned()).collect(), rule()].into_iter().chain(rows.iter().cloned()).collect();
    println!("\n{title}\n");
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

// What is shown.

/// The seconds in which a number goes from one core to another and back: the smallest median of several tries.
fn round_trip() -> Option<f64> {
    const TURNS: u64 = 20_000;
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let wait = |ball: &AtomicU64, until: u64| {
        while ball.load(Ordering::Acquire) != until {
            hint::spin_loop();
        }
    };
    let tries = (0..9).map(|_| {
        let ball = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 0..TURNS {
                    wait(&ball, 2 * turn + 1);
                    ball.store(2 * turn + 2, Ordering::Release);
                }
            });
            ball.store(1, Ordering::Release);
            wait(&ball, 2);
            let start = Instant::now();
            for turn in 1..TURNS {
                ball.store(2 * turn + 1, Ordering::Release);
                wait(&ball, 2 * turn + 2);
            }
            start.elapsed().as_secs_f64() / (TURNS - 1) as f64
        })
    });
    tries.min_by(f64::total_cmp)
}

/// Losses and weights of 1, 2 and 4 ranks next to those of one process, the bytes that they send and the numbers that the
/// optimizer keeps.
fn equality(bench: &Bench) -> Outcome {
    let mut rows = Vec::new();
    for (task, steps) in [(&TASKS[0], 50), (&TASKS[2], 20)].into_iter().filter(|(task, _)| bench.wants(task)) {
        let words = |batch| format!("train task={} batch={batch} steps={steps} sharded timeline", task.name);
        let one = bench.train(1, &words(task.batch))?;
        for ranks in [1, 2, 4] {
            let batch = task.batch / ranks;
            let alone = bench.train(1, &format!("{} accumulate={ranks}", words(batch)))?;
            let all = bench.train(ranks, &words(batch))?;
            let same = all.iter().all(|rank| rank.bits == all[0].bits && rank.losses == all[0].losses);
            // The last step after the timed ones is that in which ranks hear of the end.
            let bits = all[0].losses == alone[0].losses;
            let apart = all[0].losses.iter().zip(&one[0].losses).map(|(a, b)| (a - b).abs() / b);
            // Rounding grows from step to step.
            let (first, far) = (apart.clone().take(10).fold(0.0, f64::max), apart.fold(0.0, f64::max));
            let folder = bench.folder.join("ranks");
            let (mut bytes, mut bound) = ("0".to_owned(), "0".to_owned());
            if ranks > 1 {
                let (_, gradients) = sum_of(&folder, ranks, 0, "the gradients", "bytes")?;
                let (count, parts) = sum_of(&folder, ranks, 0, "the parts of the weights", "bytes")?;
                bytes = format!("{:.0}", (gradients + parts) / count as f64);
                let least = 2.0 * (ranks - 1) as f64 / ranks as f64 * 4.0 * all[0].parameters as f64;
                bound = format!("{least:.0}");
            }
            let memory = all.iter().map(|rank| rank.memory).max().unwrap_or(0);
            if !(same && bits && first < 1e-5 && far < 1e-2) {
                let title = task.title;
                return Err(format!("{title} on {ranks} ranks: {same} {bits} {first:e} {far:e}").into());
            }
            rows.push(vec![
                task.title.to_owned(),
                ranks.to_string(),
                "equal".into(),
                "equal".into(),
                format!("{first:.0e}"),
                format!("{far:.0e}"),
                format!("{:.4}", all[0].losses.last().copied().unwrap_or(f64::NAN)),
                bytes,
                bound,
                format!("{:.3}", memory as f64 / (2 * all[0].parameters) as f64),
            ]);
        }
    }
    print(
        "Ranks and one process with the same global batch: weights of all ranks, bits of one process that accumulates the \
         same batches, the largest relative difference of the first ten losses and of all from one process that takes them \
         as one, bytes that a rank sends in a step next to the least, and the share of the optimizer's numbers that it keeps.",
        &["network", "ranks", "weights", "bits", "ten losses", "all", "last loss", "bytes", "least", "optimizer"],
        &rows,
    );
    Ok(())
}

/// The time of a step on one process and on two, each with one thread, next to PyTorch's.
fn speed(bench: &Bench) -> Outcome {
    let mut rows = Vec::new();
    for task in TASKS.iter().filter(|task| bench.wants(task)) {
        // Ours on one and on two, PyTorch's on one and on two.
        let mut seconds: [Vec<f64>; 4] = Default::default();
        let words =
            |ranks| format!("train task={} batch={} steps={} sharded", task.name, task.batch / ranks, task.steps);
        for _ in 0..bench.rounds {
            for ranks in [1, 2] {
                seconds[ranks - 1].push(bench.train(ranks, &words(ranks))?[0].seconds);
                seconds[ranks + 1].extend(bench.ddp(task, ranks)?);
            }
        }
        bench.train(2, &format!("{} timeline", words(2)))?;
        let folder = bench.folder.join("ranks");
        let time = |row, name| -> Outcome<f64> { Ok(sum_of(&folder, 2, row, name, "dur")?.1) };
        let (gradients, parts) = (time(0, "the gradients")?, time(0, "the parts of the weights")?);
        let hidden = (gradients - time(1, "the gradients")?).max(0.0);
        let ratio = |one: &[f64], two: &[f64]| median(one.iter().zip(two).map(|(one, two)| one / two).collect());
        let faster = |one: &[f64], two: &[f64]| {
            if one.is_empty() || two.is_empty() { "missing".into() } else { format!("{:.2} ×", ratio(one, two)) }
        };
        let cell = |seconds: &[f64]| {
            if seconds.is_empty() { "missing".into() } else { milliseconds(median(seconds.to_vec())) }
        };
        rows.push(vec![
            task.title.to_owned(),
            cell(&seconds[0]),
            cell(&seconds[1]),
            faster(&seconds[0], &seconds[1]),
            cell(&seconds[2]),
            cell(&seconds[3]),
            faster(&seconds[2], &seconds[3]),
            faster(&seconds[3], &seconds[1]),
            percent(hidden / gradients),
            percent(hidden / (gradients + parts)),
        ]);
    }
    print(
        &format!(
            "A step of one global batch on one process and on two, with one thread each: medians of {} rounds that take \
             every side in turn. Hidden is the share of the gradient's messages that the backward pass hides, and of all \
             large messages.",
            bench.rounds
        ),
        &["network", "one", "two", "gain", "PyTorch", "DDP on two", "its gain", "ahead of it", "hidden", "of all"],
        &rows,
    );
    Ok(())
}

/// Steps over slow links next to what [`Plan`] says of them, and what it says of many nodes.
fn model(bench: &Bench) -> Outcome {
    let links: Vec<(usize, usize)> =
        [100, 1_000, 10_000].into_iter().flat_map(|micros| [(micros, 1_000), (micros, 10_000)]).collect();
    let (mut rows, mut plans) = (Vec::new(), Vec::new());
    // Four ranks on two cores: few examples, so that it matters little that they share the cores.
    let small = Task { title: "784-256-128-10, batch 64", batch: 64, ..TASKS[0] };
    for (task, ranks, steps) in [(&TASKS[0], 2, 30), (&small, 4, 30), (&TASKS[1], 2, 6)] {
        if !bench.wants(task) {
            continue;
        }
        let batch = task.batch / ranks;
        // For each link what the plan says and what was measured, in each round.
        let mut times = vec![[Vec::new(), Vec::new()]; links.len()];
        for _ in 0..bench.rounds {
            let plan = plan(bench, task, ranks, steps)?;
            let left = bench.launch(ranks, "messages")?;
            let numbers: Vec<f64> = left[0].split(' ').map(str::parse).collect::<Result<_, _>>()?;
            let [latency, bytes_per_second] = numbers[..] else { return Err("no two numbers".into()) };
            for ((micros, megabits), times) in links.iter().zip(&mut times) {
                let slow = slow(*micros, *megabits);
                let link = Link::new(
                    slow.latency() + Duration::from_secs_f64(latency),
                    1.0 / (1.0 / slow.bytes_per_second() + 1.0 / bytes_per_second),
                );
                let words = format!(
                    "train task={} batch={batch} steps={steps} sharded latency={micros} megabits={megabits}",
                    task.name
                );
                times[0].push(plan.step(ranks, batch, &link).seconds);
                times[1].push(bench.train(ranks, &words)?[0].seconds);
            }
            if ranks == 2 {
                plans.push((task, plan, latency, bytes_per_second));
            }
        }
        for ((micros, megabits), [predicted, measured]) in links.iter().zip(times) {
            let (predicted, measured) = (median(predicted), median(measured));
            rows.push(vec![
                task.title.to_owned(),
                ranks.to_string(),
                format!("{} ms", *micros as f64 / 1e3),
                format!("{} Gbit/s", megabits / 1000),
                milliseconds(predicted),
                milliseconds(measured),
                format!("{:+.0} %", (predicted / measured - 1.0) * 100.0),
            ]);
        }
    }
    print(
        &format!(
            "Steps over slow links: what `Plan` says, and what real processes take whose messages wait for as long as the \
             link takes; medians of {} rounds.",
            bench.rounds
        ),
        &["network", "ranks", "latency", "bandwidth", "predicted", "measured", "off by"],
        &rows,
    );
    // The last round of each network.
    plans.reverse();
    plans.dedup_by_key(|(task, ..)| task.name);
    plans.reverse();
    for (task, plan, latency, bytes_per_second) in &plans {
        println!("\n{}: {plan:?}", task.title);
        println!("between the processes: {} and {:.1} GB/s", milliseconds(*latency), bytes_per_second / 1e9);
        read_out(task, plan);
    }
    Ok(())
}

/// What a plan says of many nodes.
fn read_out(task: &Task, plan: &Plan) {
    const NODES: [usize; 6] = [2, 8, 32, 128, 512, 1000];
    // What a message takes of the processor can't be measured with one other process: this is usual.
    let plan = plan.clone().message(1e-6);
    let mut rows = Vec::new();
    for (name, micros, megabits) in
        [("1 Gbit/s, 100 µs", 100, 1_000), ("10 Gbit/s, 30 µs", 30, 10_000), ("100 Gbit/s, 2 µs", 2, 100_000)]
    {
        let link = slow(micros, megabits);
        let one = |examples| examples as f64 / plan.step(1, examples, &link).seconds;
        let weak = NODES.map(|nodes| {
            let all = (nodes * task.batch) as f64 / plan.step(nodes, task.batch, &link).seconds;
            percent(all / (nodes as f64 * one(task.batch)))
        });
        let strong = NODES.map(|nodes| {
            let each = task.batch.div_ceil(nodes);
            format!("{:.1} ×", task.batch as f64 / plan.step(nodes, each, &link).seconds / one(task.batch))
        });
        rows.push([name.to_owned(), format!("{} each", task.batch)].into_iter().chain(weak).collect());
        rows.push([name.to_owned(), format!("{} in all", task.batch)].into_iter().chain(strong).collect());
    }
    print(
        "On many nodes of a thread each: the share of their power that is used if each has a batch, and how many times as \
         fast as one they are if they share one.",
        &["link", "batch", "2", "8", "32", "128", "512", "1000"],
        &rows,
    );
}

/// Measures what a step costs while all ranks compute at the same time, at two sizes of the batch.
fn plan(bench: &Bench, task: &Task, ranks: usize, steps: usize) -> Outcome<Plan> {
    let mut measured = Vec::new();
    let batches = [task.batch / ranks / 2, task.batch / ranks];
    for batch in batches {
        let words = format!("passes task={} batch={batch} steps={steps}", task.name);
        let folders: Vec<PathBuf> = (0..ranks).map(|rank| bench.folder.join(format!("alone-{rank}"))).collect();
        let children: Vec<Child> =
            folders.iter().map(|folder| bench.spawn(1, folder, &words)).collect::<Outcome<_>>()?;
        for mut child in children {
            if !child.wait()?.success() {
                return Err(format!("`{words}` has failed").into());
            }
        }
        let mut sum: Vec<f64> = Vec::new();
        for folder in &folders {
            let left = fs::read_to_string(folder.join("rank-0"))?;
            let numbers: Vec<f64> = left.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            sum.resize(numbers.len(), 0.0);
            sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number / ranks as f64);
        }
        measured.push(sum);
    }
    let [half, whole] = &measured[..] else { return Err("no two sizes".into()) };
    let passes = |measured: &[f64]| measured[0] - measured[1];
    // Examples that cost more the more there are, as when they leave the cache, would make the overhead less than nothing.
    let most = passes(whole) / batches[1] as f64;
    let example = ((passes(whole) - passes(half)) / (batches[1] - batches[0]) as f64).min(most);
    let overhead = passes(whole) - example * batches[1] as f64;
    let mut plan = Plan::new(example).overhead(overhead).update(whole[1]);
    for bucket in whole[2..].as_chunks::<2>().0 {
        plan = plan.bucket(bucket[0], bucket[1]);
    }
    Ok(plan)
}

fn run(arguments: &[String]) -> Outcome {
    let value = |key: &str| {
        let place = arguments.iter().position(|argument| argument == key)?;
        arguments.get(place + 1).cloned()
    };
    let has = |key: &str| arguments.iter().any(|argument| argument == key);
    let bench = Bench {
        folder: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scaling"),
        mnist: value("--mnist").ok_or("`--mnist FOLDER` names the folder of MNIST's files")?,
        python: value("--python").zip(value("--script")),
        rounds: value("--rounds").map_or(Ok(if has("--model") { 3 } else { 5 }), |rounds| rounds.parse())?,
        task: value("--task"),
    };
    match round_trip() {
        Some(seconds) => println!(
            "A number goes from one core to another and back in {:.0} ns: cores that share a cache take 50 to 150 ns, and \
             processes on others gain less.",
            seconds * 1e9
        ),
        None => println!("There is one core, so that two processes gain nothing."),
    }
    if has("--model") {
        return model(&bench);
    }
    if !has("--speed") {
        equality(&bench)?;
    }
    speed(&bench)
}

fn main() -> ExitCode {
    if let Ok(words) = std::env::var(PROGRAM) {
        return rank(&Words(words));
    }
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
