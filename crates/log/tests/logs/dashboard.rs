//! The dashboard in a pseudo-terminal, which the program `script` makes; every Debian has it.

use std::env;
use std::io::{Read, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use downhill_log::Dashboard;
use downhill_optim::Adam;
use downhill_train::{StepEnd, StopHandle, StopReason, TrainError};

use crate::{Fixed, data, network, trainer};

/// The sequences by which a program takes the terminal's other screen, and leaves it.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// The part of this test program that the tests run in a terminal: a run of a minute, ended before as the variable
/// `DASHBOARD_CHILD` says.
#[test]
#[ignore = "the other tests run it"]
fn child() {
    let mode = env::var("DASHBOARD_CHILD").unwrap();
    let (data, stop) = (data(), StopHandle::new());
    let dashboard = Dashboard::new().stop_handle(stop.clone());
    dashboard.warnings().push("the layer `0` is tired");
    let step = move |end: &StepEnd<'_, f64>| -> ControlFlow<()> {
        thread::sleep(Duration::from_millis(5));
        match env::var("DASHBOARD_CHILD").unwrap().as_str() {
            "panic" if end.step == 100 => panic!("a step too far"),
            "break" if end.step == 100 => Break(()),
            _ => Continue(()),
        }
    };
    let mut trainer = trainer(4000).metric(Fixed("half".into(), 0.5)).callback(dashboard).on_step(step);
    if mode == "divergence" {
        *trainer.optimizer_mut() = Adam::new(1e200);
    }
    if mode != "forgotten handle" {
        trainer = trainer.stop_handle(stop);
    }
    let ended = match trainer.fit(&mut network(), &data) {
        Ok(history) => format!("{:?}", history.reason),
        Err(TrainError::Diverged(_)) => "diverged".to_owned(),
        Err(error) => error.to_string(),
    };
    println!("ENDED {ended}");
}

/// Runs the child in a terminal of this size, presses these keys once all is shown, and returns what the terminal was sent.
fn in_terminal(mode: &str, columns: u16, rows: u16, keys: &[&str]) -> (ExitStatus, String) {
    let program = env::current_exe().unwrap();
    let command = format!(
        "stty rows {rows} cols {columns} && '{}' --ignored --exact --nocapture dashboard::child",
        program.display()
    );
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &command, "/dev/null"]).env("DASHBOARD_CHILD", mode).env("TERM", "xterm-256color");
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (mut sent, mut keys) = (Vec::new(), keys.iter());
    let mut bytes = [0; 4096];
    loop {
        let length = output.read(&mut bytes).unwrap();
        if length == 0 {
            break;
        }
        sent.extend(&bytes[..length]);
        if String::from_utf8_lossy(&sent).contains("steps/s")
            && let Some(key) = keys.next()
        {
            input.write_all(key.as_bytes()).unwrap();
            input.flush().unwrap();
        }
    }
    (script.wait().unwrap(), String::from_utf8_lossy(&sent).into_owned())
}

/// Asserts that the other screen was taken once and left once, and returns what was shown there and what came after it.
fn parts(output: &str) -> (&str, &str) {
    assert_eq!((output.matches(ENTER).count(), output.matches(LEAVE).count()), (1, 1), "{output:?}");
    let (before, after) = output.split_once(LEAVE).unwrap();
    (before.split_once(ENTER).unwrap().1, after)
}

#[test]
fn keys_end_the_run_and_the_terminal_is_given_back() {
    for (key, mode, reason) in [
        ("q", "run", StopReason::Interrupted),
        ("\u{3}", "run", StopReason::Interrupted),
        ("q", "forgotten handle", StopReason::Callback),
    ] {
        let (status, output) = in_terminal(mode, 80, 24, &["x", key]);
        let (shown, after) = parts(&output);
        assert!(status.success() && after.contains(&format!("ENDED {reason:?}")), "{mode}: {output:?}");
        for text in ["batches", "half", "the layer `0` is tired", "q or Ctrl-C"] {
            assert!(shown.contains(text), "{text}: {shown:?}");
        }
        assert!(shown.contains("steps/s") && shown.contains("elapsed"), "{shown:?}");
    }
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_run() {
    let (status, output) = in_terminal("break", 40, 12, &[]);
    assert!(status.success() && parts(&output).1.contains("ENDED Callback"), "{output:?}");
    let (status, output) = in_terminal("divergence", 10, 3, &[]);
    assert!(status.success() && parts(&output).1.contains("ENDED diverged"), "{output:?}");
    let (status, output) = in_terminal("panic", 80, 24, &[]);
    assert!(!status.success() && parts(&output).1.contains("a step too far"), "{output:?}");
}

#[test]
fn without_a_terminal_nothing_is_drawn_and_that_is_said_once() {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "--nocapture", "dashboard::child"]).env("DASHBOARD_CHILD", "break");
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.contains("ENDED Callback") && !out.contains('\u{1b}'), "{out:?}");
    assert_eq!(err.matches("The dashboard is not shown: the standard output is not a terminal.").count(), 1, "{err:?}");
}
