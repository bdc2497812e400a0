//! `cargo xtask crash`: training processes that are killed, and disks that fail.

pub(crate) mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use downhill::formats::safetensors;
use downhill::tensor::Seed;
use rand::RngCore;

use crate::Result;
use worker::EVERY;

/// Kills training processes at random instants, and inside the writing of a checkpoint after a write, an fsync or a rename
/// (by strace, if it can trace here), and resumes each: it loses no more than the steps since the last checkpoint, and
/// ends with the bits of an unbroken run. Then disks fail: full, read-only, with errors, with short writes. Every
/// flipped bit of a checkpoint must be detected.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How often processes are killed in all; a quarter of them inside the writing of a checkpoint.
    #[arg(long, default_value_t = 30, value_name = "COUNT")]
    kills: u64,
}

/// The calls after which a process is killed inside a checkpoint's writing.
const CALLS: [&str; 4] = ["write", "fsync", "rename", "openat"];

pub(crate) fn run(arguments: &Arguments) -> Result {
    let scratch = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let expected = Worker::new(&program, &scratch.path().join("unbroken")).finish()?.1;
    let mut random = Seed(77).stream(0);
    let traces = traces();
    let injected = if traces { arguments.kills / 4 } else { 0 };
    let mut runs = 0;

    let mut worker = Worker::new(&program, &scratch.path().join("run-0"));
    let mut killed = Kills::default();
    while killed.in_all() < arguments.kills {
        let is_injected =
            killed.injected < injected && (killed.in_all() % 4 == 3 || killed.at_random >= arguments.kills - injected);
        let before = worker.steps()?;
        let finished = if is_injected {
            let call = CALLS[(random.next_u32() % 4) as usize];
            let count = 1 + random.next_u32() % if call == "openat" || call == "write" { 60 } else { 12 };
            worker.killed_after(call, count)?
        } else {
            let after = Duration::from_micros(3000 + u64::from(random.next_u32()) % 60_000);
            worker.killed_at(after)?
        };
        match finished {
            Some(bits) => {
                if bits != expected {
                    return Err(format!("the run in {} ended with other bits", worker.folder.display()).into());
                }
                runs += 1;
                worker = Worker::new(&program, &scratch.path().join(format!("run-{runs}")));
            }
            None => {
                if is_injected {
                    killed.injected += 1
                } else {
                    killed.at_random += 1
                }
                worker.check_loss(before)?;
            }
        }
    }
    let (resumed, bits) = worker.finish()?;
    if bits != expected {
        return Err(format!("the last run, which resumed after {resumed:?} steps, ended with other bits").into());
    }
    println!(
        "{} kills at random instants and {} inside the writing of a checkpoint: {} runs, each with the bits of an unbroken one",
        killed.at_random,
        killed.injected,
        runs + 1
    );
    if !traces {
        println!("strace can't trace here, so no process was killed inside a call");
    }
    failing_disks(&program, scratch.path(), &expected, traces)?;
    flipped_bits(scratch.path())
}

#[derive(Default)]
struct Kills {
    at_random: u64,
    injected: u64,
}

impl Kills {
    fn in_all(&self) -> u64 {
        self.at_random + self.injected
    }
}

/// Whether strace is there and may trace.
fn traces() -> bool {
    let probe = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    probe.is_ok_and(|output| output.status.success())
}

/// A training process, started again and again in one folder.
struct Worker {
    program: PathBuf,
    folder: PathBuf,
    told: PathBuf,
}

impl Worker {
    fn new(program: &Path, folder: &Path) -> Self {
        Self { program: program.to_owned(), folder: folder.to_owned(), told: folder.with_extension("told") }
    }

    fn arguments(&self, wait: u64) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let (told, wait) = (text(&self.told), wait.to_string());
        ["crash-worker".into(), text(&self.folder), "--told".into(), told, "--wait".into(), wait].to_vec()
    }

    /// A process that writes nothing but checkpoints, until it says how it ended.
    fn untold(&self) -> [String; 2] {
        ["crash-worker".into(), self.folder.display().to_string()]
    }

    /// Lets it run to its end, and returns the step that it went on from and the bits of its weights.
    fn finish(&self) -> Result<(Option<u64>, String)> {
        let output = Command::new(&self.program).args(self.arguments(0)).output()?;
        finished(&output)?.ok_or_else(|| format!("the process ended by {}: {}", output.status, error(&output)).into())
    }

    /// Kills it after this time; its weights if it was faster.
    fn killed_at(&self, after: Duration) -> Result<Option<String>> {
        let mut child = Command::new(&self.program)
            .args(self.arguments(200))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let end = Instant::now() + after;
        while Instant::now() < end && child.try_wait()?.is_none() {
            thread::sleep(Duration::from_micros(200));
        }
        // It may have ended by now.
        let _ = child.kill();
        Ok(finished(&child.wait_with_output()?)?.map(|(_, bits)| bits))
    }

    /// Has it killed after the call of this name has been made this often.
    fn killed_after(&self, call: &str, count: u32) -> Result<Option<String>> {
        let inject = format!("inject={call}:signal=KILL:when={count}");
        let output = self.traced(&inject, call)?;
        Ok(finished(&output)?.map(|(_, bits)| bits))
    }

    fn traced(&self, inject: &str, call: &str) -> Result<Output> {
        let trace = format!("trace={call}");
        let log = self.folder.with_extension("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(log).args(["-e", &trace, "-e", inject]).arg(&self.program);
        Ok(strace.args(self.arguments(0)).output()?)
    }

    /// The steps that the process told before it was killed.
    fn told(&self) -> u64 {
        let told = fs::read_to_string(&self.told).unwrap_or_default();
        told.rsplit_once('\n').and_then(|(whole, _)| whole.lines().last()?.parse().ok()).unwrap_or(0)
    }

    /// The step of the latest checkpoint that is whole; 0 if there is none.
    fn steps(&self) -> Result<u64> {
        if !self.folder.is_dir() {
            return Ok(0);
        }
        let mut latest = 0;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(step) = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".safetensors")) else {
                continue;
            };
            safetensors::read_checked(&path)?;
            latest = latest.max(step.parse()?);
        }
        Ok(latest)
    }

    /// Checks that no more was lost than the steps since the last checkpoint that was due.
    fn check_loss(&self, before: u64) -> Result {
        let (now, told) = (self.steps()?, self.told());
        // The checkpoint of a step is written after the step is logged.
        let due = (told.saturating_sub(1) / EVERY * EVERY).max(before);
        if now >= due {
            Ok(())
        } else {
            Err(format!("step {told} was taken, but the latest checkpoint is of step {now}, not of {due}").into())
        }
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// The step that a process went on from, and the bits of its weights, if it came to its end; an error if it ended by itself
/// in another way.
fn finished(output: &Output) -> Result<Option<(Option<u64>, String)>> {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start).map(str::to_owned));
    match (output.status.success(), line("done ")) {
        (true, Some(bits)) => Ok(Some((line("resumed ").and_then(|step| step.parse().ok()), bits))),
        _ if output.status.code().is_some_and(|code| code < 128) => {
            Err(format!("the process ended by itself: {}", error(output)).into())
        }
        _ => Ok(None),
    }
}

/// Disks that fail: the process says so and ends, the checkpoints before stay, and the run goes on from them.
fn failing_disks(program: &Path, scratch: &Path, expected: &str, traces: bool) -> Result {
    let mut faults: Vec<(&str, Command)> = Vec::new();
    let begun = |name: &str| -> Result<Worker> {
        // Some checkpoints of a run that was killed.
        let worker = Worker::new(program, &scratch.join(name));
        let started = Instant::now();
        while worker.steps()? == 0 && started.elapsed() < Duration::from_secs(20) {
            worker.killed_at(Duration::from_millis(25))?;
        }
        Ok(worker)
    };
    let strace = |inject: &str| {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write,fsync,rename,ftruncate", "-e", inject])
            .arg(program);
        command
    };
    if traces {
        // A process that goes on writes checkpoints alone, each by one write or more.
        for (what, inject) in [
            ("a full disk (ENOSPC)", "inject=write:error=ENOSPC:when=1"),
            ("an error of a write (EIO)", "inject=write:error=EIO:when=3"),
            ("an error of an fsync (EIO)", "inject=fsync:error=EIO:when=3+"),
            ("an error of a folder's fsync (EIO)", "inject=fsync:error=EIO:when=4+"),
            ("a read-only folder (EROFS)", "inject=rename:error=EROFS:when=2+"),
        ] {
            faults.push((what, strace(inject)));
        }
    }
    // A write that is cut short, and then an error: the limit of a file's size, below that of a checkpoint.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]).arg(program);
    faults.push(("short writes (a limit of a file's size)", limited));

    for (number, (what, mut command)) in faults.into_iter().enumerate() {
        let worker = begun(&format!("disk-{number}"))?;
        let before = worker.steps()?;
        let output = command.args(worker.untold()).output()?;
        let told = error(&output);
        if output.status.success()
            || output.status.code().is_none()
            || !told.contains(&worker.folder.display().to_string())
        {
            return Err(format!("{what}: no error that names the file, but {} and `{told}`", output.status).into());
        }
        let left = worker.steps()?;
        let (resumed, bits) = worker.finish()?;
        if left < before || bits != expected {
            return Err(
                format!("{what}: resumed from {resumed:?}, where {before} steps were saved, with other bits").into()
            );
        }
        println!("{what}: \"{}\"; resumed from step {left}", told.lines().last().unwrap_or_default());
    }
    tmpfs(program, scratch, expected)
}

/// A real disk that is too small, if one may be mounted here.
fn tmpfs(program: &Path, scratch: &Path, expected: &str) -> Result {
    let place = scratch.join("small");
    fs::create_dir_all(&place)?;
    let mount =
        |options: &str| Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&place).output();
    if !mount("size=256k").is_ok_and(|output| output.status.success()) {
        println!("no disk can be mounted here, so none was full");
        return Ok(());
    }
    let checked = || -> Result {
        let worker = Worker::new(program, &place.join("run"));
        worker.killed_at(Duration::from_millis(25))?;
        // All the room but some kilobytes is taken.
        let used: u64 =
            fs::read_dir(&worker.folder)?.filter_map(|entry| entry.ok()?.metadata().ok()).map(|m| m.len()).sum();
        fs::write(place.join("filler"), vec![0; (256 * 1024_u64).saturating_sub(used + 16 * 1024) as usize])?;
        let before = worker.steps()?;
        let output = Command::new(program).args(worker.arguments(0)).output()?;
        if output.status.success() {
            return Err("a full disk: no error".into());
        }
        println!("a small disk that is full: \"{}\"", error(&output));
        fs::remove_file(place.join("filler"))?;
        if worker.steps()? < before || worker.finish()?.1 != expected {
            return Err("a full disk: the run did not go on as if nothing had happened".into());
        }
        Ok(())
    };
    let result = checked();
    Command::new("umount").arg(&place).output()?;
    result
}

/// Flips each bit in turn of a byte, for every byte of a checkpoint.
fn flipped_bits(scratch: &Path) -> Result {
    let mut files: Vec<_> =
        fs::read_dir(scratch.join("unbroken"))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let path = files.last().ok_or("no checkpoint was written")?;
    let (mut bytes, copy) = (fs::read(path)?, scratch.join("flipped.safetensors"));
    for place in 0..bytes.len() {
        let bit = 1 << (place % 8);
        bytes[place] ^= bit;
        fs::write(&copy, &bytes)?;
        bytes[place] ^= bit;
        if safetensors::read_checked(&copy).is_ok() {
            return Err(format!("a flipped bit of byte {place} was not detected").into());
        }
    }
    println!("a flipped bit in each of {} bytes of a checkpoint was detected", bytes.len());
    Ok(())
}
