//! Nothing that a user or a file can cause panics: random calls of the public interface, with random settings, shapes,
//! sizes and numbers, absurd ones among them. Each is answered, by a result or by a typed error in words.
//!
//! `RANDOM_CALLS` sets how many calls each part makes, and `RANDOM_SEQUENCES` how many sequences of them the part of that
//! name. A part that fails names the seed of the scene that did, and its calls; `RANDOM_CALLS_SEED` starts from that
//! scene. Each part is one file with one function, `scene`.

mod data;
mod draw;
mod layers;
mod networks;
mod optimizers;
mod sequences;
mod training;

use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use downhill::prelude::Seed;

use crate::draw::Draw;

/// The calls of the scene that runs, for whoever must tell what went wrong in it.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    scene: u64,
    calls: Vec<String>,
    count: usize,
    /// The numbers of results and of errors.
    answers: [usize; 2],
    began: Option<Instant>,
}

impl Calls {
    /// Notes a call before it is made.
    fn note(&self, call: impl Display) {
        let mut log = self.lock();
        log.calls.push(call.to_string());
        log.count += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tell(&self, part: &str) -> String {
        let log = self.lock();
        format!("{part}, scene {}:\n  {}", log.scene, log.calls.join("\n  "))
    }
}

thread_local!(static CURRENT: std::cell::RefCell<Calls> = std::cell::RefCell::default());

/// What a part ends after, unless the environment says otherwise.
#[derive(Clone, Copy)]
enum Enough {
    Calls(u64),
    Scenes(u64),
}

/// Plays scenes until there are enough of them or of their calls.
fn play(part: &'static str, enough: Enough, scene: fn(&mut Draw)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let enough = match enough {
        Enough::Calls(count) => Enough::Calls(number("RANDOM_CALLS").unwrap_or(count)),
        Enough::Scenes(count) => Enough::Scenes(number("RANDOM_SEQUENCES").unwrap_or(count)),
    };
    let first: u64 = number("RANDOM_CALLS_SEED").unwrap_or(0);
    let calls = Calls::default();
    let player = std::thread::spawn({
        let calls = calls.clone();
        move || {
            CURRENT.replace(calls.clone());
            for seed in first.. {
                {
                    let mut log = calls.lock();
                    let is_enough = match enough {
                        Enough::Calls(count) => log.count as u64 >= count,
                        Enough::Scenes(count) => seed - first >= count,
                    };
                    if is_enough {
                        return true;
                    }
                    log.calls.clear();
                    (log.scene, log.began) = (seed, Some(Instant::now()));
                }
                let mut draw = Draw::new(Seed(seed), calls.clone());
                if catch_unwind(AssertUnwindSafe(|| scene(&mut draw))).is_err() {
                    return false;
                }
            }
            true
        }
    });
    // What never answers can't be caught: who waits for it tells instead.
    while !player.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
        let began = calls.lock().began;
        let waits = began.is_some_and(|began| began.elapsed() > Duration::from_secs(60));
        assert!(!waits, "no answer after a minute: {}", calls.tell(part));
    }
    assert!(player.join().unwrap_or(false), "a call has panicked: {}", calls.tell(part));
    let log = calls.lock();
    let [results, errors] = log.answers;
    println!("{part}: {} scenes, {} calls, {results} results, {errors} errors", log.scene - first + 1, log.count);
    // Neither only nonsense nor only sense.
    assert!(10 * results > log.count / 10 && 100 * errors > log.count / 10, "{results} results, {errors} errors");
}

/// Checks that an error is a sentence, and so is whatever caused it.
fn is_told(error: &dyn Error) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        assert!(error.to_string().len() > 10, "{error:?} says nothing");
        cause = error.source();
    }
}

/// The result, if there is one; an error must be told in words.
fn answer<R, E: Error + 'static>(result: Result<R, E>) -> Option<R> {
    let kind = usize::from(result.is_err());
    CURRENT.with_borrow(|calls| calls.lock().answers[kind] += 1);
    result.inspect_err(|error| is_told(error)).ok()
}

#[test]
fn no_layer_panics() {
    play("layers", Enough::Calls(100_000), layers::scene);
    assert_eq!(layers::missed(), [""; 0], "no call has come to these layers");
}

#[test]
fn no_network_panics() {
    play("networks", Enough::Calls(100_000), networks::scene);
}

#[test]
fn no_optimizer_panics() {
    play("optimizers", Enough::Calls(50_000), optimizers::scene);
}

#[test]
fn no_data_panic() {
    play("data", Enough::Calls(50_000), data::scene);
}

#[test]
fn no_training_panics() {
    play("training", Enough::Calls(50_000), training::scene);
}

#[test]
fn no_sequence_of_calls_panics() {
    play("sequences", Enough::Scenes(300), sequences::scene);
}
