//! Real processes under `mpirun`: this program starts itself as their ranks, and compares what they leave.
//!
//! `cargo xtask mpi` runs it. A part of a test's name, as an argument, runs the tests with that name.

mod launched;
mod launcher;
mod programs;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use downhill_tensor::Seed;

use self::launched::{command_in, finish, folder_of, launch, launch_in, wait_for, without_memory};
use self::launcher::mpirun;
use self::programs::{SLOW, program};
use self::tasks::{alone, task};

/// Names the program that this process runs as a rank.
const PROGRAM: &str = "DOWNHILL_MPI_PROGRAM";

/// The folder in which ranks leave what they have.
const FOLDER: &str = "DOWNHILL_MPI_FOLDER";

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

fn batches_of_all_ranks_are_normalised_as_one() {
    let (mut network, data, trainer) = task("normalised");
    let history = trainer.batch_size(32).fit(&mut network, &data).unwrap();
    // The second rank has no batch in the last step.
    for words in ["", " sharded", " bf16"].map(|more| format!("train normalised synchronized{more}")) {
        let all = launch(2, &words).all();
        assert!(all.len() == 2 && without_memory(&all[0]) == without_memory(&all[1]), "{words}");
        let loss: f64 = without_memory(&all[0]).split(' ').next().unwrap().parse().unwrap();
        let expected = history.epochs[0].training_loss;
        assert!((loss - expected).abs() < 1e-3 * expected, "{loss} {expected}");
    }
}

fn a_run_after_one_that_has_failed_begins_anew() {
    for words in ["again", "again bf16", "again synchronized bf16 sharded"] {
        let all = launch(2, words).all();
        assert!(all.len() == 2 && all[0] == all[1], "{words}");
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
    launch(4, "kill").ended_by_a_kill();
}

fn a_rank_that_hangs_is_named() {
    let launched = launch(4, "hang impatient");
    launched.ended_with("of all ranks did not come together within 2 s: rank 1 did not arrive, ranks ");
}

fn ranks_that_were_all_stopped_go_on() {
    let folder = folder_of(3, "stopped impatient");
    let _ = fs::remove_dir_all(&folder);
    let command = command_in(&folder, 3, "checkpoints 6 impatient");
    let at = folder.clone();
    let running = thread::spawn(move || finish(command, &at, 3));
    let process =
        |rank| fs::read_to_string(folder.join(format!("process-{rank}"))).ok().filter(|text| !text.is_empty());
    let processes = loop {
        match (0..3).map(process).collect::<Option<Vec<String>>>() {
            Some(processes) => break processes,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    for (signal, then) in [("-STOP", 3), ("-CONT", 0)] {
        assert!(Command::new("kill").arg(signal).args(&processes).status().unwrap().success());
        thread::sleep(Duration::from_secs(then));
    }
    let all = running.join().unwrap().all();
    assert!(all.len() == 3 && all.iter().all(|left| *left == all[0]));
}

fn a_process_that_stands_still_is_named() {
    launch(3, "freeze impatient").ended_with("rank 1 did not arrive, rank ");
}

fn ranks_that_differ_are_told_in_what() {
    for (what, difference) in [
        (
            "network",
            "the network: `0      Affine      21        1365` there and `0      Affine      20        1300` on rank 0",
        ),
        ("data", "the training data: `1796 examples with the checksum "),
        ("settings", "the batch size of the data: `8` there and `16` on rank 0"),
        ("precision", "the numbers that gradients are sent as: `bf16` there and `their own precision` on rank 0"),
        ("version", "the version of downhill: `0.0.9` there and `0.1.0` on rank 0"),
    ] {
        let launched = launch(3, &format!("differ {what}"));
        launched.ended_with(&format!("rank 1 differs from rank 0 in {difference}"));
        assert!(launched.ranks.is_empty(), "{what}");
    }
    assert_eq!(launch(3, "differ nothing").all().len(), 3);
    // A folder of checkpoints that one rank doesn't see.
    let folder = folder_of(2, "lost");
    let _ = fs::remove_dir_all(&folder);
    launch_in(&folder, 2, "checkpoints 1 lost").all();
    let launched = launch_in(&folder, 2, "checkpoints 2 lost");
    launched.ended_with("rank 1 differs from rank 0 in the step that the run begins at: `0` there and `22` on rank 0");
}

fn one_rank_shows_progress_and_names_the_slowest() {
    let launched = launch(3, "slow");
    let text = String::from_utf8(launched.output.stdout.clone()).unwrap();
    assert_eq!(text.matches("slowest rank").count(), 1, "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  2 by 0.") && line.ends_with(" s")).count(), 3, "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    let log = fs::read_to_string(folder_of(3, "slow").join("log")).unwrap();
    assert_eq!(log.matches(r#""slowest":{"rank":2,"seconds":0."#).count(), 3, "{log}");
    assert!(launched.all().iter().all(|slowest| slowest == "[(2, true), (2, true), (2, true)]"));
}

fn gradients_as_bf16_have_half_the_bytes_and_learn_as_well() {
    let (loss, accuracy) = result(without_memory(&launch(2, "train mlp").all()[0]));
    for words in ["train mlp bf16 timeline", "train mlp bf16 sharded timeline"] {
        let all = launch(2, words).all();
        assert!(all.len() == 2 && all[0] == all[1], "{words}");
        let (other, other_accuracy) = result(without_memory(&all[0]));
        assert!(other != loss && (other - loss).abs() < 0.02 * loss, "{words}: {other} {loss}");
        assert!((other_accuracy - accuracy).abs() < 0.01, "{words}: {other_accuracy} {accuracy}");
        let parameters: usize = all[0].lines().next().unwrap().split_once(' ').unwrap().1.parse().unwrap();
        let timeline = |rank| fs::read_to_string(folder_of(2, words).join(format!("rank-{rank}.json"))).unwrap();
        let sent = |name| (0..2).map(|rank| sum_of(&timeline(rank), name, "bytes")).sum::<usize>();
        let steps = 3 * 22;
        assert_eq!(sent("the gradients"), steps * 2 * parameters);
        // Parameters after a step are sent as they are, and mean gradients are rounded.
        let each = if words.contains("sharded") { 4 } else { 2 };
        assert_eq!(sent("the parts of the weights"), steps * each * parameters);
    }
    // A rank without a batch keeps for later what it was to add.
    let all = launch(4, "train mlp bf16").all();
    assert!(all.len() == 4 && all.iter().all(|left| *left == all[0]));
}

fn a_label_out_of_range_ends_all_ranks() {
    let launched = launch(3, "label own");
    launched.ended_by(1, "the targets of the training data do not fit");
    launched.ended_with("class 99");
}

fn a_checkpoint_that_can_not_be_written_ends_all_ranks() {
    launch(3, "disk no-folder sharded").ended_by(0, "Not a directory");
}

fn a_rank_without_examples_ends_all() {
    launch(3, "empty own").ended_by(1, "the data set is empty");
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
        launch_in(&same, 3, &format!("checkpoints 3 sharded kill-after-{step}")).ended_by_a_kill();
    }
    let resumed = launch_in(&same, 3, "checkpoints 3").all();
    assert_eq!(resumed, whole);
    let other = folder("other-ranks");
    launch_in(&other, 4, "checkpoints 3 sharded kill-after-8").ended_by_a_kill();
    let resumed = launch_in(&other, 2, "checkpoints 3 sharded").all();
    assert!(resumed.len() == 2 && resumed[0] == resumed[1]);
    let loss = |left: &str| left.lines().nth(2).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
    assert!(loss(&resumed[0]) < 1.5 * loss(&whole[0]), "{} {}", loss(&resumed[0]), loss(&whole[0]));
}

/// Gives a program's checkpoints a file system of 160 KiB, which goes with this shell, and keeps what came of them.
const SMALL_DISK: &str = r#"
    mkdir "$0/checkpoints" && mount -t tmpfs -o size=160k tmpfs "$0/checkpoints" || exit 99
    [ $# = 0 ] && exit
    "$@"
    code=$?
    mkdir "$0/kept" && cp "$0"/checkpoints/step-* "$0/kept"
    exit $code
"#;

fn a_full_disk_ends_all_ranks_and_leaves_whole_checkpoints() {
    let folder = folder_of(3, "full disk");
    let _ = fs::remove_dir_all(&folder);
    let small_disk = |folder: &Path| {
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", SMALL_DISK]).arg(folder);
        shell
    };
    fs::create_dir_all(folder.join("probe")).unwrap();
    let can_mount = small_disk(&folder.join("probe")).output().is_ok_and(|output| output.status.success());
    let checkpoints = if can_mount {
        let program = command_in(&folder, 3, "disk full");
        let mut shell = small_disk(&folder);
        shell.arg(program.get_program()).args(program.get_args());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        finish(shell, &folder, 3).ended_by(0, "No space left on device");
        fs::rename(folder.join("checkpoints"), folder.join("mounted")).unwrap();
        fs::rename(folder.join("kept"), folder.join("checkpoints")).unwrap();
        folder.join("checkpoints")
    } else {
        println!("no file system can be mounted here, so that the size of files is limited instead");
        let mut shell = mpirun(3);
        // Without this, the signal of a file that is too large ends the process.
        shell.args(["sh", "-c", r#"trap "" XFSZ; exec "$0""#]).arg(std::env::current_exe().unwrap());
        shell.env(PROGRAM, "disk small-files").env(FOLDER, &folder).env("RUST_BACKTRACE", "0");
        finish(shell, &folder, 3).ended_by(0, "File too large");
        folder.join("checkpoints")
    };
    assert!(fs::read_dir(&checkpoints).unwrap().count() > 0);
    let resumed = launch_in(&folder, 3, "checkpoints 3").all();
    assert_eq!(resumed, launch(3, "checkpoints 3").all());
    assert_whole(&checkpoints);
}

/// Checks that no checkpoint was found to be damaged and set aside.
fn assert_whole(checkpoints: &Path) {
    let names: Vec<_> = fs::read_dir(checkpoints).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".damaged")), "{names:?}");
}

/// The training loss and the accuracy of the last epoch.
fn result(left: &str) -> (f64, f64) {
    let last = left.lines().rfind(|line| line.contains(' ')).unwrap();
    let (loss, metrics) = last.split_once(' ').unwrap();
    let accuracy = metrics.trim_end_matches([')', ']']).rsplit(' ').next().unwrap();
    (loss.parse().unwrap(), accuracy.parse().unwrap())
}

/// Names the number of processes that are killed in [`random_kills_change_no_result`].
const KILLS: &str = "DOWNHILL_MPI_KILLS";

/// A run that is killed again and again, each time at another moment, and then goes on to its end.
struct Killed {
    folder: PathBuf,
    kills: usize,
}

impl Killed {
    /// Starts ranks and kills one of them after this time, unless all have ended before. Returns what they leave if they
    /// have come to their end.
    fn launch(&mut self, ranks: usize, words: &str, victim: usize, after: Duration) -> Option<Vec<String>> {
        let process = self.folder.join(format!("process-{victim}"));
        let _ = fs::remove_file(&process);
        let mut command = command_in(&self.folder, ranks, words);
        let (folder, running) = (self.folder.clone(), thread::spawn(move || command.output().unwrap()));
        let number = loop {
            match fs::read_to_string(&process) {
                Ok(number) if !number.is_empty() => break number,
                _ if running.is_finished() => panic!("{:?}", running.join()),
                _ => thread::sleep(Duration::from_millis(1)),
            }
        };
        thread::sleep(after);
        let is_killed = Command::new("kill").args(["-KILL", &number]).stderr(Stdio::null()).status().unwrap().success();
        let (output, seconds) = wait_for(running);
        if is_killed && !output.status.success() {
            assert!(seconds < 10.0, "it took {seconds} s");
            self.kills += 1;
            return None;
        }
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some((0..ranks).map(|rank| fs::read_to_string(folder.join(format!("rank-{rank}"))).unwrap()).collect())
    }
}

fn random_kills_change_no_result() {
    let wanted = std::env::var(KILLS).map_or(6, |kills| kills.parse().unwrap());
    // A run in order has 12 batches to a step on any number of ranks, and one that is not has as many as ranks.
    let words = |in_order: bool, ranks: usize| match in_order {
        true => format!("checkpoints 6 in-order batches-{}", 12 / ranks),
        false => "checkpoints 6 sharded".to_owned(),
    };
    let whole = [false, true].map(|in_order| {
        let launched = launch(3, &words(in_order, 3));
        (launched.seconds, launched.all().swap_remove(0))
    });
    let mut random = Seed(18).stream(0);
    let mut below = |most: usize| (random.uniform() * most as f64) as usize;
    let (mut kills, mut runs, mut others) = (0, 0, 0);
    while kills < wanted {
        // In turn: the same ranks; others, in order; others.
        let (in_order, same_ranks) = (runs % 3 == 1, runs % 3 == 0);
        let (seconds, whole) = &whole[usize::from(in_order)];
        let folder = folder_of(runs, "kills");
        let _ = fs::remove_dir_all(&folder);
        let mut run = Killed { folder, kills: 0 };
        let most = (1 + below(4)).min(wanted - kills);
        let (mut end, mut used) = (None, Vec::new());
        while end.is_none() {
            let ranks = if same_ranks { 3 } else { 1 + below(4) };
            used.push(ranks);
            let words = words(in_order, ranks);
            end = if run.kills < most {
                run.launch(
                    ranks,
                    &words,
                    below(ranks),
                    Duration::from_secs_f64(0.7 * seconds * below(1000) as f64 / 1000.0),
                )
            } else {
                Some(launch_in(&run.folder, ranks, &words).all())
            };
        }
        let end = end.unwrap_or_default();
        kills += run.kills;
        runs += 1;
        others += usize::from(run.kills > 0 && used.iter().any(|&ranks| ranks != used[0]));
        assert_whole(&run.folder.join("checkpoints"));
        assert!(end.iter().all(|left| *left == end[0]));
        let (accuracy, expected) = (result(&end[0]).1, result(whole).1);
        assert!((accuracy - expected).abs() < 0.02, "{used:?} ranks: {accuracy} {expected}");
        if same_ranks || in_order {
            assert!(end[0] == *whole, "{used:?} ranks: {accuracy} {expected}");
        }
    }
    println!("{kills} kills in {runs} runs, {others} of which went on with another number of ranks");
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
        batches_of_all_ranks_are_normalised_as_one,
        a_run_after_one_that_has_failed_begins_anew,
        a_sharded_optimizer_has_these_bits_and_its_share_of_the_memory,
        timelines_show_the_least_bytes_that_there_are,
        a_link_slows_messages_down_and_leaves_the_bits,
        a_panic_ends_all_ranks,
        an_error_of_one_rank_ends_all,
        a_killed_rank_ends_all,
        a_rank_that_hangs_is_named,
        a_process_that_stands_still_is_named,
        ranks_that_were_all_stopped_go_on,
        one_rank_shows_progress_and_names_the_slowest,
        gradients_as_bf16_have_half_the_bytes_and_learn_as_well,
        ranks_that_differ_are_told_in_what,
        a_label_out_of_range_ends_all_ranks,
        a_rank_without_examples_ends_all,
        a_checkpoint_that_can_not_be_written_ends_all_ranks,
        a_full_disk_ends_all_ranks_and_leaves_whole_checkpoints,
        killed_runs_go_on_with_their_bits_and_on_other_numbers_of_ranks,
        random_kills_change_no_result,
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
